/**
 * Which TLS settings go together (operations §1.4 rules 7 and 8). All that the Go proxy accepts is
 * accepted; beyond that a listener without client certificates needs no authority (gap S4). Whether
 * the files can be used shows when they are read.
 */
import { clusterTls } from './cluster-tls.ts'
import { problem, type Rule, type RuleInput } from './rule.ts'
import { serverTls } from './server-tls.ts'
import type { SettingKey, Settings } from './settings.ts'

type ClusterName = 'origin' | 'target'

const isGiven = (path: string | undefined): boolean => path !== undefined && path !== ''

const bundleExcludesTlsFiles =
  (name: ClusterName): Rule =>
  (input) => {
    const tls = clusterTls(input.settings, name)
    if (!isGiven(tls.bundle)) return null
    const files = [
      [`${name}_tls_server_ca_path`, tls.authority],
      [`${name}_tls_client_cert_path`, tls.certificate],
      [`${name}_tls_client_key_path`, tls.key],
      [`${name}_tls_client_key_passphrase_path`, tls.passphrase],
      [`${name}_tls_crl_path`, tls.crl],
    ] as const
    const given = files.filter(([, path]) => isGiven(path)).map(([setting]) => setting)
    if (given.length === 0) return null
    const others = given.slice(1).map(input.spell)
    const also = others.length === 0 ? '' : ` (nor can ${others.join(' and ')})`
    return problem(
      input,
      given[0]!,
      `cannot be used together with ${input.spell(`${name}_secure_connect_bundle_path`)}, which brings its own certificates${also}; leave it out`,
    )
  }

const clusterTlsIsComplete =
  (name: ClusterName): Rule =>
  (input) => {
    const { bundle, authority, certificate, key } = clusterTls(input.settings, name)
    if (authority === undefined || certificate === undefined || key === undefined) return null
    if (isGiven(bundle)) return null
    const ca = `${name}_tls_server_ca_path` as const
    const cert = `${name}_tls_client_cert_path` as const
    const hasPair = isGiven(certificate) && isGiven(key)
    const hasNeither = !isGiven(certificate) && !isGiven(key)
    if (hasNeither || (hasPair && isGiven(authority))) return null
    const keyName = input.spell(`${name}_tls_client_key_path`)
    return problem(
      input,
      hasPair ? ca : cert,
      `${input.spell(cert)} and ${keyName} go together, and with ${input.spell(ca)}: all three for mutual TLS, ${input.spell(ca)} alone for one-way TLS, none for no TLS`,
    )
  }

const listenerTlsIsComplete: Rule = (input) => {
  const { proxyTlsCaPath, proxyTlsCertPath, proxyTlsKeyPath } = input.settings
  if (proxyTlsCaPath === undefined) return null
  if (proxyTlsCertPath === undefined || proxyTlsKeyPath === undefined) return null
  const hasCertificate = isGiven(proxyTlsCertPath)
  if (hasCertificate && isGiven(proxyTlsKeyPath)) return null
  if (!hasCertificate && !isGiven(proxyTlsKeyPath) && !isGiven(proxyTlsCaPath)) return null
  const missing = hasCertificate ? 'proxy_tls_key_path' : 'proxy_tls_cert_path'
  return problem(
    input,
    missing,
    `is missing: ${input.spell('proxy_tls_cert_path')} and ${input.spell('proxy_tls_key_path')} are needed for TLS towards clients`,
  )
}

const clientAuthenticationHasAuthority: Rule = (input) => {
  const { proxyTlsCaPath, proxyTlsCertPath, proxyTlsRequireClientAuth } = input.settings
  if (proxyTlsRequireClientAuth !== true || !isGiven(proxyTlsCertPath)) return null
  if (proxyTlsCaPath !== '') return null
  return problem(
    input,
    'proxy_tls_ca_path',
    `is needed with ${input.spell('proxy_tls_require_client_auth')}: it says whose certificates clients may show`,
  )
}

const crlHasAuthority =
  (name: ClusterName): Rule =>
  (input) => {
    const { bundle, authority, crl } = clusterTls(input.settings, name)
    if (!isGiven(crl) || isGiven(bundle) || authority !== '') return null
    const ca = input.spell(`${name}_tls_server_ca_path`)
    return problem(input, `${name}_tls_crl_path`, `needs ${ca}: there is no TLS without`)
  }

/** Nobody would be trusted; or everybody in plain text, which its author does not expect. */
const privateRootsAreGiven =
  (name: ClusterName): Rule =>
  (input) => {
    const { bundle, authority, trustsPrivateRootsOnly } = clusterTls(input.settings, name)
    if (trustsPrivateRootsOnly !== true || bundle !== '' || authority !== '') return null
    const ca = input.spell(`${name}_tls_server_ca_path`)
    return problem(
      input,
      `${name}_tls_private_roots_only`,
      `needs ${ca}, the authorities that are trusted then: without it there is no TLS`,
    )
  }

