/**
 * Which cluster's schema changes clients hear of, and how each change is told once though that cluster is
 * another one after a switch. A change made through the proxy happens on both clusters, and so comes twice:
 * what came from one waits here for its twin from the other.
 */
import type { Clock } from '../clock.ts'
import { Cluster, otherCluster } from '../routing/cluster.ts'
import type { RoutingState } from '../routing/routing-state.ts'

/** Longer than the clusters are apart with a change that they both make. */
const TWIN_WITHIN_MS = 10_000
/** Per cluster; the oldest goes. */
const WAITING_MAX = 1000

type Waiting = { readonly body: string; readonly atMs: number; isTold: boolean }

/** With `ORIGIN` it is Target's turn only once Target alone gets schema changes. */
export const schemaEventSource = (
  from: 'ORIGIN' | 'PRIMARY',
  { primary, writeMode }: Pick<RoutingState, 'primary' | 'writeMode'>,
): Cluster => {
  if (from === 'PRIMARY') return primary
  return writeMode === 'target_only' ? Cluster.TARGET : Cluster.ORIGIN
}

export class SchemaRelay {
  #source: Cluster = Cluster.ORIGIN
  readonly #clock: Clock
  readonly #tell: (body: Uint8Array) => void
  /** Per cluster, the oldest first: what has not met its twin. */
  readonly #waiting: [Waiting[], Waiting[]] = [[], []]

  /** `tell` passes the body of an event on to the clients. */
  constructor(clock: Clock, tell: (body: Uint8Array) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /**
   * From now on clients hear of this cluster's changes. What it told before is caught up on where the other
   * one, whose word counted then, has not told it yet.
   */
  setSource(source: Cluster): void {
    if (source === this.#source) return
    this.#source = source
    this.#forgetOld()
    for (const waiting of this.#waiting[source]) {
      if (!waiting.isTold) this.#tell(Buffer.from(waiting.body, 'latin1'))
      waiting.isTold = true
    }
  }

  /** The body of a SCHEMA_CHANGE event of a cluster. */
  onEvent(cluster: Cluster, body: Uint8Array): void {
    this.#forgetOld()
    const text = Buffer.from(body).toString('latin1')
    const others = this.#waiting[otherCluster(cluster)]
    const at = others.findIndex((waiting) => waiting.body === text)
    const [twin] = at < 0 ? [] : others.splice(at, 1)
    const isTold = cluster === this.#source && twin?.isTold !== true
    if (isTold) this.#tell(body)
    if (twin !== undefined) return
    const own = this.#waiting[cluster]
    own.push({ body: text, atMs: this.#clock.now(), isTold })
    if (own.length > WAITING_MAX) own.shift()
  }

  /** A change that one cluster alone has made has no twin. */
  #forgetOld(): void {
    const oldestMs = this.#clock.now() - TWIN_WITHIN_MS
    for (const waiting of this.#waiting) {
      while (waiting.length > 0 && waiting[0]!.atMs < oldestMs) waiting.shift()
    }
  }
}
