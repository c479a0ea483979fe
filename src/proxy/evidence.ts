/** What a running instance measures of mirrored reads and certificates, for the checks of a change. */
import { AsyncReadWindow } from '../control/async-read-window.ts'
import type { CertificateEvidence } from '../control/report.ts'
import type { ProxyInstance } from './instance.ts'
import type { EvidenceSources } from './migration-control.ts'

const MS_PER_SECOND = 1000

const certificatesOf = ({ certificates }: ProxyInstance): readonly CertificateEvidence[] =>
  certificates.expiries.map(({ leg, role, expiresAtSeconds }) => ({
    name: `${leg} ${role}`,
    expiresAt: new Date(expiresAtSeconds * MS_PER_SECOND).toISOString(),
  }))

/** What the checks before a change need that is measured over time: a window per migration control. */
export const measuredEvidence = (instance: ProxyInstance): EvidenceSources => {
  const window = new AsyncReadWindow()
  return {
    sample: (planes, nowMs) => window.sample(planes, nowMs),
    asyncReads: () => window.read(),
    certificates: () => certificatesOf(instance),
  }
}
