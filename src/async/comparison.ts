/** One read whose two answers are to be compared: collects them, whichever comes first. */
import { decompressEnvelope, isCompressed } from '../cql/compression.ts'
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { Opcode } from '../cql/protocol.ts'
import { CLUSTERS, type Cluster, otherCluster } from '../routing/cluster.ts'
import type { AnswerWatcher } from '../session/request-table.ts'
import type { CopiedRequest } from './copied-request.ts'
import type { CopyPools } from './copy-pools.ts'

/** Larger answers are not kept, and larger requests not compared. */
export const COMPARED_LENGTH_MAX = 1024 * 1024

export type ComparisonOrigin = {
  readonly request: CopiedRequest
  readonly pools: CopyPools
  /** Where the client's session looks for nodes first, per cluster. */
  readonly preferredNode: readonly [number, number]
  /** The cluster that was the primary when the client asked. */
  readonly primary: Cluster
}

export interface ComparisonKeeper {
  /** Whether so many bytes more may be kept. */
  keep(length: number): boolean
  /** Both answers are there, or it is known why not. */
  onComplete(comparison: Comparison): void
}

export class Comparison implements AnswerWatcher {
  readonly origin: ComparisonOrigin
  /** The second look, after a difference. */
  readonly isRecheck: boolean
  /** Why there will be nothing to compare. */
  skipReason: 'busy' | 'noRows' | 'tooLarge' | null = null
  /** Bytes of the request, which its maker has had kept, and of the answers. */
  keptLength: number
  readonly #keeper: ComparisonKeeper
  readonly #answers: [Uint8Array | null, Uint8Array | null] = [null, null]
  /** One bit per cluster that has not answered. */
  #outstanding = (1 << CLUSTERS.length) - 1

  constructor(origin: ComparisonOrigin, isRecheck: boolean, keeper: ComparisonKeeper) {
    this.origin = origin
    this.isRecheck = isRecheck
    this.#keeper = keeper
    this.keptLength = origin.request.envelope.length
  }

  get secondary(): Cluster {
    return otherCluster(this.origin.primary)
  }

  answer(cluster: Cluster): Uint8Array | null {
    return this.#answers[cluster]
  }

  /** The answer that the client gets. */
  onAnswer(bytes: Uint8Array | null, start: number, end: number): boolean {
    this.take(this.origin.primary, bytes, start, end)
    return false
  }

  /** One cluster's answer, copied from bytes that are valid until this returns; null: there is none. */
  take(cluster: Cluster, bytes: Uint8Array | null, start: number, end: number): void {
    if ((this.#outstanding & (1 << cluster)) === 0) return
    this.#outstanding &= ~(1 << cluster)
    if (this.skipReason === null) this.#keep(cluster, bytes, start, end)
    if (this.#outstanding === 0) this.#keeper.onComplete(this)
  }

  #keep(cluster: Cluster, bytes: Uint8Array | null, start: number, end: number): void {
    if (bytes === null || bytes[start + OPCODE_OFFSET] === Opcode.ERROR) this.skipReason = 'noRows'
    else if (end - start > COMPARED_LENGTH_MAX) this.skipReason = 'tooLarge'
    else {
      const answer = this.#readable(bytes, start, end)
      if (answer === null) this.skipReason = 'tooLarge'
      else if (!this.#keeper.keep(answer.length)) this.skipReason = 'busy'
      else {
        this.#answers[cluster] = answer
        this.keptLength += answer.length
      }
    }
  }

  /** A copy, decompressed; null where that is too large, or cannot be. */
  #readable(bytes: Uint8Array, start: number, end: number): Uint8Array | null {
    const { compression, traits } = this.origin.request
    if (compression === null || traits.hasFrames || !isCompressed(bytes, start)) {
      return bytes.slice(start, end)
    }
    try {
      return decompressEnvelope(compression, bytes, start, end, COMPARED_LENGTH_MAX)
    } catch (error) {
      if (error instanceof ProtocolError) return null
      throw error
    }
  }
}
