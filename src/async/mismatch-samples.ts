/**
 * What an operator is shown of reads that the clusters answer differently: the last few of a thread,
 * without a single value of the data. Values of keys are hashed with a secret of this process, so that
 * samples of one key can be told to belong together, and a key that is suspected cannot be guessed.
 */
import { createHmac } from 'node:crypto'
import type { ClusterKey } from '../metrics/plane-series.ts'
import type { Difference } from './row-comparison.ts'

/** A sample as it crosses threads; plain data. */
export type MismatchSample = Difference & {
  /** Milliseconds since 1970. */
  readonly atMs: number
  readonly keyspace: string
  readonly table: string
  /** The statement with `?` in place of its literals. */
  readonly statement: string
  /** The cluster that was the primary. */
  readonly primary: ClusterKey
  /** What `keyHash` stands for: the partition key's values where they are known, else all bound values. */
  readonly keyOf: 'partition_key' | 'bound_values' | 'statement'
  /** 16 hex digits. */
  readonly keyHash: string
}

export const SAMPLES_MAX = 100

export class MismatchRing {
  readonly #samples: MismatchSample[] = []
  #next = 0

  add(sample: MismatchSample): void {
    this.#samples[this.#next] = sample
    this.#next = (this.#next + 1) % SAMPLES_MAX
  }

  /** Oldest first. */
  list(): readonly MismatchSample[] {
    return [...this.#samples.slice(this.#next), ...this.#samples.slice(0, this.#next)]
  }
}

const HASH_DIGITS = 16

/** Lengths go in as well, so that values cannot run into each other. */
export const keyedHash = (secret: Uint8Array, values: readonly (Uint8Array | null)[]): string => {
  const hash = createHmac('sha256', secret)
  for (const value of values) {
    hash.update(`${value === null ? -1 : value.length}:`)
    if (value !== null) hash.update(value)
  }
  return hash.digest('hex').slice(0, HASH_DIGITS)
}
