/**
 * What the findings about Origin and Target mean together: whether they are two, whether one client can
 * speak to both, and where they differ. Pure.
 */

import { type Host, nodeInBoth } from '../cluster/host.ts'
import { compareReleases, offeredOptions } from '../cluster/supported-options.ts'
import { COMPRESSIONS } from '../cql/compression.ts'
import { formatEndpoint } from '../net/dialer.ts'
import { plural } from '../plural.ts'
import type { ClusterFindings } from './cluster-check.ts'
import { clockVerdict } from './cluster-check.ts'
import { compareNodeSettings } from './node-settings.ts'
import { bySeverity, type Difference, difference, type Severity } from './schema.ts'
import { comparedKeyspaces, compareSchemas } from './schema-comparison.ts'
import type { Places } from './schema-options.ts'
import type { CheckRow, Verdict } from './verdict.ts'

export type Both = readonly [origin: ClusterFindings, target: ClusterFindings]

const row = (name: string, verdict: Verdict, detail: string, remedy = ''): CheckRow => ({
  subject: 'Both',
  name,
  verdict,
  detail,
  remedy,
})

/** Other names may lead to the same cluster: its nodes tell. */
const twoClusters = ([origin, target]: Both): CheckRow => {
  const originHosts = origin.topology?.hosts
  const targetHosts = target.topology?.hosts
  if (originHosts === undefined || targetHosts === undefined) {
    return row('two clusters', 'skipped', 'needs the nodes of both')
  }
  const name = 'two clusters'
  const shared = nodeInBoth(originHosts, targetHosts)
  if (shared !== undefined) {
    return row(
      name,
      'fail',
      `the node with host id ${shared.hostId} (${shared.address}) is in both: Origin and Target are one cluster`,
      'correct origin_contact_points or target_contact_points: every write would go to the same cluster twice',
    )
  }
  const byId = new Map(originHosts.map((host) => [host.hostId, host]))
  const alike = targetHosts.find(({ hostId }) => byId.has(hostId))
  if (alike === undefined) return row(name, 'pass', 'they have no node in common')
  const { hostId } = alike
  const at = ({ address, port }: Host): string => formatEndpoint(address, port)
  return row(
    name,
    'warn',
    `${hostId} is the host id of ${at(byId.get(hostId)!)} in Origin and of ${at(alike)} in Target`,
    'fine if a machine was cloned; if one cluster is reached over two networks, correct origin_contact_points or target_contact_points',
  )
}

const releaseOf = ({ topology }: ClusterFindings): string | null =>
  topology?.hosts[0]?.releaseVersion ?? null

/** Going down is not what Cassandra is tested for: types, functions and limits may be missing. */
const releases = ([origin, target]: Both): CheckRow => {
  const here = releaseOf(origin)
  const there = releaseOf(target)
  if (here === null || there === null) return row('releases', 'skipped', 'needs the nodes of both')
  const detail = `Origin ${here}, Target ${there}`
  const major = (release: string): string => release.split('.').slice(0, 2).join('.')
  if (compareReleases(major(there), major(here)) >= 0) return row('releases', 'pass', detail)
  const text = `${detail}: what only the newer one knows fails on Target`
  return row('releases', 'warn', text, 'let Target be of the same release or a later one')
}

/** Without a common version no client gets in. */
const protocolVersions = ([origin, target]: Both, blocked: readonly number[]): CheckRow => {
  const name = 'client protocol'
  if (origin.offering === null || target.offering === null) {
    return row(name, 'skipped', 'needs the protocol versions of both')
  }
  const options = offeredOptions(origin.offering, target.offering, COMPRESSIONS, blocked)
  const versions = options.get('PROTOCOL_VERSIONS') ?? []
  const compressions = options.get('COMPRESSION') ?? []
  if (versions.length === 0) {
    const remedy =
      'see blocked_protocol_versions; else one of the clusters is too old for the other'
    return row(name, 'fail', 'no version is spoken by both and allowed', remedy)
  }
  const packed = compressions.length === 0 ? 'no compression' : compressions.join(', ')
  return row(name, 'pass', `versions ${versions.join(', ')}; ${packed}`)
}

