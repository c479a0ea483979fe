/**
 * The instances of a deployment seen together: whether they can be reached, agree, and are configured
 * alike; what leaving would take. Pure: what each instance said comes in.
 */
import { plural } from '../plural.ts'
import type { EntryCheck } from './phase.ts'
import { bringInto, doubtsAbout } from './reconciliation.ts'
import type {
  AlignedState,
  CheckOutcome,
  CheckResult,
  ConfigEntry,
  InstanceStatus,
  LeaveReport,
  TableFailures,
} from './report.ts'

/** One instance as the coordinator found it. */
export type Seen = {
  readonly name: string
  readonly status: InstanceStatus | null
  readonly error: string | null
  /** Null where it was not asked, or did not say. */
  readonly config: readonly ConfigEntry[] | null
}

/** An instance's own: these may differ. */
const OWN_SETTINGS: ReadonlySet<string> = new Set([
  'origin_local_rack',
  'target_local_rack',
  'proxy_topology_index',
  'proxy_listen_address',
  'proxy_listen_port',
  'metrics_address',
  'metrics_port',
  'admin_address',
  'admin_port',
  'admin_token_path',
  'routing_state_path',
  'audit_log_path',
  // A secret may be a value here and in a file there; the values are compared, as far as they are shown.
  'origin_username_path',
  'origin_password_path',
  'target_username_path',
  'target_password_path',
  'credentials_map_path',
  'log_level',
  'log_levels',
])

/** Where a file is, is each machine's business; whether there is one is not. */
const comparable = ({ key, value }: ConfigEntry): unknown => {
  if (!key.endsWith('_path')) return value
  return value === '' ? 'not set' : 'set'
}

/** Equal where two states are the same but for who made them, and when. */
export const stateKey = ({ phase, rolledBackFrom, routing }: AlignedState): string =>
  JSON.stringify([phase, rolledBackFrom, routing.primary, routing.readMode, routing.writeMode])

export const statusesOf = (seen: readonly Seen[]): readonly InstanceStatus[] =>
  seen.flatMap(({ status }) => status ?? [])

/** What is wrong with who answered, or null: the one that was asked, or nobody. */
export const identityFault = ({ name, status }: Seen): string | null => {
  if (status === null || status.name === name) return null
  const place = status.instances.indexOf(name)
  const wanted = place < 0 ? '' : `, not ${place}`
  return `${name} is answered by an instance that takes itself for ${status.name} (proxy_topology_index ${status.index}${wanted})`
}

/** Whether the process that answered is one that has been asked under its own name too. */
export const isAskedTwice = (one: Seen, seen: readonly Seen[]): boolean =>
  identityFault(one) !== null &&
  seen.some(
    ({ name, status }) =>
      name === status?.name &&
      name === one.status?.name &&
      status.startedAt === one.status.startedAt,
  )

/** Every instance has answered, each under its own name, and all are alike. */
export const isWhole = (seen: readonly Seen[]): boolean =>
  seen.every((one) => one.status !== null && identityFault(one) === null) && agree(seen)

/** All that were reached are in the same state at the same revision. */
export const agree = (seen: readonly Seen[]): boolean =>
  new Set(statusesOf(seen).map(({ state }) => `${state.revision} ${stateKey(state)}`)).size <= 1

/** Where each that was reached is. */
export const statesText = (seen: readonly Seen[]): string =>
  statusesOf(seen)
    .map(
      ({ name, state }) =>
        `${name}: ${state.phase}, reads from ${state.routing.primary}, revision ${state.revision}`,
    )
    .join('; ')

type Finding = {
  readonly evidence: string
  readonly remedy: string | null
  /** Told and recorded, whatever the phase's table says: nobody can tell. */
  readonly isWarning?: true
}

const reachable = (seen: readonly Seen[]): Finding => {
  const lost = seen.filter(({ status }) => status === null)
  const strangers = seen.flatMap((one) => identityFault(one) ?? [])
  if (lost.length + strangers.length === 0) {
    return {
      evidence: seen.length === 1 ? 'it answers' : `all ${seen.length} answer`,
      remedy: null,
    }
  }
  const remedies = [
    ...(lost.length === 0
      ? []
      : [
          'start them or mend the way to their admin API (admin_address, admin_token_path); take those that are gone out of proxy_topology_addresses',
        ]),
    ...(strangers.length === 0
      ? []
      : [
          'give every instance its own proxy_topology_index, the place of its address in proxy_topology_addresses counted from 0, and the same list; restart those that are wrong',
        ]),
  ]
  return {
    evidence: [...lost.map(({ name, error }) => `${name}: ${error}`), ...strangers].join('; '),
    remedy: remedies.join('; '),
  }
}

const inAgreement = (seen: readonly Seen[]): Finding => {
  const all = statusesOf(seen)
  if (agree(seen)) {
    return { evidence: `all at revision ${all[0]?.state.revision ?? 0}`, remedy: null }
  }
  return {
    evidence: statesText(seen),
    remedy: 'zdm align --like the instance that is right',
  }
}