const clientCrlHasClients: Rule = (input) => {
  const { proxyTlsCrlPath, proxyTlsCertPath, proxyTlsRequireClientAuth } = input.settings
  if (!isGiven(proxyTlsCrlPath)) return null
  if (proxyTlsCertPath !== '' && proxyTlsRequireClientAuth !== false) return null
  const required = input.spell('proxy_tls_require_client_auth')
  return problem(
    input,
    'proxy_tls_crl_path',
    `needs TLS towards clients and ${required}: others show no certificate that could be revoked`,
  )
}

/** A passphrase, and the key that it is for. */
const PASSPHRASES = [
  {
    key: 'proxy_tls_key_path',
    keyName: 'proxyTlsKeyPath',
    passphrase: 'proxy_tls_key_passphrase_path',
    passphraseName: 'proxyTlsKeyPassphrasePath',
  },
  {
    key: 'origin_tls_client_key_path',
    keyName: 'originTlsClientKeyPath',
    passphrase: 'origin_tls_client_key_passphrase_path',
    passphraseName: 'originTlsClientKeyPassphrasePath',
  },
  {
    key: 'target_tls_client_key_path',
    keyName: 'targetTlsClientKeyPath',
    passphrase: 'target_tls_client_key_passphrase_path',
    passphraseName: 'targetTlsClientKeyPassphrasePath',
  },
  {
    key: 'admin_tls_key_path',
    keyName: 'adminTlsKeyPath',
    passphrase: 'admin_tls_key_passphrase_path',
    passphraseName: 'adminTlsKeyPassphrasePath',
  },
  {
    key: 'metrics_tls_key_path',
    keyName: 'metricsTlsKeyPath',
    passphrase: 'metrics_tls_key_passphrase_path',
    passphraseName: 'metricsTlsKeyPassphrasePath',
  },
] as const satisfies readonly {
  readonly key: SettingKey
  readonly keyName: keyof Settings
  readonly passphrase: SettingKey
  readonly passphraseName: keyof Settings
}[]

const passphraseHasKey =
  ({ key, keyName, passphrase, passphraseName }: (typeof PASSPHRASES)[number]): Rule =>
  (input) => {
    if (!isGiven(input.settings[passphraseName]) || input.settings[keyName] !== '') return null
    return problem(
      input,
      passphrase,
      `needs ${input.spell(key)}, the key that the passphrase is for; set it, or leave this one out`,
    )
  }

const serverTlsIsWhole =
  (server: 'admin' | 'metrics'): Rule =>
  (input) => {
    const { certificate, key, authority } = serverTls(input.settings, server)
    const isWhole = (certificate === '') === (key === '')
    const hasServer = certificate !== '' && key !== ''
    if (isWhole && (hasServer || authority === '')) return null
    return problem(
      input,
      `${server}_tls_cert_path`,
      `must be set together with ${input.spell(`${server}_tls_key_path`)}, and both where ${input.spell(`${server}_tls_client_ca_path`)} is`,
    )
  }

export const TLS_RULES: readonly Rule[] = [
  bundleExcludesTlsFiles('origin'),
  clusterTlsIsComplete('origin'),
  bundleExcludesTlsFiles('target'),
  clusterTlsIsComplete('target'),
  listenerTlsIsComplete,
  clientAuthenticationHasAuthority,
  privateRootsAreGiven('origin'),
  privateRootsAreGiven('target'),
  clientCrlHasClients,
  crlHasAuthority('origin'),
  crlHasAuthority('target'),
  ...PASSPHRASES.map(passphraseHasKey),
  serverTlsIsWhole('admin'),
  serverTlsIsWhole('metrics'),
]

type Oddity = { readonly key: SettingKey; readonly text: string }

/** What is allowed, but protects less than its author may believe. */
export const tlsOddities = (input: RuleInput): readonly Oddity[] => {
  const { settings, spell } = input
  const oddities: Oddity[] = []
  for (const name of ['origin', 'target'] as const) {
    const { authority, bundle, verifiesHostname } = clusterTls(settings, name)
    if (verifiesHostname !== true || authority !== '' || bundle !== '') continue
    const text = `has no effect: there is no TLS without ${spell(`${name}_tls_server_ca_path`)}`
    oddities.push({ key: `${name}_tls_verify_hostname`, text })
  }
  if (settings.proxyTlsRequireClientAuth === true && settings.proxyTlsCertPath === '') {
    oddities.push({
      key: 'proxy_tls_require_client_auth',
      text: `has no effect: clients connect without TLS as long as ${spell('proxy_tls_cert_path')} is empty`,
    })
  }
  return oddities
}
