/**
 * What keyspaces and tables say of themselves besides their columns: replication, time to live and the like.
 * Most of it may differ between the clusters; this tells what follows where it does. Pure.
 */
import {
  cqlName,
  type Difference,
  difference,
  type Keyspace,
  qualifiedName,
  type Table,
} from './schema.ts'

/** Where a cluster's replicas can be. */
export type Place = { readonly datacenters: readonly string[]; readonly localDatacenter: string }
export type Places = { readonly origin: Place; readonly target: Place }

const SIMPLE_FACTOR = 'replication_factor'

/** Replicas that answer a LOCAL_ consistency level; null where the strategy does not tell. */
const localReplicas = ({ strategy, replicas }: Keyspace, place: Place): number | null => {
  if (strategy === 'NetworkTopologyStrategy') return replicas.get(place.localDatacenter) ?? 0
  return replicas.get(SIMPLE_FACTOR) ?? null
}

const compareReplication = (
  origin: Keyspace,
  target: Keyspace,
  { origin: here, target: there }: Places,
): Difference[] => {
  const { name, strategy, replicas } = target
  const found: Difference[] = []
  const isByDatacenter = strategy === 'NetworkTopologyStrategy'
  const strangers = [...replicas.keys()].filter((dc) => !there.datacenters.includes(dc))
  const count = localReplicas(target, there)
  const before = localReplicas(origin, here)
  if (isByDatacenter && count === 0) {
    const text = `has no replica in Target's datacenter ${there.localDatacenter}, whose nodes this proxy uses: LOCAL_QUORUM and LOCAL_ONE fail there`
    const remedy = `on Target: ALTER KEYSPACE ${cqlName(name)} with replicas in ${there.localDatacenter}`
    found.push(difference('error', name, text, remedy))
  } else if (count !== null && before !== null && count < before) {
    const text = `has ${count} replicas in Target and ${before} in Origin: fewer nodes may be down there before writes fail, for the clients too`
    found.push(difference('warning', name, text, 'give it as many on Target'))
  }
  if (isByDatacenter && strangers.length > 0) {
    const text = `names datacenters that Target does not have (${strangers.join(', ')}): QUORUM and ALL count replicas that are nowhere`
    const remedy = `Target has ${there.datacenters.join(', ')}`
    found.push(difference('warning', name, text, remedy))
  }
  if (strategy === 'SimpleStrategy' && there.datacenters.length > 1) {
    const text = `has SimpleStrategy in Target, which has ${there.datacenters.length} datacenters: its replicas are in any of them`
    found.push(difference('warning', name, text, 'use NetworkTopologyStrategy on Target'))
  }
  return found
}

/** Replication and durable writes. `places` null: the datacenters of the clusters are not known. */
export const compareKeyspaceOptions = (
  origin: Keyspace,
  target: Keyspace,
  places: Places | null,
): Difference[] => {
  const found = places === null ? [] : compareReplication(origin, target, places)
  if (origin.hasDurableWrites && !target.hasDurableWrites) {
    const text =
      'has no durable writes in Target: a node that crashes there forgets writes that clients were told of'
    const remedy = `on Target: ALTER KEYSPACE ${cqlName(target.name)} WITH durable_writes = true`
    found.push(difference('warning', target.name, text, remedy))
  }
  return found
}

const inWords = (seconds: number): string => (seconds === 0 ? 'for ever' : `${seconds} s`)

/** Rows that are gone on Target while Origin has them are lost; the other way round they linger. */
const compareTtl = (subject: string, origin: Table, target: Table): Difference[] => {
  if (origin.defaultTtl === target.defaultTtl) return []
  const isShorter =
    target.defaultTtl !== 0 && (origin.defaultTtl === 0 || target.defaultTtl < origin.defaultTtl)
  const text = `keeps rows without a TTL of their own ${inWords(origin.defaultTtl)} in Origin and ${inWords(target.defaultTtl)} in Target`
  const remedy = `on Target: ALTER TABLE ${qualifiedName(target.keyspace, target.name)} WITH default_time_to_live = ${origin.defaultTtl}`
  return [
    isShorter
      ? difference(
          'error',
          subject,
          `${text}: writes are lost there when their time is over`,
          remedy,
        )
      : difference(
          'warning',
          subject,
          `${text}: rows that are over come back to life once Target serves reads`,
          remedy,
        ),
  ]
}

/** What may differ, but is worth knowing. */
const optionsOf = ({
  gcGraceSeconds,
  compaction,
  isCompact,
}: Table): Readonly<Record<string, string>> => ({
  gc_grace_seconds: String(gcGraceSeconds),
  compaction,
  'COMPACT STORAGE': isCompact ? 'yes' : 'no',
})

/** How long rows stay, and what may differ but is worth knowing. */
export const compareTableOptions = (
  subject: string,
  origin: Table,
  target: Table,
): Difference[] => {
  const here = optionsOf(origin)
  const there = optionsOf(target)
  const different = Object.keys(here).filter((name) => here[name] !== there[name])
  const list = different.map((name) => `${name} ${here[name]} and ${there[name]}`).join(', ')
  const isGraceless = target.gcGraceSeconds < origin.gcGraceSeconds
  return [
    ...compareTtl(subject, origin, target),
    ...(different.length === 0
      ? []
      : [
          difference(
            'note',
            subject,
            `has other options in Origin and Target: ${list}; the proxy does not mind`,
            isGraceless
              ? 'finish the copy within gc_grace_seconds: else it may bring back what was deleted meanwhile'
              : '',
          ),
        ]),
  ]
}
