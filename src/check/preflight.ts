/**
 * `zdm-proxy --check`: whether a proxy with these settings could serve, without serving. Both clusters are
 * asked at the same time; every step is bounded by a time-out (operations §11, A3).
 */
import { accessSync, constants } from 'node:fs'
import { CertificateStore } from '../certificates/certificate-store.ts'
import type { Clock } from '../clock.ts'
import type { ControlConnectionSettings } from '../cluster/control-contract.ts'
import { camelCase, DEFINITIONS, type Settings } from '../config/settings.ts'
import { createLogger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import { type AdvertisedAddress, resolveAdvertised } from '../proxy/advertised-addresses.ts'
import { BY_SETTINGS_ALONE, connectionSettings, type Reach } from '../proxy/derived-settings.ts'
import { legSources, openAstraContacts, tlsMaterial } from '../proxy/tls-legs.ts'
import { CLUSTERS } from '../routing/cluster.ts'
import { ClusterCheck, type ClusterFindings, clockVerdict } from './cluster-check.ts'
import { within } from './reach.ts'
import type { CheckRow, Verdict } from './verdict.ts'

/** A check is not worth the patience of a start: 30 s by default. */
const CONNECT_TIMEOUT_MAX_MS = 5_000
const CALL_TIMEOUT_MS = 10_000
/** For the metadata service of a bundle. */
const BUNDLE_TIMEOUT_MS = 30_000

export type PreflightTools = {
  readonly clock: Clock
  /** All addresses of a host name; rejects where there are none. */
  resolve(name: string): Promise<readonly string[]>
}

const settingsRow = (name: string, verdict: Verdict, detail: string, remedy = ''): CheckRow => ({
  subject: 'Settings',
  name,
  verdict,
  detail,
  remedy,
})

/** The values have been checked before; what is odd about them is told again, next to the rest. */
const valuesRow = (warnings: readonly string[]): CheckRow =>
  warnings.length === 0
    ? settingsRow('values', 'pass', `${DEFINITIONS.length} settings, nothing odd`)
    : settingsRow(
        'values',
        'warn',
        warnings.join('; '),
        'docs/configuration.md lists what is allowed',
      )

/** Every path that is set must lead to a file that can be read. */
const filesRow = (settings: Settings): CheckRow => {
  const values = new Map<string, unknown>(Object.entries(settings))
  const faults: string[] = []
  let files = 0
  for (const definition of DEFINITIONS) {
    if (definition.type !== 'string' || definition.format !== 'path') continue
    const path = String(values.get(camelCase(definition.key)) ?? '')
    if (path === '') continue
    files++
    try {
      accessSync(path, constants.R_OK)
    } catch (error) {
      const text = messageOf(error)
      faults.push(`${definition.key}: ${text}`)
    }
  }
  if (faults.length > 0) {
    const remedy = 'correct the path, or let the user of the proxy read the file'
    return settingsRow('files', 'fail', faults.join('; '), remedy)
  }
  if (files === 0) return settingsRow('files', 'skipped', 'no setting names a file')
  return settingsRow('files', 'pass', `${files} can be read`)
}

const describeAddress = ({ given, address }: AdvertisedAddress): string =>
  given === address ? address : `${given} (${address})`

const topologyRow = async (settings: Settings, tools: PreflightTools): Promise<CheckRow> => {
  const { proxyTopologyAddresses: addresses, proxyTopologyIndex: index } = settings
  if (addresses.length === 0) {
    const detail = 'one instance alone: drivers see no other'
    return settingsRow('proxy topology', 'pass', detail)
  }
  try {
    const resolving = resolveAdvertised(addresses, tools.resolve)
    const resolved = await within(resolving, CONNECT_TIMEOUT_MAX_MS, tools.clock)
    const list = resolved.map(describeAddress).join(', ')
    return settingsRow('proxy topology', 'pass', `instance ${index} of ${list}`)
  } catch (error) {
    const text = messageOf(error)
    return settingsRow('proxy topology', 'fail', text, 'every instance must resolve them alike')
  }
}

const bothRow = (name: string, verdict: Verdict, detail: string, remedy = ''): CheckRow => ({
  subject: 'Both',
  name,
  verdict,
  detail,
  remedy,
})

/** Other names and addresses may lead to the same cluster: its nodes' ids tell. */
const differenceRow = ([origin, target]: readonly ClusterFindings[]): CheckRow => {
  const originHosts = origin?.topology?.hosts
  const targetHosts = target?.topology?.hosts
  if (originHosts === undefined || targetHosts === undefined) {
    return bothRow('two clusters', 'skipped', 'needs the nodes of both')
  }
  const ids = new Set(originHosts.map(({ hostId }) => hostId))
  const shared = targetHosts.find(({ hostId }) => ids.has(hostId))
  if (shared === undefined) return bothRow('two clusters', 'pass', 'they have no node in common')
  return bothRow(
    'two clusters',
    'fail',
    `the node with host id ${shared.hostId} (${shared.address}) is in both: Origin and Target are one cluster`,
    'correct origin_contact_points or target_contact_points: every write would go to the same cluster twice',
  )
}

/** Two machines that are off in opposite directions differ by the sum. */
const clocksRow = ([origin, target]: readonly ClusterFindings[]): CheckRow => {
  const originMs = origin?.clockAheadMs ?? null
  const targetMs = target?.clockAheadMs ?? null
  if (originMs === null || targetMs === null) {
    return bothRow('clocks', 'skipped', 'needs the clocks of both')
  }
  const [verdict, , remedy] = clockVerdict(originMs - targetMs)
  const differenceMs = Math.round(Math.abs(originMs - targetMs))
  return bothRow('clocks', verdict, `Origin and Target differ by ${differenceMs} ms`, remedy)
}

const shortened = (settings: ControlConnectionSettings): ControlConnectionSettings => ({
  ...settings,
  connectTimeoutMs: Math.min(settings.connectTimeoutMs, CONNECT_TIMEOUT_MAX_MS),
})

/** Certificates and bundles, as the start reads them. Where they cannot be used the clusters are tried without. */
const readReach = async (
  settings: Settings,
  { clock }: PreflightTools,
): Promise<readonly [CheckRow, Reach]> => {
  const sources = legSources(settings)
  if (Object.values(sources).every((source) => source === null)) {
    return [settingsRow('certificates', 'skipped', 'no TLS is configured'), BY_SETTINGS_ALONE]
  }
  try {
    const log = createLogger({ level: 'fatal', clock })
    const store = new CertificateStore(sources, { clock, log })
    await store.load()
    const signal = AbortSignal.timeout(BUNDLE_TIMEOUT_MS)
    const astra = await openAstraContacts(store, clock, signal)
    const row = settingsRow('certificates', 'pass', 'they can be used')
    return [row, { tls: tlsMaterial(settings, store), astra }]
  } catch (error) {
    const text = messageOf(error)
    const remedy = 'correct the files: the proxy does not start with these'
    return [settingsRow('certificates', 'fail', text, remedy), BY_SETTINGS_ALONE]
  }
}

/** All rows of the table. `warnings` are those of the loading. Never rejects. */
export const preflight = async (
  settings: Settings,
  warnings: readonly string[],
  tools: PreflightTools,
): Promise<readonly CheckRow[]> => {
  const checkTools = { ...tools, callTimeoutMs: CALL_TIMEOUT_MS }
  const [certificates, reach] = await readReach(settings, tools)
  const [topology, ...findings] = await Promise.all([
    topologyRow(settings, tools),
    ...CLUSTERS.map((cluster) =>
      new ClusterCheck(shortened(connectionSettings(settings, reach, cluster)), checkTools).run(),
    ),
  ])
  return [
    valuesRow(warnings),
    filesRow(settings),
    certificates,
    topology,
    ...findings.flatMap(({ rows }) => rows),
    differenceRow(findings),
    clocksRow(findings),
  ]
}
