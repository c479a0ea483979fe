/** Writes that one cluster lacks, in the log: once a minute for each table and cluster, as long as there are more. */
import type { Logger } from '../log.ts'
import type { FailedTable } from '../metrics/plane-series.ts'
import { CLUSTERS, Cluster, clusterLabel, clusterName } from '../routing/cluster.ts'

export class MissingWritesLog {
  readonly #log: Logger
  /** By table and cluster, what was counted when it was last looked at. */
  #known = new Map<string, number>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** Takes the counts of this run, of all threads. */
  sample(rows: readonly FailedTable[]): void {
    for (const cluster of CLUSTERS) {
      const sums = new Map<string, number>()
      for (const { keyspace, table, originOnly, targetOnly } of rows) {
        const name = keyspace === '' ? table : `${keyspace}.${table}`
        const missing = cluster === Cluster.ORIGIN ? originOnly : targetOnly
        sums.set(name, (sums.get(name) ?? 0) + missing)
      }
      for (const [name, writes] of sums) this.#look(cluster, name, writes)
    }
  }

  #look(cluster: Cluster, table: string, writes: number): void {
    const key = `WRITES_MISSING ${clusterLabel(cluster)} ${table}`
    if (writes <= (this.#known.get(key) ?? 0)) return
    this.#known.set(key, writes)
    const what = table === '' ? 'statements whose table is not known' : table
    this.#log.limited(
      key,
      'warn',
      { code: 'WRITES_MISSING', cluster: clusterLabel(cluster), table, writes },
      `${writes} writes to ${what} since the start have failed on ${clusterName(cluster)} alone and may be missing there: their clients were told, and must have tried again`,
    )
  }
}
