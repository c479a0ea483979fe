/**
 * Runs one load against one port: opens the connections, prepares, warms up, measures a window, waits
 * for the last answers. Closed loop (each answer is followed by the next request) or at a fixed rate.
 */
import { HEADER_LENGTH } from '../src/cql/envelope.ts'
import { encodePrepare } from '../src/cql/messages/prepare.ts'
import { decodeResult } from '../src/cql/messages/result.ts'
import { Opcode, ResultKind, type VersionTraits, versionTraits } from '../src/cql/protocol.ts'
import { BodyReader } from '../src/cql/reader.ts'
import { BodyWriter } from '../src/cql/writer.ts'
import { Dialer } from '../src/net/dialer.ts'
import { LatencyHistogram } from './latency.ts'
import { LoadConnection, type LoadConnectionOptions, type LoadListener } from './load-connection.ts'
import { type Mix, makeRequests, type Requests, type StatementIds } from './mix.ts'
import { ORIGIN_MARK, PREPARED_READ, PREPARED_WRITE } from './statements.ts'
import { readUsage, type Usage } from './usage.ts'

export type LoadJob = {
  readonly port: number
  readonly version: number
  readonly mix: Mix
  readonly valueLength: number
  readonly connections: number
  /** Per connection, in the closed loop. */
  readonly inFlight: number
  /** Requests per second over all connections; null for the closed loop. */
  readonly ratePerSecond: number | null
  readonly warmUpMs: number
  readonly durationMs: number
  /** The process group whose CPU time counts; null when there is nothing between us and the cluster. */
  readonly groupId: number | null
}

export type LoadResult = {
  /** Answered within the window. */
  readonly requests: number
  readonly durationMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers that one read from a socket brought: how well the server batches. */
  readonly answersPerRead: number
  /** Of the process group within the window; null without one. */
  readonly cpuMs: number | null
  readonly rssBytes: number | null
  /** Sent in all, warm-up included; each was answered once. */
  readonly reads: number
  readonly writes: number
}

/** Connections that are opened at one time. */
const OPENING_MAX = 32
const DRAIN_TIMEOUT_MS = 15_000
/** In flight on one connection at a fixed rate; what the Go proxy's default allows. */
const RATE_CAPACITY = 2048
const TICK_MS = 1

export class LoadRun implements LoadListener {
  readonly #job: LoadJob
  readonly #drainTimeoutMs: number
  readonly #traits: VersionTraits
  readonly #dialer = new Dialer()
  readonly #connections: LoadConnection[] = []
  readonly #latencies = new LatencyHistogram()
  readonly #failure: Promise<never>
  #fail: (error: Error) => void = () => {}
  #requests: Requests | null = null
  #isSending = true
  #isMeasuring = false
  #onDrained: (() => void) | null = null
  #inFlight = 0
  #reads = 0
  #writes = 0
  #random = 1

