/**
 * What settings must be together (operations §1.4 and gaps A4, T7), in the order of the specification.
 * A rule says nothing where a value that it needs is itself wrong: that has been reported already.
 */
import { canonicalAddress, isAnyAddress, isLoopback } from './address.ts'
import { type ConfigProblem, type ConfigWarning, ConfigWarningCode } from './errors.ts'
import { problem, type Rule, type RuleInput } from './rule.ts'
import type { SettingKey, Settings } from './settings.ts'
import { TLS_RULES, tlsOddities } from './tls-rules.ts'
import { quoted } from './value.ts'

export type { RuleInput } from './rule.ts'

type ClusterSettings = {
  readonly contactPoints: readonly string[] | undefined
  readonly port: number | undefined
  readonly bundlePath: string | undefined
  readonly localDatacenter: string | undefined
  readonly localRack: string | undefined
  readonly hostAssignment: boolean | undefined
}

const clusterSettings = (settings: Partial<Settings>, name: ClusterName): ClusterSettings =>
  name === 'origin'
    ? {
        contactPoints: settings.originContactPoints,
        port: settings.originPort,
        bundlePath: settings.originSecureConnectBundlePath,
        localDatacenter: settings.originLocalDatacenter,
        localRack: settings.originLocalRack,
        hostAssignment: settings.originEnableHostAssignment,
      }
    : {
        contactPoints: settings.targetContactPoints,
        port: settings.targetPort,
        bundlePath: settings.targetSecureConnectBundlePath,
        localDatacenter: settings.targetLocalDatacenter,
        localRack: settings.targetLocalRack,
        hostAssignment: settings.targetEnableHostAssignment,
      }

type ClusterName = 'origin' | 'target'

const contactPointsAreGiven =
  (name: ClusterName): Rule =>
  (input) => {
    const { contactPoints, bundlePath } = clusterSettings(input.settings, name)
    if (contactPoints === undefined || bundlePath === undefined) return null
    const bundle = input.spell(`${name}_secure_connect_bundle_path`)
    const hasBundle = bundlePath !== ''
    if (contactPoints.length > 0 !== hasBundle) return null
    return problem(
      input,
      `${name}_contact_points`,
      hasBundle
        ? `cannot be used together with ${bundle}, which says where the nodes are; leave one of them out`
        : `must name at least one node: host names or IP addresses with commas between them; or ${bundle} a Secure Connect Bundle`,
    )
  }

const contactPointsHavePort =
  (name: ClusterName): Rule =>
  (input) => {
    const { contactPoints, port } = clusterSettings(input.settings, name)
    if (contactPoints === undefined || contactPoints.length === 0 || port !== 0) return null
    return problem(
      input,
      `${name}_port`,
      `0 is no port; say the one on which the nodes of ${input.spell(`${name}_contact_points`)} take clients`,
    )
  }

const bundleKnowsDatacenter =
  (name: ClusterName): Rule =>
  (input) => {
    const { bundlePath, localDatacenter } = clusterSettings(input.settings, name)
    if ((bundlePath ?? '') === '' || (localDatacenter ?? '') === '') return null
    const bundle = input.spell(`${name}_secure_connect_bundle_path`)
    return problem(
      input,
      `${name}_local_datacenter`,
      `cannot be used together with ${bundle}, which says which datacenter it is; leave it out`,
    )
  }

const datacenterNeedsHostAssignment =
  (name: ClusterName): Rule =>
  (input) => {
    const { localDatacenter, hostAssignment } = clusterSettings(input.settings, name)
    if (hostAssignment !== false || (localDatacenter ?? '') === '') return null
    const assignment = input.spell(`${name}_enable_host_assignment`)
    return problem(
      input,
      `${name}_local_datacenter`,
      `has no meaning with ${assignment} false, which sends all requests to one node; leave one of them out`,
    )
  }

const rackNeedsHostAssignment =
  (name: ClusterName): Rule =>
  (input) => {
    const { localRack, hostAssignment } = clusterSettings(input.settings, name)
    if (hostAssignment !== false || (localRack ?? '') === '') return null
    const assignment = input.spell(`${name}_enable_host_assignment`)
    return problem(
      input,
      `${name}_local_rack`,
      `has no meaning with ${assignment} false, which sends all requests to one node; leave one of them out`,
    )
  }

