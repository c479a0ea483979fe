/**
 * Conditions and reactions: what a fake cluster does to a request instead of answering as a
 * Cassandra would. Both are values; the first rule that still applies decides, in the order in which
 * rules were added.
 */
import type { BatchChild } from './requests.ts'
import { type Answer, errorAnswer } from './results.ts'
import type { Envelope } from './wire.ts'

/** A request as it arrived. Ids in hex; `text` of an EXECUTE is that of its PREPARE. */
export type Received = {
  /** Number of the connection, counted over the cluster from 0. */
  readonly connection: number
  readonly node: number
  readonly opcode: number
  readonly streamId: number
  readonly version: number
  readonly flags: number
  readonly text?: string
  readonly statementId?: string
  readonly resultMetadataId?: string
  /** The request's own keyspace, else the connection's. */
  readonly keyspace?: string
  readonly children?: readonly BatchChild[]
  readonly values?: readonly (Uint8Array | null | symbol)[]
  readonly startupOptions?: ReadonlyMap<string, string>
  readonly eventTypes?: readonly string[]
  readonly customPayload?: ReadonlyMap<string, Uint8Array | null>
  readonly envelope: Envelope
}

/** All fields that are given must hold. */
export type Condition = {
  readonly opcode?: number
  /** Searched in the statement; in a BATCH, in any child. */
  readonly text?: RegExp
  readonly connection?: number
  readonly node?: number
  /** Anything else. */
  readonly where?: (received: Received) => boolean
  /** The rule applies to so many requests, then no more. */
  readonly times?: number
}

/** Fields of the response's header to send instead of the right ones. */
export type ForgedHeader = {
  /** The whole version byte. */
  readonly versionByte?: number
  readonly flags?: number
  readonly streamId?: number
  readonly opcode?: number
  readonly bodyLength?: number
}

export type Reaction =
  | { readonly kind: 'proceed' }
  | { readonly kind: 'respond'; readonly answer: Answer }
  | { readonly kind: 'delay'; readonly until: Promise<unknown>; readonly then: Reaction }
  | { readonly kind: 'drop' }
  | { readonly kind: 'closeSocket' }
  | { readonly kind: 'resetSocket' }
  | { readonly kind: 'halfClose' }
  | { readonly kind: 'rawBytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'forgeHeader'; readonly header: ForgedHeader }
  | { readonly kind: 'answerTwice' }
  | { readonly kind: 'forgetPrepared' }

/** Answers as if there were no rule. */
export const proceed = (): Reaction => ({ kind: 'proceed' })

export const respond = (answer: Answer): Reaction => ({ kind: 'respond', answer })

export const respondError = (code: number, message = 'scripted'): Reaction =>
  respond(errorAnswer(code, message))

/** Holds every request that it meets until `release()`; then does `then` to each, in order. */
export const delay = (then: Reaction = proceed()): Reaction & { release(): void } => {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { kind: 'delay', until: promise, then, release: resolve }
}

export const delayUntil = (until: Promise<unknown>, then: Reaction = proceed()): Reaction => ({
  kind: 'delay',
  until,
  then,
})

/** Never answers. */
export const drop = (): Reaction => ({ kind: 'drop' })

/** Closes both ways at once: the peer sees FIN. */
export const closeSocket = (): Reaction => ({ kind: 'closeSocket' })

/** The peer sees RST, as from a process that was killed with data unread. */
export const resetSocket = (): Reaction => ({ kind: 'resetSocket' })

/** Sends FIN and goes on reading, without ever answering. */
export const halfClose = (): Reaction => ({ kind: 'halfClose' })

/** Sends these bytes, unframed, instead of an answer. */
export const rawBytes = (bytes: Uint8Array): Reaction => ({ kind: 'rawBytes', bytes })

/** Sends the right body behind a wrong header. */
export const forgeHeader = (header: ForgedHeader): Reaction => ({ kind: 'forgeHeader', header })

export const answerTwice = (): Reaction => ({ kind: 'answerTwice' })

/** Empties the node's prepared cache, then answers (an EXECUTE: UNPREPARED). */
export const forgetPrepared = (): Reaction => ({ kind: 'forgetPrepared' })

const isTextIn = (text: RegExp, received: Received): boolean => {
  const texts = [received.text, ...(received.children ?? []).map((child) => child.text)]
  return texts.some((candidate) => candidate !== undefined && candidate.search(text) >= 0)
}

export class Rule {
  readonly condition: Condition
  readonly reaction: Reaction
  /** How often it applied. */
  hits = 0

  constructor(condition: Condition, reaction: Reaction) {
    this.condition = condition
    this.reaction = reaction
  }

  matches(received: Received): boolean {
    const { opcode, text, connection, node, where, times } = this.condition
    return (
      (times === undefined || this.hits < times) &&
      (opcode === undefined || opcode === received.opcode) &&
      (connection === undefined || connection === received.connection) &&
      (node === undefined || node === received.node) &&
      (text === undefined || isTextIn(text, received)) &&
      (where === undefined || where(received))
    )
  }
}

export class Script {
  readonly #rules: Rule[] = []

  add(condition: Condition, reaction: Reaction): Rule {
    const rule = new Rule(condition, reaction)
    this.#rules.push(rule)
    return rule
  }

  remove(rule: Rule): void {
    const at = this.#rules.indexOf(rule)
    if (at >= 0) this.#rules.splice(at, 1)
  }

  reactionTo(received: Received): Reaction {
    const rule = this.#rules.find((candidate) => candidate.matches(received))
    if (rule === undefined) return proceed()
    rule.hits++
    return rule.reaction
  }
}