  /** `drainTimeoutMs`: how long the last answers may take. */
  constructor(job: LoadJob, drainTimeoutMs = DRAIN_TIMEOUT_MS) {
    this.#job = job
    this.#drainTimeoutMs = drainTimeoutMs
    this.#traits = versionTraits(job.version)!
    this.#failure = new Promise((_resolve, reject) => {
      this.#fail = reject
    })
    this.#failure.catch(() => {})
  }

  /** Rejects with the first wrong answer, lost connection or missing answer. */
  async run(): Promise<LoadResult> {
    try {
      const result = await Promise.race([this.#failure, this.#measure()])
      for (const connection of this.#connections) connection.close()
      return result
    } catch (error) {
      this.#isSending = false
      for (const connection of this.#connections) connection.destroy()
      throw error
    }
  }

  onAnswer(connection: LoadConnection, startMs: number): void {
    this.#inFlight--
    const { nowMs } = connection.wire
    if (this.#isMeasuring) this.#latencies.record(nowMs - startMs)
    if (!this.#isSending) {
      if (this.#inFlight === 0) this.#onDrained?.()
    } else if (this.#job.ratePerSecond === null) {
      this.#send(connection, nowMs)
    }
  }

  onFailure(error: Error): void {
    this.#fail(error)
  }

  async #measure(): Promise<LoadResult> {
    await this.#open()
    if (this.#job.ratePerSecond === null) this.#startLoop()
    else this.#startRate(this.#job.ratePerSecond)
    await sleep(this.#job.warmUpMs)

    const usageBefore = this.#usage()
    const readsBefore = this.#socketReads()
    const startMs = performance.now()
    this.#isMeasuring = true
    await sleep(this.#job.durationMs)
    this.#isMeasuring = false
    const durationMs = performance.now() - startMs
    const socketReads = this.#socketReads() - readsBefore
    const usage = this.#usage()

    await this.#drain()
    const requests = this.#latencies.count
    if (requests === 0) throw new Error('not one request was answered within the window')
    return {
      requests,
      durationMs,
      p50Ms: this.#latencies.percentileMs(0.5),
      p99Ms: this.#latencies.percentileMs(0.99),
      answersPerRead: requests / Math.max(1, socketReads),
      cpuMs: usage === null || usageBefore === null ? null : usage.cpuMs - usageBefore.cpuMs,
      rssBytes: usage?.rssBytes ?? null,
      reads: this.#reads,
      writes: this.#writes,
    }
  }

  #usage(): Usage | null {
    return this.#job.groupId === null ? null : readUsage(this.#job.groupId)
  }

  #socketReads(): number {
    return this.#connections.reduce((sum, { wire }) => sum + wire.reads, 0)
  }

  async #open(): Promise<void> {
    const { connections, valueLength, inFlight, ratePerSecond, port, mix } = this.#job
    const options: LoadConnectionOptions = {
      port,
      traits: this.#traits,
      capacity: ratePerSecond === null ? inFlight : RATE_CAPACITY,
      valueLength,
      mark: ORIGIN_MARK.charCodeAt(0),
    }
    while (this.#connections.length < connections) {
      const count = Math.min(OPENING_MAX, connections - this.#connections.length)
      const opened = await Promise.all(
        Array.from({ length: count }, () => LoadConnection.open(this.#dialer, options, this)),
      )
      this.#connections.push(...opened)
    }
    const first = this.#connections[0]!
    const read = await this.#prepare(first, PREPARED_READ)
    const write = await this.#prepare(first, PREPARED_WRITE)
    this.#requests = makeRequests(mix, this.#traits, valueLength, read, write)
  }

  async #prepare(connection: LoadConnection, text: string): Promise<StatementIds> {
    const body = encodePrepare(new BodyWriter(), { text }, this.#traits)
    const answer = await connection.call(Opcode.PREPARE, body, Opcode.RESULT)
    const result = decodeResult(new BodyReader(answer, HEADER_LENGTH), this.#traits)
    if (result.kind !== ResultKind.PREPARED) {
      throw new Error(`PREPARE was answered with a result of kind ${result.kind}`)
    }
    const { statementId: id, resultMetadataId } = result
    return resultMetadataId === undefined ? { id } : { id, resultMetadataId }
  }

  #startLoop(): void {
    const nowMs = performance.now()
    for (const connection of this.#connections) {
      for (let i = 0; i < this.#job.inFlight; i++) this.#send(connection, nowMs)
    }
  }

  /**
   * Requests are due in slots of a millisecond, round robin over the connections. Each counts from its
   * slot's time, also when the slot is late: a server that stalls is not excused by us waiting for it.
   */
  #startRate(ratePerSecond: number): void {
    const startMs = performance.now()
    let slots = 0
    let sent = 0
    const tick = (): void => {
      if (!this.#isSending) {
        clearInterval(timer)
        return
      }
      const nowMs = performance.now()
      while (startMs + slots * TICK_MS <= nowMs) {
        const slotMs = startMs + slots * TICK_MS
        slots++
        const due = Math.floor((slots * TICK_MS * ratePerSecond) / 1000)
        for (; sent < due; sent++) {
          this.#send(this.#connections[sent % this.#connections.length]!, slotMs)
        }
      }
    }
    const timer = setInterval(tick, TICK_MS)
  }

  #send(connection: LoadConnection, startMs: number): void {
    const { read, write } = this.#requests!
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0
    const isRead = (this.#random >>> 8) % 100 < this.#job.mix.readPercent
    if (!connection.send(isRead ? read : write, startMs)) {
      this.#fail(
        new Error(`the rate is too high: ${RATE_CAPACITY} requests wait on one connection`),
      )
      this.#isSending = false
      return
    }
    this.#inFlight++
    if (isRead) this.#reads++
    else this.#writes++
  }

  /** Waits for every answer, then asks once more, so that an answer too many cannot hide. */
  async #drain(): Promise<void> {
    this.#isSending = false
    if (this.#inFlight > 0) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve, reject) => {
        this.#onDrained = resolve
        timer = setTimeout(() => {
          reject(new Error(`${this.#inFlight} requests were never answered`))
        }, this.#drainTimeoutMs)
      })
      clearTimeout(timer)
    }
    const ask = (connection: LoadConnection): Promise<Uint8Array> =>
      connection.call(Opcode.OPTIONS, new BodyWriter(), Opcode.SUPPORTED)
    await Promise.all(this.#connections.map(ask))
  }
}

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
