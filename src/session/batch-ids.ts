/**
 * The prepared children of one BATCH: where their ids lie and which statements they are. One
 * instance is reused for every batch of a thread, so that reading a batch allocates nothing.
 */
import { type BatchVisitor, visitBatchChildren } from '../cql/messages/fields.ts'
import type { VersionTraits } from '../cql/protocol.ts'
import type { PreparedCache } from '../prepared/cache.ts'
import type { PreparedStatement } from '../prepared/statement.ts'
import type { Cluster } from '../routing/cluster.ts'
import { mayCallFunction } from '../statement/function-calls.ts'

const EMPTY = new Uint8Array(0)

export class BatchIds implements BatchVisitor {
  /** Where the ids begin, and the statements in the same order. */
  readonly starts: number[] = []
  readonly statements: PreparedStatement[] = []
  /** The first id that nobody here knows; length 0 when there is none. */
  unknownStart = 0
  unknownLength = 0
  /** Some child has values that the proxy binds, or a text that may call a function. */
  mayNeedRewrite = false
  #bytes: Uint8Array = EMPTY
  #prepared: PreparedCache | null = null
  #count = 0

  /** Reads the batch whose message begins at `body`. Throws ProtocolError when it is malformed. */
  read(
    bytes: Uint8Array,
    body: number,
    end: number,
    traits: VersionTraits,
    prepared: PreparedCache,
  ): void {
    this.#count = 0
    this.unknownLength = 0
    this.mayNeedRewrite = false
    this.#bytes = bytes
    this.#prepared = prepared
    try {
      visitBatchChildren(bytes, body, end, traits, this)
    } finally {
      this.#bytes = EMPTY
      // Cut down at the end only: an array that is emptied first gives its memory away.
      this.starts.length = this.#count
      this.statements.length = this.#count
    }
  }

  /** The children are in use: the cache forgets what was not used for longest. */
  touch(nowMs: number): void {
    for (let i = 0; i < this.statements.length; i++) this.statements[i]!.lastUsedMs = nowMs
  }

  /** Whether some child's id differs on the cluster from what the client wrote. */
  differsOn(cluster: Cluster): boolean {
    for (let i = 0; i < this.statements.length; i++) {
      if (!this.statements[i]!.isVerbatim[cluster]) return true
    }
    return false
  }

  onPrepared(idStart: number, idLength: number): void {
    const statement = this.#prepared!.find(this.#bytes, idStart, idLength)
    if (statement !== null) {
      this.starts[this.#count] = idStart
      this.statements[this.#count] = statement
      this.#count++
      if (statement.rewrite !== null) this.mayNeedRewrite = true
    } else if (this.unknownLength === 0) {
      this.unknownStart = idStart
      this.unknownLength = idLength
    }
  }

  onQuery(textStart: number, textLength: number): void {
    // Text children never influence the routing of a batch: it goes to both.
    if (mayCallFunction(this.#bytes, textStart, textStart + textLength)) this.mayNeedRewrite = true
  }
}