const equalConfiguration = (seen: readonly Seen[]): Finding => {
  const values = new Map<string, Set<string>>()
  for (const { config } of seen) {
    for (const entry of config ?? []) {
      const { key } = entry
      if (OWN_SETTINGS.has(key)) continue
      values.set(key, (values.get(key) ?? new Set()).add(JSON.stringify(comparable(entry))))
    }
  }
  const different = [...values].filter(([, all]) => all.size > 1)
  if (different.length === 0) {
    return {
      evidence:
        'equal but for what is an instance’s own; secrets are not compared: zdm check tries them',
      remedy: null,
    }
  }
  return {
    evidence: `different: ${different.map(([key, all]) => `${key} (${[...all].join(' and ')})`).join(', ')}`,
    remedy: 'give all instances the same settings and restart those that differ',
  }
}

/** The latest word counts, whichever instance was asked. */
const clustersChecked = (seen: readonly Seen[]): Finding => {
  const [latest] = statusesOf(seen)
    .flatMap(({ lastCheck }) => lastCheck ?? [])
    .sort((a, b) => (a.checkedAt < b.checkedAt ? 1 : -1))
  if (latest === undefined) {
    return {
      evidence: 'nobody has compared the clusters since the instances were started',
      remedy: 'zdm check',
      isWarning: true,
    }
  }
  const { checkedAt, faults, keyspaces } = latest
  const what = `zdm check at ${checkedAt}, of ${plural(keyspaces.length, 'keyspace')},`
  if (faults === 0) return { evidence: `${what} found nothing that loses writes`, remedy: null }
  return {
    evidence: `${what} found ${plural(faults, 'fault')} that would lose writes or stop the proxy`,
    remedy: 'mend them and run zdm check again; with --keyspace where not all are migrated',
  }
}

const FINDINGS: ReadonlyMap<string, (seen: readonly Seen[]) => Finding> = new Map([
  ['instances-reachable', reachable],
  ['instances-agree', inAgreement],
  ['configuration-equal', equalConfiguration],
  ['clusters-checked', clustersChecked],
])

/** Of these checks those that are about all instances together; others are left out. */
export const checkDeployment = (
  checks: readonly EntryCheck[],
  seen: readonly Seen[],
): readonly CheckResult[] =>
  checks.flatMap(({ id, severity }) => {
    const finding = FINDINGS.get(id)?.(seen)
    if (finding === undefined) return []
    const { evidence, remedy, isWarning } = finding
    const bad: CheckOutcome = severity === 'refuse' && isWarning !== true ? 'fail' : 'warn'
    return [{ id, outcome: remedy === null ? 'pass' : bad, evidence, remedy, instance: null }]
  })

/** Sums by table over several instances. */
export const addTables = (all: readonly TableFailures[]): readonly TableFailures[] => {
  const sums = new Map<string, TableFailures>()
  for (const row of all) {
    const key = JSON.stringify([row.keyspace, row.table])
    const known = sums.get(key)
    sums.set(
      key,
      known === undefined
        ? row
        : {
            ...known,
            originOnly: known.originOnly + row.originOnly,
            targetOnly: known.targetOnly + row.targetOnly,
            both: known.both + row.both,
            firstAt: known.firstAt < row.firstAt ? known.firstAt : row.firstAt,
            lastAt: known.lastAt > row.lastAt ? known.lastAt : row.lastAt,
          },
    )
  }
  return [...sums.values()]
}

/** What remains until the clients use Origin alone again. */
export const leaveReport = (seen: readonly Seen[]): LeaveReport => {
  const all = statusesOf(seen)
  const missing = addTables(all.flatMap(({ failedWrites }) => failedWrites.tables)).filter(
    ({ originOnly }) => originOnly > 0,
  )
  const clients = all.reduce((sum, { traffic }) => sum + (traffic?.clientConnections ?? 0), 0)
  const gaps = all.flatMap(({ name, failedWrites }) =>
    failedWrites.originGaps.map((gap) => `${name}: ${gap}`),
  )
  const lost = seen.filter(({ status }) => status === null).map(({ name }) => name)
  const doubts = [
    ...doubtsAbout(all.map(({ state }) => state)),
    ...(lost.length === 0 ? [] : [`what ${lost.join(', ')} has counted is unknown`]),
  ]
  const isComplete = missing.length === 0 && doubts.length === 0 && gaps.length === 0
  const since =
    all
      .map(({ failedWrites }) => failedWrites.originSince)
      .sort()
      .at(-1) ?? ''
  return {
    clientConnections: clients,
    isOriginComplete: isComplete,
    doubts,
    missingOnOrigin: missing,
    since,
    gaps,
    steps: [
      ...(isComplete ? [] : [`Bring to Origin what it lacks: ${bringInto('origin')}`]),
      `Point the clients at Origin and restart them one by one; open now: ${plural(clients, 'connection')}`,
      isComplete
        ? 'When no connection is left, stop the proxies; empty the tables on Target before another attempt'
        : 'When no connection is left, stop the proxies. Keep what is on Target: it may have the only copy of writes that Origin lacks',
    ],
  }
}
