/**
 * The audit log: every change, refused or done, with who, when, from, to, why and on what evidence. Lines
 * of JSON that are only ever appended; the latest are in memory for the admin API.
 */
import { readFileSync } from 'node:fs'
import { messageOf } from '../message-of.ts'
import { appendLine } from './durable-file.ts'
import { ControlError, ControlErrorCode } from './errors.ts'
import { completed } from './migration-state.ts'
import type { AuditEntry } from './report.ts'

export const AUDIT_ENTRIES_MAX = 1000

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

  /** Why the latest entries are in memory only, although there is a file for them; null where they are not. */
  get fault(): string | null {
    return this.#fault
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
      this.#fault = `the audit log ${this.#path} (audit_log_path) cannot be written: ${why}`
      throw new ControlError(ControlErrorCode.AUDIT_NOT_WRITTEN, this.#fault, { cause })
    }
  }

  /** The newest last. */
  latest(limit: number): readonly AuditEntry[] {
    return this.#entries.slice(-limit)
  }
}

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
