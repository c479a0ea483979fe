/**
 * Calls that several make at the same time, with one answer for all: a hundred clients that prepare a
 * statement at an application's start cost a node one round trip. Nothing is kept: who asks when the
 * answer is there asks again.
 */
import type { Turn } from '../turn.ts'
import type { CallAnswer, UpstreamConnection } from './connection.ts'

/**
 * How long, in milliseconds, a call that is under way is joined: one that takes longer may be stuck, and
 * whoever comes later, a client's second attempt for instance, is not made to wait for it.
 */
export const JOINABLE_MS = 1_000

type UnderWay = { readonly answer: Promise<CallAnswer>; readonly sinceMs: number }

export class SharedCalls {
  readonly #turn: Turn
  readonly #underWay = new Map<string, UnderWay>()

  constructor(turn: Turn) {
    this.#turn = turn
  }

  /**
   * The answer of the connection's node to what `question` names: all that decides the answer, but for
   * node and protocol version. `call` asks, where nobody is asking the same; a failure is everybody's who
   * waits for it. Its time-out counts from the first one's call, at most JOINABLE_MS before anyone's own.
   */
  ask(
    connection: UpstreamConnection,
    question: string,
    call: () => Promise<CallAnswer>,
  ): Promise<CallAnswer> {
    const { cluster, node, traits } = connection
    const key = `${cluster} ${node} ${traits.version} ${question}`
    const nowMs = this.#turn.begin()
    const known = this.#underWay.get(key)
    if (known !== undefined && nowMs - known.sinceMs <= JOINABLE_MS) return known.answer
    const asked: UnderWay = {
      sinceMs: nowMs,
      answer: call().finally(() => {
        if (this.#underWay.get(key) === asked) this.#underWay.delete(key)
      }),
    }
    this.#underWay.set(key, asked)
    return asked.answer
  }
}
