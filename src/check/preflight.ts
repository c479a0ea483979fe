/**
 * Whether a proxy with these settings can serve, and whether the migration can succeed: `zdm-proxy --check`
 * before it serves, `zdm check` by one that runs. Both clusters are asked at the same time, over connections
 * of the check's own; every step is bounded by a time-out (operations §11, A3).
 */
import { accessSync, constants } from 'node:fs'
import { CertificateStore, type LegSources } from '../certificates/certificate-store.ts'
import type { Clock } from '../clock.ts'
import type { ControlConnectionSettings } from '../cluster/control-contract.ts'
import { camelCase, DEFINITIONS, type Settings } from '../config/settings.ts'
import { createLogger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import { type AdvertisedAddress, resolveAdvertised } from '../reach/advertised-addresses.ts'
import {
  BY_SETTINGS_ALONE,
  blockedVersions,
  connectionSettings,
  type Reach,
} from '../reach/connection-settings.ts'
import { legSources, openAstraContacts, serverSources, tlsMaterial } from '../reach/tls-legs.ts'
import { Cluster } from '../routing/cluster.ts'
import { hintsOf, judgeBoth, type SchemaFindings } from './both-clusters.ts'
import { ClusterCheck, type ClusterFindings } from './cluster-check.ts'
import { within } from './reach.ts'
import type { CheckRow, Verdict } from './verdict.ts'

/** A check is not worth the patience of a start: 30 s by default. */
const CONNECT_TIMEOUT_MAX_MS = 5_000
const CALL_TIMEOUT_MS = 10_000

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

const shortened = (settings: ControlConnectionSettings): ControlConnectionSettings => ({
  ...settings,
  connectTimeoutMs: Math.min(settings.connectTimeoutMs, CONNECT_TIMEOUT_MAX_MS),
})

const certificatesRow = (faults: readonly string[]): CheckRow =>
  faults.length === 0
    ? settingsRow('certificates', 'pass', 'they can be used')
    : settingsRow(
        'certificates',
        'fail',
        faults.join('; '),
        'correct the files: the proxy does not start with these',
      )

/**
 * Certificates, tokens and bundles, as the start reads them. Where those of the legs cannot be used the clusters are
 * tried without.
 */
const readReach = async (
  settings: Settings,
  { clock }: PreflightTools,
  signal: AbortSignal,
): Promise<readonly [CheckRow, Reach]> => {
  const [legs, servers] = [legSources(settings), serverSources(settings)]
  if ([...Object.values(legs), ...Object.values(servers)].every((source) => source === null)) {
    const nothing = 'no TLS and no tokens are configured'
    return [settingsRow('certificates', 'skipped', nothing), BY_SETTINGS_ALONE]
  }
  const load = async (sources: LegSources): Promise<CertificateStore> => {
    const log = createLogger({ level: 'fatal', clock })
    const store = new CertificateStore(sources, { clock, log })
    await store.load()
    return store
  }
  const faults: string[] = []
  await load(servers).catch((error: unknown) => faults.push(messageOf(error)))
  try {
    const store = await load(legs)
    const astra = await openAstraContacts(settings, store, clock, signal)
    return [certificatesRow(faults), { tls: tlsMaterial(settings, store), astra }]
  } catch (error) {
    return [certificatesRow([messageOf(error), ...faults]), BY_SETTINGS_ALONE]
  }
}

/** What is to be looked at. */
export type Question = {
  /** Whose schemas are compared; none named: all but the clusters' own. Null: none at all. */
  readonly keyspaces: readonly string[] | null
  /** What schemas that lose writes make of the check. */
  readonly faultIs: 'warn' | 'fail'
  /** What was odd when the settings were loaded; null where others have told it. */
  readonly warnings: readonly string[] | null
  /** Of all questions to clusters and services together; what is under way then fails, within 5 s. */
  readonly timeoutMs: number
}

export type Preflight = {
  /** All rows of the table. */
  readonly rows: readonly CheckRow[]
  /** Null where schemas were not asked for, or could not be read. */
  readonly schema: SchemaFindings | null
}

/** Never rejects. */
export const preflight = async (
  settings: Settings,
  { keyspaces, faultIs, warnings, timeoutMs }: Question,
  tools: PreflightTools,
): Promise<Preflight> => {
  const { clock } = tools
  const tooLong = new AbortController()
  const timer = clock.setTimeout(() => tooLong.abort(), timeoutMs)
  const { signal } = tooLong
  const checkTools = { ...tools, callTimeoutMs: CALL_TIMEOUT_MS, signal, keyspaces }
  const checkCluster = (reach: Reach, cluster: Cluster): Promise<ClusterFindings> =>
    new ClusterCheck(shortened(connectionSettings(settings, reach, cluster)), checkTools).run()
  try {
    const [certificates, reach] = await readReach(settings, tools, signal)
    const [topology, origin, target] = await Promise.all([
      topologyRow(settings, tools),
      checkCluster(reach, Cluster.ORIGIN),
      checkCluster(reach, Cluster.TARGET),
    ])
    const both = judgeBoth([origin, target], {
      blocked: blockedVersions(settings),
      keyspaces: keyspaces ?? [],
      faultIs,
      hints: hintsOf(settings),
    })
    const own = warnings === null ? [] : [valuesRow(warnings)]
    const settingsRows = [...own, filesRow(settings), certificates, topology]
    const rows = [...settingsRows, ...origin.rows, ...target.rows, ...both.rows]
    return { rows, schema: both.schema }
  } finally {
    clock.clearTimeout(timer)
  }
}
