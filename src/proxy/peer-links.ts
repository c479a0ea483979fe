/**
 * How data planes ask each other for prepared statements. A driver prepares on one connection and
 * executes on all of them, so a plane meets ids that another one learnt. The plane that answered the
 * PREPARE knew the statement before its client did, hence whoever asks afterwards is told.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Clock, Timer } from '../clock.ts'
import type { SharedStatement } from '../prepared/statement.ts'

type Message =
  | { readonly kind: 'ask'; readonly question: number; readonly id: Uint8Array }
  | {
      readonly kind: 'tell'
      readonly question: number
      readonly statement: SharedStatement | null
    }

/** A thread that is stuck must not keep a client waiting: it gets UNPREPARED and prepares again. */
const ANSWER_TIMEOUT_MS = 1_000

type Question = {
  /** The planes that have not answered yet. */
  readonly waitsFor: Set<MessagePort>
  readonly timer: Timer
  resolve(statement: SharedStatement | null): void
}

export class PeerLinks {
  readonly #ports = new Set<MessagePort>()
  readonly #questions = new Map<number, Question>()
  readonly #clock: Clock
  #nextQuestion = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `known` answers what other planes ask. */
  connect(port: MessagePort, known: (id: Uint8Array) => SharedStatement | null): void {
    this.#ports.add(port)
    port.on('close', () => this.#onClose(port))
    port.on('message', (message: Message) => {
      if (message.kind === 'tell') this.#told(message.question, port, message.statement)
      else {
        const { question, id } = message
        port.postMessage({ kind: 'tell', question, statement: known(id) } satisfies Message)
      }
    })
  }

  /** Resolves with the first answer that knows it, or null when nobody does, or not within a second. */
  ask(id: Uint8Array): Promise<SharedStatement | null> {
    if (this.#ports.size === 0) return Promise.resolve(null)
    const question = this.#nextQuestion++
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(() => this.#answer(question, null), ANSWER_TIMEOUT_MS)
      this.#questions.set(question, { waitsFor: new Set(this.#ports), timer, resolve })
      for (const port of this.#ports) {
        port.postMessage({ kind: 'ask', question, id } satisfies Message)
      }
    })
  }

  close(): void {
    for (const port of this.#ports) port.close()
    for (const question of [...this.#questions.keys()]) this.#answer(question, null)
  }

  /** A plane that is gone answers nothing; whoever waits for it goes on without. */
  #onClose(port: MessagePort): void {
    this.#ports.delete(port)
    for (const number of [...this.#questions.keys()]) this.#told(number, port, null)
  }

  #told(number: number, port: MessagePort, statement: SharedStatement | null): void {
    const question = this.#questions.get(number)
    if (question?.waitsFor.delete(port) !== true) return
    if (statement === null && question.waitsFor.size > 0) return
    this.#answer(number, statement)
  }

  #answer(number: number, statement: SharedStatement | null): void {
    const question = this.#questions.get(number)
    if (question === undefined) return
    this.#questions.delete(number)
    this.#clock.clearTimeout(question.timer)
    question.resolve(statement)
  }
}
