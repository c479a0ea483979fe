/** The families of the certificates in force: how long they are valid, and whether renewed files could be used. */
import type { MetricFamily } from './family.ts'

const CQL_LEG = ['listener', 'origin', 'target'] as const
const LEG = [...CQL_LEG, 'admin', 'metrics'] as const

const OWN = { isPrefixed: true, isReference: false } as const

export const TLS_FAMILIES: readonly MetricFamily[] = [
  {
    ...OWN,
    name: 'tls_certificate_expiry_timestamp_seconds',
    type: 'gauge',
    labels: { leg: LEG, role: ['authority', 'certificate'] },
    help: "When the first certificate of the proxy's own chain (certificate) or of what it trusts (authority) expires, in seconds since 1970.",
    read: ({ certificates }) =>
      certificates.expiries.map(({ leg, role, expiresAtSeconds }) => ({
        labels: { leg, role },
        value: expiresAtSeconds,
      })),
  },
  {
    ...OWN,
    name: 'tls_crl_expiry_timestamp_seconds',
    type: 'gauge',
    labels: { leg: CQL_LEG },
    help: 'When the first revocation list expires, so that every certificate of its authority is refused, in seconds since 1970.',
    read: ({ certificates }) =>
      certificates.crls.map(({ leg, expiresAtSeconds }) => ({
        labels: { leg },
        value: expiresAtSeconds,
      })),
  },
  {
    ...OWN,
    name: 'tls_certificate_files_rejected',
    type: 'gauge',
    labels: { leg: LEG },
    help: 'Whether the files, tokens among them, cannot be used now (1, else 0), so that what was read before stays in force.',
    read: ({ certificates }) =>
      certificates.legs.map(({ leg, isRejected }) => ({
        labels: { leg },
        value: isRejected ? 1 : 0,
      })),
  },
  {
    ...OWN,
    name: 'tls_certificate_reloads_total',
    type: 'counter',
    labels: { leg: LEG, result: ['applied', 'rejected'] },
    help: 'How often changed files were taken over for new connections, or could not be used.',
    read: ({ certificates }) =>
      certificates.legs.flatMap(({ leg, reloads }) =>
        (['applied', 'rejected'] as const).map((result) => ({
          labels: { leg, result },
          value: reloads[result],
        })),
      ),
  },
]
