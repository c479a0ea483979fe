/** Writes that one cluster lacks, in the log: once a minute for each table and cluster, as long as there are more. */
import type { Logger } from '../log.ts'
import type { FailedTable } from '../metrics/plane-series.ts'
import { plural } from '../plural.ts'
import { CLUSTERS, Cluster, clusterLabel, clusterName } from '../routing/cluster.ts'
import { sumByTable } from './failure-book.ts'

export class MissingWritesLog {
  readonly #log: Logger
  /** By table and cluster, what was counted when it was last looked at. */
  readonly #known = new Map<string, number>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** Takes the counts of this run, of all threads. */
  sample(rows: readonly FailedTable[]): void {
    const tables = [...sumByTable(rows).values()]
    for (const cluster of CLUSTERS) {
      for (const { keyspace, table, originOnly, targetOnly } of tables) {
        const name = keyspace === '' ? table : `${keyspace}.${table}`
        this.#look(cluster, name, cluster === Cluster.ORIGIN ? originOnly : targetOnly)
      }
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
      `${plural(writes, 'write')} to ${what} since the start failed on ${clusterName(cluster)} alone and may be missing there: their clients were told, and must have tried again`,
    )
  }
}
