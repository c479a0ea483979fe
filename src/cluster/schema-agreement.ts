/**
 * Whether a cluster's nodes have the same schema, asked after a change of it. A node takes a change from
 * the one that coordinated it, and tells its version by gossip: until all have it, a request may meet a node
 * that does not know the table. Drivers wait by comparing versions themselves, but what they see through
 * the proxy are its own virtual tables, in which all instances always agree.
 *
 * Knows no connections: what is read, and who can be reached, is asked for by the tools.
 */
import type { Clock, Timer } from '../clock.ts'
import type { Logger } from '../log.ts'
import { type Cluster, clusterLabel, clusterName } from '../routing/cluster.ts'
import type { Host } from './host.ts'

/** As long as drivers wait. */
const WAIT_MAX_MS = 10_000
const LOOK_EVERY_MS = 200
/** A version that has not moved may be one that the change left as it was, or one that is not known yet. */
const UNMOVED_MAX_MS = 1_000
/** For so long a node that could not be reached is not asked for again. */
const UNREACHABLE_FOR_MS = 30_000

export type SchemaAgreementTools = {
  readonly cluster: Cluster
  readonly clock: Clock
  readonly log: Logger
  /** Ends every wait. */
  readonly closing: AbortSignal
  /** All hosts as they are now, the one that was asked first; null where nobody could be asked. */
  read(): Promise<readonly Host[] | null>
  isReachable(host: Host): Promise<boolean>
}

export class SchemaAgreement {
  readonly #tools: SchemaAgreementTools
  /** Until when, by host id. */
  readonly #unreachable = new Map<string, number>()

  constructor(tools: SchemaAgreementTools) {
    this.#tools = tools
  }

  /**
   * Resolves when all nodes that can be reached have one schema version and it is another one than `before`,
   * or when the wait is given up: 10 s, said in the log. Never rejects.
   */
  async wait(before: string | null): Promise<void> {
    const { clock, closing, cluster, log } = this.#tools
    const over = new AbortController()
    const { signal } = over
    const end = (): void => over.abort()
    const timer = clock.setTimeout(end, WAIT_MAX_MS)
    // Taken away again: AbortSignal.any would stay with `closing`, one more for each change of the schema.
    closing.addEventListener('abort', end)
    if (closing.aborted) end()
    const ended = whenAborted(signal)
    const startMs = clock.now()
    for (const [hostId, untilMs] of this.#unreachable) {
      if (untilMs <= startMs) this.#unreachable.delete(hostId)
    }
    let last: readonly Host[] | null = null
    try {
      for (let look = 0; !signal.aborted; look++) {
        if (look > 0) await this.#pause(ended)
        const hosts = await Promise.race([this.#tools.read(), ended])
        if (hosts === null) continue
        // A second disagreement: a node that is down keeps its version in the tables.
        if (look > 0) await Promise.race([this.#leaveOutUnreachable(hosts), ended])
        last = this.#live(hosts)
        if (isAgreed(last, before, clock.now() - startMs >= UNMOVED_MAX_MS)) return
      }
    } finally {
      clock.clearTimeout(timer)
      closing.removeEventListener('abort', end)
    }
    if (closing.aborted) return
    const name = clusterName(cluster)
    log.limited(
      `SCHEMA_DISAGREEMENT ${cluster}`,
      'warn',
      { code: 'SCHEMA_DISAGREEMENT', cluster: clusterLabel(cluster) },
      `${name} does not agree on its schema ${WAIT_MAX_MS} ms after a change, which is answered all the same: ${describe(last)}`,
    )
  }

  async #pause(ended: Promise<null>): Promise<void> {
    const { clock } = this.#tools
    let timer: Timer | null = null
    const passed = new Promise<void>((resolve) => {
      timer = clock.setTimeout(resolve, LOOK_EVERY_MS)
    })
    await Promise.race([passed, ended])
    clock.clearTimeout(timer)
  }

  #live(hosts: readonly Host[]): readonly Host[] {
    return hosts.filter(({ hostId }) => !this.#unreachable.has(hostId))
  }

  /** Looks at those that disagree with the node that was asked. */
  async #leaveOutUnreachable(hosts: readonly Host[]): Promise<void> {
    const { clock, isReachable } = this.#tools
    const dissenters = this.#live(hosts).filter(
      (host) => host.schemaVersion !== hosts[0]!.schemaVersion,
    )
    await Promise.all(
      dissenters.map(async (host) => {
        if (await isReachable(host)) return
        this.#unreachable.set(host.hostId, clock.now() + UNREACHABLE_FOR_MS)
      }),
    )
  }
}

const isAgreed = (hosts: readonly Host[], before: string | null, isLate: boolean): boolean => {
  const versions = new Set(versionsOf(hosts))
  if (versions.size > 1) return false
  return isLate || hosts.length === 1 || before === null || !versions.has(before)
}

/** A peer's row may be there before its version is. */
const versionsOf = (hosts: readonly Host[]): string[] =>
  hosts.flatMap(({ schemaVersion }) => (schemaVersion === null ? [] : [schemaVersion]))

const describe = (hosts: readonly Host[] | null): string =>
  hosts === null
    ? 'no node could be asked'
    : hosts.map(({ address, schemaVersion }) => `${address} has ${schemaVersion}`).join(', ')

const whenAborted = (signal: AbortSignal): Promise<null> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(null)
    signal.addEventListener('abort', () => resolve(null), { once: true })
  })
