/**
 * The counts of failed writes over restarts: a file beside the state file, written within seconds after they
 * have changed and when the instance stops. A file that cannot be used does not stop the start, since
 * it decides nothing that clients get; but it is never passed over in silence: what may be missing is told with the
 * counts until the next reconciliation.
 */
import { readFileSync, renameSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import type { FailedTable } from '../metrics/plane-series.ts'
import { isFields, parseChecked, renderChecked } from './checked-file.ts'
import { commitFile, replaceFile, stageFile } from './durable-file.ts'
import { FailureBook, type Gap, type KeptFailures } from './failure-book.ts'
import type { Into } from './reconciliation.ts'
import type { FailedWrites } from './report.ts'

/** What a kill may cost, in seconds: samples come every second, and one may be late. */
const LOST_SECONDS_MAX = 5
const NAME = 'failedWrites'

/** `isOpen`: an instance is counting; it was killed if another one finds that. */
type FailureFile = KeptFailures & { readonly isOpen: boolean }

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0
const isText = (value: unknown): boolean => typeof value === 'string'

const isTable = (value: unknown): boolean =>
  isFields(value) &&
  ['keyspace', 'table'].every((name) => isText(value[name])) &&
  ['originOnly', 'targetOnly', 'both', 'firstMs', 'lastMs'].every((name) => isCount(value[name]))

const isGap = (value: unknown): boolean =>
  isFields(value) &&
  isText(value['text']) &&
  isCount(value['atMs']) &&
  typeof value['origin'] === 'boolean' &&
  typeof value['target'] === 'boolean'

const isFailureFile = (value: unknown): value is FailureFile =>
  isFields(value) &&
  typeof value['isOpen'] === 'boolean' &&
  isFields(value['sinceMs']) &&
  isCount(value['sinceMs']['origin']) &&
  isCount(value['sinceMs']['target']) &&
  Array.isArray(value['tables']) &&
  value['tables'].every(isTable) &&
  Array.isArray(value['gaps']) &&
  value['gaps'].every(isGap)

/** Null where there is none yet. */
const read = (path: string): FailureFile | { readonly fault: string } | null => {
  try {
    return parseChecked(readFileSync(path, 'utf8'), NAME, isFailureFile)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    return { fault: messageOf(error) }
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()

export const failuresPath = (routingStatePath: string): string =>
  `${routingStatePath}.failed-writes`

export type FailureStoreTools = { readonly clock: Clock; readonly log: Logger }

export class FailureStore {
  readonly #path: string | null
  readonly #log: Logger
  readonly #book: FailureBook
  /** Of the last sample. */
  #rows: readonly FailedTable[] = []
  #savedText = ''
  /** The last that was asked for, while it is under way. */
  #saving: Promise<void> | null = null
  #isFailing = false
  #isClosed = false

  /** `path` null: in memory only. Without a file counting begins now. */
  constructor(path: string | null, { clock, log }: FailureStoreTools) {
    this.#path = path
    this.#log = log
    this.#book = new FailureBook(this.#load(clock.wallMs()))
    if (path === null) return
    // From here on a kill is noticed.
    try {
      stageFile(path, this.#render(true))
      commitFile(path)
    } catch (error) {
      this.#complain(error)
    }
  }

  read(rows: readonly FailedTable[]): FailedWrites {
    return this.#book.read(rows)
  }

  /** Takes the counts of this run; what has changed is on disk soon. */
  sample(rows: readonly FailedTable[]): void {
    this.#rows = rows
    if (this.#path === null || this.#saving !== null || this.#isClosed) return
    if (this.#render(true) !== this.#savedText) void this.#save(true)
  }

  /** A comparison of both clusters begins: see the book. A restart forgets that moment, not what failed. */
  begin(rows: readonly FailedTable[], atMs: number): void {
    this.#rows = rows
    this.#book.begin(rows, atMs)
  }

  /** What a cluster lacked at `beganMs` has been brought to it. */
  async forget(into: Into, rows: readonly FailedTable[], beganMs: number): Promise<void> {
    this.#rows = rows
    this.#book.forget(into, rows, beganMs)
    await this.#save(true)
  }

  /** Somebody has recorded a reconciliation into Target which this instance may have missed. */
  settle(atMs: number): void {
    this.#book.settle(atMs)
  }

  /** The last word of this run. */
  async close(rows: readonly FailedTable[] | null): Promise<void> {
    this.#isClosed = true
    if (rows !== null) this.#rows = rows
    await this.#save(false)
  }

  #load(nowMs: number): KeptFailures {
    const nothing = { sinceMs: { origin: nowMs, target: nowMs }, tables: [], gaps: [] }
    const gapNow = (text: string): Gap => ({ text, atMs: nowMs, origin: true, target: true })
    const path = this.#path
    const kept = path === null ? null : read(path)
    if (path === null || kept === null) return nothing
    if ('fault' in kept) {
      const text = `${path} (beside routing_state_path) cannot be used: ${kept.fault}. Failed writes are counted from now on; what was counted before is missing. It is kept as ${path}.damaged`
      this.#log.error({ code: 'FAILED_WRITES_UNREADABLE' }, text)
      try {
        renameSync(path, `${path}.damaged`)
      } catch {
        // It stays, and is written over: what was wrong with it has been said.
      }
      return {
        ...nothing,
        gaps: [gapNow(`what was counted before ${iso(nowMs)}: its file was damaged`)],
      }
    }
    const { isOpen, ...failures } = kept
    if (!isOpen) return failures
    const gap = `up to the last ${LOST_SECONDS_MAX} s before the instance was killed; it began again at ${iso(nowMs)}`
    return { ...failures, gaps: [...failures.gaps, gapNow(gap)] }
  }

  #render(isOpen: boolean): string {
    return renderChecked(NAME, { isOpen, ...this.#book.keep(this.#rows) } satisfies FailureFile)
  }

  /** One after the other: they are written beside the file under one name. */
  #save(isOpen: boolean): Promise<void> {
    const before = this.#saving ?? Promise.resolve()
    const saving = before
      .then(() => this.#write(isOpen))
      .finally(() => {
        if (this.#saving === saving) this.#saving = null
      })
    this.#saving = saving
    return saving
  }

  /** What is known by then. Never rejects. */
  async #write(isOpen: boolean): Promise<void> {
    if (this.#path === null) return
    const text = this.#render(isOpen)
    try {
      await replaceFile(this.#path, text)
      this.#savedText = text
      this.#isFailing = false
    } catch (error) {
      this.#complain(error)
    }
  }

  /** Once until it can be written again. */
  #complain(error: unknown): void {
    if (this.#isFailing) return
    this.#isFailing = true
    const why = messageOf(error)
    const text = `${this.#path} (beside routing_state_path) cannot be written: ${why}; a restart will forget which writes have failed`
    this.#log.error({ code: 'FAILED_WRITES_NOT_KEPT' }, text)
  }
}
