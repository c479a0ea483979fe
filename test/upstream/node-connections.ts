/** Real upstream connections to a fake cluster, for the tests of this folder. */
import { Version, versionTraits } from '../../src/cql/protocol.ts'
import { NodeMetrics } from '../../src/metrics/node-metrics.ts'
import { Dialer } from '../../src/net/dialer.ts'
import { Flusher } from '../../src/net/output.ts'
import { Turn } from '../../src/turn.ts'
import {
  type ConnectionOptions,
  UpstreamConnection,
  type UpstreamListener,
} from '../../src/upstream/connection.ts'
import { completeHandshake } from '../../src/upstream/handshake.ts'
import type { Credentials } from '../../src/upstream/profile.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeCluster, type FakeClusterOptions } from '../support/fake-cluster/cluster.ts'

export const STARTUP_OPTIONS: ReadonlyMap<string, string> = new Map([['CQL_VERSION', '3.0.0']])

/** What a connection told its listener, in words; waits for the next. */
export class RecordingListener implements UpstreamListener {
  readonly told: string[] = []
  readonly answers: { readonly request: number; readonly envelope: Uint8Array }[] = []
  readonly lost: { readonly requests: number[]; readonly cause: Error | null }[] = []
  readonly #waiters = new Set<{ readonly isDone: () => boolean; readonly resolve: () => void }>()

  onAnswer(
    _connection: UpstreamConnection,
    request: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.answers.push({ request, envelope: bytes.slice(start, end) })
    this.note(`answer ${request}`)
  }

  onEvent(): void {
    this.note('event')
  }

  onLateAnswer(): void {
    this.note('late')
  }

  onWritable(): void {
    this.note('writable')
  }

  onLost(connection: UpstreamConnection, cause: Error | null): void {
    this.lost.push({ requests: connection.requests(), cause })
    this.note('lost')
  }

  until(isDone: () => boolean): Promise<void> {
    if (isDone()) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiters.add({ isDone, resolve })
    return promise
  }

  note(what: string): void {
    this.told.push(what)
    for (const waiter of this.#waiters) {
      if (!waiter.isDone()) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }
}

/** Everything that connections need, with a clock that stands still. */
export class Harness {
  readonly clock = new FakeClock()
  readonly listener = new RecordingListener()
  readonly context = {
    dialer: new Dialer(),
    flusher: new Flusher((flush) => setImmediate(flush)),
    turn: new Turn(this.clock),
  }
  readonly opened: UpstreamConnection[] = []

  options(cluster: FakeCluster, changes: Partial<ConnectionOptions> = {}): ConnectionOptions {
    const endpoint = changes.endpoint ?? { address: '127.0.0.1', port: cluster.port }
    const node = changes.node ?? `${endpoint.address}:${endpoint.port}`
    return {
      metrics: new NodeMetrics('origin', node, [1]),
      cluster: 0,
      endpoint,
      node,
      traits: versionTraits(Version.V4)!,
      streamIdsMax: 128,
      connectTimeoutMs: 5_000,
      callTimeoutMs: () => 10_000,
      ...changes,
    }
  }

  async open(
    cluster: FakeCluster,
    changes: Partial<ConnectionOptions> = {},
    signal?: AbortSignal,
  ): Promise<UpstreamConnection> {
    const options = this.options(cluster, changes)
    const connection = await UpstreamConnection.open(options, this.context, this.listener, signal)
    this.opened.push(connection)
    return connection
  }

  async openReady(
    cluster: FakeCluster,
    changes: Partial<ConnectionOptions> = {},
    profile: { credentials?: Credentials | null; keyspace?: string | null } = {},
    signal?: AbortSignal,
  ): Promise<UpstreamConnection> {
    const connection = await this.open(cluster, changes, signal)
    const { credentials = null, keyspace = null } = profile
    await completeHandshake(connection, STARTUP_OPTIONS, credentials, keyspace)
    return connection
  }

  /** Asks all connections to end the calls whose time is over. */
  sweep(): void {
    const nowMs = this.context.turn.begin()
    for (const connection of this.opened) connection.sweep(nowMs)
  }

  close(): void {
    for (const connection of this.opened) connection.destroy()
  }
}

/** A fake cluster and what connects to it; both end with the test. */
export const start = async (
  options: Partial<FakeClusterOptions> = {},
): Promise<{ cluster: FakeCluster; harness: Harness; listener: RecordingListener }> => {
  const cluster = await FakeCluster.start({ name: 'origin', ...options })
  const harness = new Harness()
  afterTest(
    () => cluster.stop(),
    () => harness.close(),
  )
  return { cluster, harness, listener: harness.listener }
}
