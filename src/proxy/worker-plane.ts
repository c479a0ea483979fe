/** A data plane in a thread of its own, as the control plane holds it. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { MismatchSample } from '../async/mismatch-samples.ts'
import type { LogLevels } from '../log-levels.ts'
import type { PlaneSeries } from '../metrics/plane-series.ts'
import type { TlsMaterial } from '../net/tls.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { ClientEvent } from '../session/client-events.ts'
import type { Snapshot } from '../session/context.ts'
import type { Quiescence } from '../session/quiescence.ts'
import type { SchemaQuestion } from '../session/schema-changes.ts'
import type { DataPlaneSettings, SchemaAgreementCall } from './data-plane-options.ts'
import type { Plane } from './plane.ts'
import type {
  CallResult,
  FromPlane,
  NodeStatus,
  PlaneCall,
  PlaneStart,
  ToPlane,
} from './plane-messages.ts'

type Pending = { resolve(result: CallResult): void; reject(error: Error): void }

export class WorkerPlane implements Plane {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  readonly #schemaAgreement: SchemaAgreementCall
  #nextCall = 0
  #isClosing = false

  /** `onDeath` hears of a thread that ended without having been told to. */
  constructor(
    start: PlaneStart,
    onDeath: (error: Error) => void,
    schemaAgreement: SchemaAgreementCall,
  ) {
    this.#schemaAgreement = schemaAgreement
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
      for (const pending of this.#pending.values()) pending.reject(error)
      this.#pending.clear()
      if (!this.#isClosing) onDeath(error)
    })
    this.#worker.on('message', (message: FromPlane) => this.#onMessage(message))
  }

  async listen(port: number): Promise<number> {
    const result = await this.#call({ name: 'listen', port })
    return result.name === 'listen' ? result.port : port
  }

  setSnapshot(snapshot: Snapshot): void {
    this.#post({ kind: 'snapshot', snapshot })
  }

  async setRouting(routing: RoutingState): Promise<Quiescence> {
    const result = await this.#call({ name: 'route', routing })
    if (result.name !== 'route') throw new Error('a data plane answered another question')
    return result.quiescence
  }

  setSettings(settings: DataPlaneSettings): void {
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

  async series(): Promise<PlaneSeries> {
    const result = await this.#call({ name: 'series' })
    if (result.name !== 'series') throw new Error('a data plane answered another question')
    return result.series
  }

  async mismatches(): Promise<readonly MismatchSample[]> {
    const result = await this.#call({ name: 'mismatches' })
    if (result.name !== 'mismatches') throw new Error('a data plane answered another question')
    return result.samples
  }

  async drain(announceMs: number): Promise<void> {
    await this.#call({ name: 'drain', announceMs })
  }

  async close(): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    await this.#call({ name: 'close' }).catch(() => undefined)
    await this.#worker.terminate()
  }

  #post(message: ToPlane): void {
    this.#worker.postMessage(message)
  }

  #call(what: PlaneCall): Promise<CallResult> {
    const call = this.#nextCall++
    return new Promise((resolve, reject) => {
      this.#pending.set(call, { resolve, reject })
      this.#post({ kind: 'call', call, what })
    })
  }

  async #answerSchemaQuestion(question: number, asked: readonly SchemaQuestion[]): Promise<void> {
    await this.#schemaAgreement(asked)
    this.#post({ kind: 'schemaAgreed', question })
  }

  #onMessage(message: FromPlane): void {
    if (message.kind === 'schemaQuestion') {
      void this.#answerSchemaQuestion(message.question, message.questions)
      return
    }
    const pending = this.#pending.get(message.call)
    this.#pending.delete(message.call)
    if (message.kind === 'done') pending?.resolve(message.result)
    else pending?.reject(new Error(message.message))
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