const indexIsInTopology: Rule = (input) => {
  const { proxyTopologyAddresses: addresses, proxyTopologyIndex: index } = input.settings
  if (addresses === undefined || index === undefined) return null
  if (index < Math.max(1, addresses.length)) return null
  const list = input.spell('proxy_topology_addresses')
  const allowed =
    addresses.length === 0
      ? `must be 0 as long as ${list} is empty`
      : `must be from 0 to ${addresses.length - 1}, because ${list} has ${addresses.length} addresses`
  return problem(input, 'proxy_topology_index', `${index} ${allowed}`)
}

const topologyHasNoDuplicates: Rule = (input) => {
  const addresses = input.settings.proxyTopologyAddresses ?? []
  const seen = new Set<string>()
  for (const address of addresses) {
    const canonical = canonicalAddress(address)
    if (seen.has(canonical)) {
      return problem(
        input,
        'proxy_topology_addresses',
        `${quoted(address)} is listed twice; each instance has an address of its own`,
      )
    }
    seen.add(canonical)
  }
  return null
}

/** The Go proxy starts, and tells drivers that its address is 0.0.0.0 (operations §6.2). */
const advertisedAddressIsUsable: Rule = (input) => {
  const { proxyListenAddress: address, proxyTopologyAddresses: addresses } = input.settings
  if (address === undefined || addresses === undefined) return null
  if (addresses.length > 0 || !isAnyAddress(address)) return null
  return problem(
    input,
    'proxy_listen_address',
    `${quoted(address)} listens on every address, and drivers would be told to connect to ${address}, where nobody answers; set ${input.spell('proxy_topology_addresses')} to the address that clients reach this instance by (all instances' addresses, if there are several), or listen on one address`,
  )
}

const listenersDoNotCollide: Rule = (input) => {
  const { proxyListenAddress, proxyListenPort, metricsAddress, metricsPort } = input.settings
  if (proxyListenAddress === undefined || metricsAddress === undefined) return null
  if (proxyListenPort === undefined || proxyListenPort === 0) return null
  if (proxyListenPort !== metricsPort) return null
  const isShared =
    isAnyAddress(proxyListenAddress) ||
    isAnyAddress(metricsAddress) ||
    canonicalAddress(proxyListenAddress) === canonicalAddress(metricsAddress)
  if (!isShared) return null
  return problem(
    input,
    'metrics_port',
    `${metricsPort} is the port for clients too (${input.spell('proxy_listen_port')}); they need two`,
  )
}

const clustersDiffer: Rule = (input) => {
  const { originContactPoints, targetContactPoints, originPort, targetPort } = input.settings
  const { originSecureConnectBundlePath: bundle } = input.settings
  if (
    bundle !== undefined &&
    bundle !== '' &&
    bundle === input.settings.targetSecureConnectBundlePath
  ) {
    return problem(
      input,
      'target_secure_connect_bundle_path',
      `is ${input.spell('origin_secure_connect_bundle_path')} too; Origin and Target must be two clusters, or every write goes to the same one twice`,
    )
  }
  if (originContactPoints === undefined || targetContactPoints === undefined) return null
  if (originPort === undefined || originPort !== targetPort) return null
  const origin = new Set(originContactPoints.map(canonicalAddress))
  const shared = targetContactPoints.find((point) => origin.has(canonicalAddress(point)))
  if (shared === undefined) return null
  return problem(
    input,
    'target_contact_points',
    `${quoted(shared)} with port ${targetPort} is in ${input.spell('origin_contact_points')} too; Origin and Target must be two clusters, or every write goes to the same one twice`,
  )
}

/** Whoever reaches the admin API decides which cluster serves reads. */
const adminIsProtected: Rule = (input) => {
  const { adminEnabled, adminAddress, adminTokenPath, adminTlsClientCaPath } = input.settings
  if (adminEnabled !== true || adminAddress === undefined || isLoopback(adminAddress)) return null
  if (adminTokenPath !== '' || adminTlsClientCaPath !== '') return null
  return problem(
    input,
    'admin_address',
    `${quoted(adminAddress)} can be reached from other machines, and whoever reaches the admin API can switch the migration; set ${input.spell('admin_token_path')} or ${input.spell('admin_tls_client_ca_path')}, or listen on localhost`,
  )
}

/** The setting that has the port of the admin API, or null. */
const holderOfAdminPort = (settings: Partial<Settings>): SettingKey | null => {
  const { adminEnabled, adminPort, metricsPort, proxyListenPort } = settings
  if (adminEnabled !== true || adminPort === undefined || adminPort === 0) return null
  if (adminPort === metricsPort) return 'metrics_port'
  return adminPort === proxyListenPort ? 'proxy_listen_port' : null
}

/**
 * Whether the admin API is not served because another setting has its default port: a configuration of the Go
 * proxy, which knows no such API, may use any port.
 */