const shortName = (partitioner: string): string =>
  partitioner.slice(partitioner.lastIndexOf('.') + 1)

const partitioners = ([origin, target]: Both): CheckRow => {
  const here = origin.topology?.partitioner ?? null
  const there = target.topology?.partitioner ?? null
  if (here === null || there === null) {
    return row('partitioners', 'skipped', 'needs the nodes of both')
  }
  if (shortName(here) === shortName(there)) return row('partitioners', 'pass', shortName(here))
  return row(
    'partitioners',
    'warn',
    `${shortName(here)} in Origin, ${shortName(there)} in Target: rows come in another order, and token() means another thing`,
    'do not page over the change of the primary; compare_async_reads leaves unfinished pages out',
  )
}

/** Two machines that are off in opposite directions differ by the sum. */
const clocks = ([origin, target]: Both): CheckRow => {
  const { clockAheadMs: originMs } = origin
  const { clockAheadMs: targetMs } = target
  if (originMs === null || targetMs === null) {
    return row('clocks', 'skipped', 'needs the clocks of both')
  }
  const [verdict, , remedy] = clockVerdict(originMs - targetMs)
  const differenceMs = Math.round(Math.abs(originMs - targetMs))
  return row('clocks', verdict, `Origin and Target differ by ${differenceMs} ms`, remedy)
}

const settings = ([origin, target]: Both, differences: readonly Difference[]): CheckRow => {
  const name = 'node settings'
  if (origin.settings === null || target.settings === null) {
    return row(name, 'skipped', 'needs system_views.settings of both (Cassandra 4.0 and later)')
  }
  if (differences.length === 0) return row(name, 'pass', 'Target refuses nothing that Origin takes')
  const detail = `Target is stricter in ${differences.map(({ subject }) => subject).join(', ')}`
  return row(name, 'warn', detail, 'see the differences')
}

/** What was compared, and what differs. */
export type SchemaFindings = {
  readonly keyspaces: readonly string[]
  /** Too large to be compared with the rest: to be asked for by name. */
  readonly unread: readonly string[]
  readonly tables: number
  /** The worst first. */
  readonly differences: readonly Difference[]
}

const placesOf = ([origin, target]: Both): Places | null => {
  if (origin.topology === null || target.topology === null) return null
  const place = ({ hosts, localDatacenter }: typeof origin.topology) => ({
    datacenters: [...new Set(hosts.map(({ datacenter }) => datacenter))],
    localDatacenter,
  })
  return { origin: place(origin.topology), target: place(target.topology) }
}

const NAMED_MAX = 10

const listed = (names: readonly string[]): string =>
  names.length <= NAMED_MAX
    ? names.join(', ')
    : `${names.slice(0, NAMED_MAX).join(', ')} and ${names.length - NAMED_MAX} more`

export const countOf = (differences: readonly Difference[], severity: Severity): number =>
  differences.filter((one) => one.severity === severity).length

const schemas = (
  { keyspaces, unread, tables, differences }: SchemaFindings,
  faultIs: Verdict,
): CheckRow => {
  const errors = countOf(differences, 'error')
  const warnings = countOf(differences, 'warning')
  const where = `${plural(tables, 'table')} in ${keyspaces.length === 0 ? 'no keyspace' : `keyspaces ${listed(keyspaces)}`}`
  const notes = countOf(differences, 'note')
  const detail = `${where}: ${plural(errors, 'error')}, ${plural(warnings, 'warning')}, ${plural(notes, 'note')}`
  if (errors > 0) {
    return row('schemas', faultIs, detail, 'see the differences: writes fail or are lost')
  }
  if (unread.length > 0) {
    const text = `${detail}; not compared, because they are too large: ${listed(unread)}`
    return row('schemas', 'warn', text, 'ask for each of them alone: zdm check --keyspace')
  }
  return row(
    'schemas',
    warnings > 0 ? 'warn' : 'pass',
    detail,
    warnings > 0 ? 'see the differences' : '',
  )
}

