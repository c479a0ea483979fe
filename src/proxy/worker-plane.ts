/** A data plane in a thread of its own, as the control plane holds it. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { MismatchSample } from '../async/mismatch-samples.ts'
import type { Clock } from '../clock.ts'
import type { ClientGroups, ClientSelection } from '../control/report.ts'
import type { LogLevels } from '../log-levels.ts'
import type { PlaneSeries } from '../metrics/plane-series.ts'
import type { TlsMaterial } from '../net/tls.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { ClientEvent } from '../session/client-events.ts'
import type { Snapshot } from '../session/context.ts'
import { type Quiescence, quiescenceBoundMs } from '../session/quiescence.ts'
import type { SchemaQuestion } from '../session/schema-changes.ts'
import type { TracedRequest } from '../tracing/traced-request.ts'
import type { DataPlaneSettings, SchemaAgreementCall } from './data-plane-options.ts'
import type { Plane } from './plane.ts'
import { ANSWER_TIMEOUT_MS, PlaneCalls } from './plane-calls.ts'
import type { FromPlane, NodeStatus, PlaneStart, ToPlane } from './plane-messages.ts'

/** On top of the longest that a change waits for requests in flight. */
const ROUTE_GRACE_MS = 2000

export type WorkerPlaneListener = {
  /** The thread ended without having been told to. */
  onDeath(error: Error): void
  readonly schemaAgreement: SchemaAgreementCall
  onTraced(requests: readonly TracedRequest[]): void
}

export class WorkerPlane implements Plane {
  readonly #worker: Worker
  readonly #calls: PlaneCalls
  readonly #listener: WorkerPlaneListener
  #requestTimeoutMs: number
  #lastSeries: PlaneSeries | null = null
  #isClosing = false

  constructor(start: PlaneStart, clock: Clock, listener: WorkerPlaneListener) {
    this.#listener = listener
    this.#calls = new PlaneCalls(start.index, (message) => this.#post(message), clock)
    this.#requestTimeoutMs = start.settings.requestTimeoutMs
    this.#worker = new Worker(new URL('./plane-worker.ts', import.meta.url), {
      workerData: start,
      transferList: [...start.peers],
    })
    let failure: Error | null = null
    this.#worker.on('error', (error: Error) => {
      failure = error
    })
    this.#worker.on('exit', (code) => {
      const error = failure ?? new Error(`a data plane thread ended with code ${code}`)
      this.#calls.fail(error)
      if (!this.#isClosing) listener.onDeath(error)
    })
    this.#worker.on('message', (message: FromPlane) => this.#onMessage(message))
  }

  get isStuck(): boolean {
    return this.#calls.isStuck
  }

  async listen(port: number): Promise<number> {
    const result = await this.#calls.call({ name: 'listen', port }, null)
    return result.name === 'listen' ? result.port : port
  }

  setSnapshot(snapshot: Snapshot): void {
    this.#post({ kind: 'snapshot', snapshot })
  }

  async setRouting(routing: RoutingState): Promise<Quiescence> {
    const timeoutMs = quiescenceBoundMs(this.#requestTimeoutMs) + ROUTE_GRACE_MS
    const result = await this.#calls.call({ name: 'route', routing }, timeoutMs)
    if (result.name !== 'route') throw new Error('a data plane answered another question')
    return result.quiescence
  }

  setSettings(settings: DataPlaneSettings): void {
    this.#requestTimeoutMs = settings.requestTimeoutMs
    this.#post({ kind: 'settings', settings })
  }

  setLogLevels(levels: LogLevels): void {
    this.#post({ kind: 'logLevels', levels })
  }

  setNodeStatus(status: NodeStatus): void {
    this.#post({ kind: 'nodeStatus', status })
  }

  setTls(tls: TlsMaterial): void {
    this.#post({ kind: 'tls', tls })
  }

  announce(event: ClientEvent): void {
    this.#post({ kind: 'event', event })
  }

  /** Of a thread that is stuck, or gone, what it said last: its counters only grow. */
  async series(): Promise<PlaneSeries> {
    const last = this.#lastSeries
    if (this.isStuck && last !== null) return last
    try {
      const result = await this.#calls.call({ name: 'series' }, ANSWER_TIMEOUT_MS)
      if (result.name !== 'series') throw new Error('a data plane answered another question')
      this.#lastSeries = result.series
      return result.series
    } catch (error) {
      if ((this.isStuck || this.#calls.hasEnded) && last !== null) return last
      throw error
    }
  }

  async mismatches(): Promise<readonly MismatchSample[]> {
    const result = await this.#calls.call({ name: 'mismatches' }, ANSWER_TIMEOUT_MS)
    if (result.name !== 'mismatches') throw new Error('a data plane answered another question')
    return result.samples
  }

  async clients(): Promise<ClientGroups> {
    const result = await this.#calls.call({ name: 'clients' }, ANSWER_TIMEOUT_MS)
    if (result.name !== 'clients') throw new Error('a data plane answered another question')
    return result.clients
  }

  async closeClients(selection: ClientSelection): Promise<number> {
    const call = { name: 'closeClients', selection } as const
    const result = await this.#calls.call(call, ANSWER_TIMEOUT_MS)
    if (result.name !== 'closeClients') throw new Error('a data plane answered another question')
    return result.closed
  }

  async drain(announceMs: number): Promise<void> {
    try {
      await this.#calls.call({ name: 'drain', announceMs }, null)
    } catch (error) {
      // Its clients are gone with it: nobody is left to wait for.
      if (!this.#calls.hasEnded) throw error
    }
  }

  async close(): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    await this.#calls.call({ name: 'close' }, ANSWER_TIMEOUT_MS).catch(() => undefined)
    await this.#worker.terminate()
  }

  #post(message: ToPlane): void {
    this.#worker.postMessage(message)
  }

  async #answerSchemaQuestion(question: number, asked: readonly SchemaQuestion[]): Promise<void> {
    await this.#listener.schemaAgreement(asked)
    this.#post({ kind: 'schemaAgreed', question })
  }

  #onMessage(message: FromPlane): void {
    if (message.kind === 'schemaQuestion') {
      void this.#answerSchemaQuestion(message.question, message.questions)
    } else if (message.kind === 'traced') {
      this.#listener.onTraced(message.requests)
    } else {
      this.#calls.onAnswer(message)
    }
  }
}

/** Links every plane with every other: per plane, its ends of the channels. */
export const linkPlanes = (count: number): MessagePort[][] => {
  const ends: MessagePort[][] = Array.from({ length: count }, () => [])
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const { port1, port2 } = new MessageChannel()
      ends[a]!.push(port1)
      ends[b]!.push(port2)
    }
  }
  return ends
}