export const adminGivesWay = ({ settings, isGiven }: RuleInput): boolean =>
  !isGiven('admin_port') && holderOfAdminPort(settings) !== null

const adminPortIsFree: Rule = (input) => {
  const other = holderOfAdminPort(input.settings)
  if (other === null || adminGivesWay(input)) return null
  const { adminPort } = input.settings
  return problem(input, 'admin_port', `${adminPort} is ${input.spell(other)} too; they need two`)
}

const adminPeersAreTheInstances: Rule = (input) => {
  const { adminPeerAddresses: peers, proxyTopologyAddresses: addresses } = input.settings
  if (peers === undefined || addresses === undefined || peers.length === 0) return null
  if (peers.length === addresses.length) return null
  return problem(
    input,
    'admin_peer_addresses',
    `has ${peers.length} addresses, and ${input.spell('proxy_topology_addresses')} has ${addresses.length}; it must name one for each instance, in the same order`,
  )
}

/** Request ids are taken out of the payload, or put into it, before spans look for their parent there. */
const requestIdIsNoTraceParent: Rule = (input) => {
  const { tracingRequestIdKey, tracingOtlpEndpoint = '' } = input.settings
  if (tracingRequestIdKey !== 'traceparent' || tracingOtlpEndpoint === '') return null
  return problem(
    input,
    'tracing_request_id_key',
    `"traceparent" is where ${input.spell('tracing_otlp_endpoint')} looks for the trace context of clients; give request ids another key`,
  )
}

const RULES: readonly Rule[] = [
  contactPointsAreGiven('target'),
  contactPointsHavePort('target'),
  bundleKnowsDatacenter('target'),
  datacenterNeedsHostAssignment('target'),
  rackNeedsHostAssignment('target'),
  contactPointsAreGiven('origin'),
  contactPointsHavePort('origin'),
  bundleKnowsDatacenter('origin'),
  datacenterNeedsHostAssignment('origin'),
  rackNeedsHostAssignment('origin'),
  clustersDiffer,
  indexIsInTopology,
  topologyHasNoDuplicates,
  advertisedAddressIsUsable,
  ...TLS_RULES,
  listenersDoNotCollide,
  adminIsProtected,
  adminPortIsFree,
  adminPeersAreTheInstances,
  requestIdIsNoTraceParent,
]

/** Every contradiction between settings. */
export const findContradictions = (input: RuleInput): readonly ConfigProblem[] =>
  RULES.flatMap((rule) => rule(input) ?? [])

const suspect = (input: RuleInput, key: SettingKey, text: string): ConfigWarning => ({
  code: ConfigWarningCode.SUSPECT,
  ...problem(input, key, text),
})

/** Text that a newline or blank from a file of secrets easily slips into. Its value is not shown. */
const EXACT_TEXTS = [
  ['origin_username', 'originUsername'],
  ['origin_password', 'originPassword'],
  ['origin_local_datacenter', 'originLocalDatacenter'],
  ['origin_local_rack', 'originLocalRack'],
  ['target_username', 'targetUsername'],
  ['target_password', 'targetPassword'],
  ['target_local_datacenter', 'targetLocalDatacenter'],
  ['target_local_rack', 'targetLocalRack'],
] as const satisfies readonly (readonly [SettingKey, keyof Settings])[]

/** What is allowed and does something, but hardly what was meant. */
export const findOddities = (input: RuleInput): readonly ConfigWarning[] => {
  const { settings } = input
  const warnings = EXACT_TEXTS.filter(([, name]) => {
    const text = settings[name] ?? ''
    return text !== text.trim()
  }).map(([key]) => suspect(input, key, 'begins or ends with white space, which is part of it'))
  const min = settings.heartbeatRetryIntervalMinMs
  const max = settings.heartbeatRetryIntervalMaxMs
  if (min !== undefined && max !== undefined && min > max) {
    warnings.push(
      suspect(
        input,
        'heartbeat_retry_interval_min_ms',
        `${min} is above ${input.spell('heartbeat_retry_interval_max_ms')}, so every wait is ${max} ms`,
      ),
    )
  }
  for (const { key, text } of tlsOddities(input)) warnings.push(suspect(input, key, text))
  return [...warnings, ...adminPortOddity(input)]
}

const adminPortOddity = (input: RuleInput): readonly ConfigWarning[] => {
  const other = holderOfAdminPort(input.settings)
  if (other === null || !adminGivesWay(input)) return []
  const text = `${input.settings.adminPort}, the default, is ${input.spell(other)} too: the admin API is switched off; give it another port`
  return [suspect(input, 'admin_port', text)]
}