const wantedKeyspaces = ([origin, target]: Both, wanted: readonly string[]): CheckRow[] => {
  if (origin.schema === null || target.schema === null) return []
  const here = origin.schema.keyspaces.map(({ name }) => name)
  const there = target.schema.keyspaces.map(({ name }) => name)
  const lost = wanted.filter((name) => !here.includes(name))
  if (lost.length === 0) return []
  const isSomewhere = (name: string): string =>
    there.includes(name) ? `${name} (Target has it)` : `${name} (nor has Target)`
  const detail = `Origin does not have ${lost.map(isSomewhere).join(', ')}`
  return [
    row(
      'keyspaces',
      'fail',
      detail,
      'names are case-sensitive; without --keyspace all are compared',
    ),
  ]
}

export type BothFindings = {
  readonly rows: readonly CheckRow[]
  /** Null where the schema of either could not be read. */
  readonly schema: SchemaFindings | null
}

export type BothOptions = {
  /** Protocol versions that clients may not use. */
  readonly blocked: readonly number[]
  /** Keyspaces that were asked for; none: all. */
  readonly keyspaces: readonly string[]
  /** What differences that lose writes make of the check. */
  readonly faultIs: Verdict
  /** What the settings alone say. */
  readonly hints: readonly Difference[]
}

/**
 * Rows of the subject "Both", and how the schemas differ; `faultIs` is the verdict on what loses writes.
 */
export const judgeBoth = (both: Both, options: BothOptions): BothFindings => {
  const [origin, target] = both
  const stricter =
    origin.settings === null || target.settings === null
      ? []
      : compareNodeSettings(origin.settings, target.settings)
  const rows = [
    twoClusters(both),
    releases(both),
    protocolVersions(both, options.blocked),
    partitioners(both),
    clocks(both),
    settings(both, stricter),
  ]
  if (origin.schema === null || target.schema === null) {
    return { rows: [...rows, row('schemas', 'skipped', 'needs the schemas of both')], schema: null }
  }
  const keyspaces = comparedKeyspaces(origin.schema, target.schema)
  const compared = new Set(keyspaces)
  const schema: SchemaFindings = {
    keyspaces,
    unread: [...new Set([...origin.schema.unread, ...target.schema.unread])],
    tables: origin.schema.tables.filter(({ keyspace }) => compared.has(keyspace)).length,
    differences: bySeverity([
      ...compareSchemas(origin.schema, target.schema, placesOf(both)),
      ...stricter,
      ...options.hints,
    ]),
  }
  return {
    rows: [...rows, ...wantedKeyspaces(both, options.keyspaces), schemas(schema, options.faultIs)],
    schema,
  }
}

/** Nothing that is wrong, but what makes clusters differ if statements need it. */
export const hintsOf = (settings: {
  readonly replaceCqlFunctions: boolean
  readonly unifyWriteTimestamps: boolean
}): readonly Difference[] => [
  ...(settings.replaceCqlFunctions
    ? []
    : [
        difference(
          'note',
          'replace_cql_functions',
          'is off: now(), uuid() and the like give each cluster a value of its own, and in a key another row',
          'set it to true where writes use them: functions_unreplaced_statements_total and the log tell which do',
        ),
      ]),
  ...(settings.unifyWriteTimestamps
    ? []
    : [
        difference(
          'note',
          'unify_write_timestamps',
          'is off: each cluster stamps writes that come without a timestamp by its own clock',
          'set it to true where drivers send none and the order of close writes matters',
        ),
      ]),
]
