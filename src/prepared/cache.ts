/**
 * Prepared statements by the id that the client knows (Origin's). Open addressing on the id's first
 * 32-bit word: ids are digests, so they are spread already, and a look-up reads the request's bytes
 * where they lie (performance-notes §4 "prepared table"). Bounded in entries and in bytes: the least
 * recently used go first, and whoever executes one of them is told to prepare it again.
 */
import { equalBytes, type PreparedStatement } from './statement.ts'

const CAPACITY_START = 256
/** What the texts and ids of all statements together may take. */
const PREPARED_BYTES_MAX = 64 * 1024 * 1024
/** What a statement takes beside its text and ids, roughly. */
const ENTRY_OVERHEAD_BYTES = 512
/** How much of a full cache is kept: some go at once, so that it does not sort itself at every PREPARE. */
const KEPT_FRACTION = 0.9

/** Ids are MD5 digests in every Cassandra; shorter ones work, and lie next to each other. */
const hashAt = (bytes: Uint8Array, start: number, length: number): number => {
  if (length < 4) return length === 0 ? 0 : bytes[start]!
  return (
    (bytes[start]! << 24) | (bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!
  )
}

const matches = (id: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean => {
  if (id.length !== length) return false
  for (let i = 0; i < length; i++) if (id[i] !== bytes[start + i]) return false
  return true
}

const bytesOf = (statement: PreparedStatement): number =>
  ENTRY_OVERHEAD_BYTES + statement.text.length + statement.id.length * 3

export class PreparedCache {
  readonly #entriesMax: number
  readonly #bytesMax: number
  /** At most half full, so that a search soon meets a gap. */
  #table: (PreparedStatement | null)[] = new Array(CAPACITY_START).fill(null)
  #size = 0
  #bytes = 0
  #evictions = 0

  /** `entriesMax` is at least 1. One statement is kept however long it is. */
  constructor(entriesMax: number, bytesMax: number = PREPARED_BYTES_MAX) {
    this.#entriesMax = entriesMax
    this.#bytesMax = bytesMax
  }

  get size(): number {
    return this.#size
  }

  /** Statements forgotten to make room. */
  get evictions(): number {
    return this.#evictions
  }

  /** Finds a statement by the id that lies at `start` in `bytes`; allocates nothing. */
  find(bytes: Uint8Array, start: number, length: number): PreparedStatement | null {
    const table = this.#table
    const mask = table.length - 1
    let index = hashAt(bytes, start, length) & mask
    for (;;) {
      const entry = table[index]!
      if (entry === null) return null
      if (matches(entry.id, bytes, start, length)) return entry
      index = (index + 1) & mask
    }
  }

  /** Adds, or replaces what had the same id. What was added last is never what has to go for it. */
  add(statement: PreparedStatement): void {
    const known = this.find(statement.id, 0, statement.id.length)
    const entries = this.#size + (known === null ? 1 : 0)
    const bytes = this.#bytes + bytesOf(statement) - (known === null ? 0 : bytesOf(known))
    if (entries > this.#entriesMax || bytes > this.#bytesMax) this.#forgetOldest(statement)
    if ((this.#size + 1) * 2 > this.#table.length) {
      this.#rebuild(this.#entries(), this.#table.length * 2)
    }
    this.#insert(statement)
  }

  #entries(): PreparedStatement[] {
    return this.#table.filter((entry) => entry !== null)
  }

  #insert(statement: PreparedStatement): void {
    const table = this.#table
    const mask = table.length - 1
    let index = hashAt(statement.id, 0, statement.id.length) & mask
    for (let known = table[index]!; known !== null; known = table[index]!) {
      if (equalBytes(known.id, statement.id)) {
        this.#bytes -= bytesOf(known)
        this.#size--
        break
      }
      index = (index + 1) & mask
    }
    table[index] = statement
    this.#size++
    this.#bytes += bytesOf(statement)
  }

  /** Makes room for `coming`. */
  #forgetOldest(coming: PreparedStatement): void {
    const newestFirst = this.#entries()
      .filter((entry) => !equalBytes(entry.id, coming.id))
      .sort((a, b) => b.lastUsedMs - a.lastUsedMs)
    const entriesMax = Math.min(this.#entriesMax - 1, Math.floor(this.#entriesMax * KEPT_FRACTION))
    let bytesLeft = Math.floor(this.#bytesMax * KEPT_FRACTION) - bytesOf(coming)
    const kept: PreparedStatement[] = []
    for (const entry of newestFirst) {
      bytesLeft -= bytesOf(entry)
      if (kept.length >= entriesMax || bytesLeft < 0) break
      kept.push(entry)
    }
    this.#evictions += newestFirst.length - kept.length
    this.#rebuild(kept, this.#table.length)
  }

  #rebuild(entries: readonly PreparedStatement[], capacity: number): void {
    this.#table = new Array(capacity).fill(null)
    this.#size = 0
    this.#bytes = 0
    for (const entry of entries) this.#insert(entry)
  }
}
