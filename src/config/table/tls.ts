/** Settings of TLS and of who is let in, beyond those that the Go proxy has (operations §11, S1, S4, H6). */
import type { Section } from '../definition.ts'

const passphrase = <const Key extends string>(key: Key, keySetting: string) =>
  ({
    key,
    type: 'string',
    default: '',
    format: 'path',
    status: 'active',
    description: `A file with the passphrase of the key in \`${keySetting}\`, where that is encrypted. A line end after it does not count. Read again with the key.`,
  }) as const

const crl = <const Key extends string>(key: Key, text: string) =>
  ({
    key,
    type: 'string',
    default: '',
    format: 'path',
    status: 'active',
    description: `Revocation lists (PEM, one or more): ${text} It takes a valid list of every authority in a certificate's chain, or the certificate is refused. Read again when it changes.`,
  }) as const

const clusterCredentials = <const Name extends 'origin' | 'target'>(name: Name) =>
  [
    {
      key: `${name}_tls_verify_hostname`,
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'With TLS: whether the certificate of a node must name the address that the proxy connects to (contact points as they are written, other nodes by their IP address). If false, as with the Go proxy, any certificate of a trusted authority will do. With a bundle the name is always verified.',
    },
    {
      key: `${name}_tls_private_roots_only`,
      type: 'boolean',
      default: false,
      status: 'active',
      description: `With TLS: trusts the authorities in \`${name}_tls_server_ca_path\` (with a bundle: in its \`ca.crt\`) alone. If false, as with the Go proxy, the well-known ones are trusted beside them.`,
    },
    crl(`${name}_tls_crl_path`, 'nodes whose certificates are in one are refused.'),
    passphrase(`${name}_tls_client_key_passphrase_path`, `${name}_tls_client_key_path`),
  ] as const

export const TLS = {
  title: 'TLS and who is let in (not in the Go proxy)',
  settings: [
    crl(
      'proxy_tls_crl_path',
      'clients whose certificates are in one are refused. With `proxy_tls_require_client_auth`.',
    ),
    passphrase('proxy_tls_key_passphrase_path', 'proxy_tls_key_path'),
    ...clusterCredentials('origin'),
    ...clusterCredentials('target'),
    {
      key: 'metrics_tls_cert_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'Certificate chain of the HTTP server for metrics and health (PEM): it speaks TLS then. Read again when it changes.',
    },
    {
      key: 'metrics_tls_key_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description: 'The private key of `metrics_tls_cert_path` (PEM). Read again when it changes.',
    },
    passphrase('metrics_tls_key_passphrase_path', 'metrics_tls_key_path'),
    {
      key: 'metrics_tls_client_ca_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'Certificate authority (PEM): who asks for `/metrics` must show a certificate of it (mutual TLS). The health paths stay open. Read again when it changes.',
    },
    {
      key: 'metrics_token_path',
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'A file with the tokens of which who asks for `/metrics` must show one (`Authorization: Bearer …`), one a line, at least 16 characters each. The health paths stay open. Read again when it changes.',
    },
    {
      key: 'metrics_bind_required',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'Whether the process ends (status 1) where the address for metrics and health cannot be bound. If false, as with the Go proxy, it serves without them.',
    },
    passphrase('admin_tls_key_passphrase_path', 'admin_tls_key_path'),
  ],
} as const satisfies Section
