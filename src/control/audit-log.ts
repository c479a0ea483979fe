/**
 * The audit log: every change, refused or done, with who, when, from, to, why and on what evidence. Lines
 * of JSON that are only ever appended; the latest are in memory for the admin API.
 */
import { readFileSync } from 'node:fs'
import { messageOf } from '../message-of.ts'
import { appendLine, writeFault } from './durable-file.ts'
import { ControlError, ControlErrorCode } from './errors.ts'
import { completed } from './migration-state.ts'
import type { AuditEntry } from './report.ts'

export const AUDIT_ENTRIES_MAX = 1000

/** The events that go on without a record; whatever else cannot be recorded is not done. */
const MADE: ReadonlySet<AuditEntry['event']> = new Set(['committed', 'adopted'] as const)

export class AuditLog {
  readonly #path: string | null
  readonly #entries: AuditEntry[] = []
  /** Of the newest entries, how many are not in the file yet. */
  #unwritten = 0
  #fault: string | null = null

  /** `path` null: in memory only. Entries of earlier runs are read back. */
  constructor(path: string | null) {
    this.#path = path
    if (path !== null) this.#entries.push(...readEntries(path))
  }

  /** Which of the latest entries are in memory only, although there is a file for them, and why; null where none. */
  get fault(): string | null {
    if (this.#fault === null) return null
    const isMade = this.#entries.slice(-this.#unwritten).some(({ event }) => MADE.has(event))
    return `${isMade ? 'changes that were made' : 'attempts that were refused'} are in no file: ${this.#fault}`
  }

  /** Throws AUDIT_NOT_WRITTEN; the entry is in memory all the same, and goes to the file with the next one. */
  append(entry: AuditEntry): void {
    this.#entries.push(entry)
    if (this.#entries.length > AUDIT_ENTRIES_MAX) this.#entries.shift()
    if (this.#path === null) return
    this.#unwritten = Math.min(this.#unwritten + 1, this.#entries.length)
    try {
      const lines = this.#entries.slice(-this.#unwritten).map((one) => JSON.stringify(one))
      // A full disk may have cut the last line off.
      const cutOff = this.#fault === null ? '' : '\n'
      appendLine(this.#path, cutOff + lines.join('\n'))
      this.#unwritten = 0
      this.#fault = null
    } catch (cause) {
      const why = messageOf(cause)
      this.#fault = notWritten(this.#path, why)
      throw new ControlError(ControlErrorCode.AUDIT_NOT_WRITTEN, this.#fault, { cause })
    }
  }

  /** Why nothing can be appended now, as far as can be told without writing; else null. Never rejects. */
  async writeFault(): Promise<string | null> {
    if (this.#path === null) return null
    const why = await writeFault(this.#path, 'append')
    return why && notWritten(this.#path, why)
  }

  /** The newest last. */
  latest(limit: number): readonly AuditEntry[] {
    return this.#entries.slice(-limit)
  }
}

const notWritten = (path: string, why: string): string =>
  `the audit log ${path} (audit_log_path) cannot be written: ${why}`

const readEntries = (path: string): AuditEntry[] => {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    // There is none yet; where it cannot be read, the first append says so.
    return []
  }
  const lines = text.split('\n').slice(-AUDIT_ENTRIES_MAX - 1)
  return lines.flatMap((line) => {
    try {
      return line === '' ? [] : [asNow(JSON.parse(line))]
    } catch {
      // A kill may have cut the last line off.
      return []
    }
  })
}

/** An entry of an older release, whose states have fewer fields. */
const asNow = (entry: AuditEntry): AuditEntry => ({
  ...entry,
  from: entry.from && completed(entry.from),
  to: entry.to && completed(entry.to),
})
