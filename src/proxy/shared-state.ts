/**
 * What the threads of one process share beside messages: a few numbers in shared memory. Each part is
 * read and written by one module alone.
 */
import { makeSharedAddressCounts, type SharedAddressCounts } from './address-counts.ts'

/** How many shapes of statements are remembered as reported. */
const REPORTED_SHAPES = 8192

export type SharedState = {
  /** See proxy/address-counts.ts. */
  readonly clientAddresses: SharedAddressCounts
  /** One BigInt64: the write time that was given out last, in microseconds. */
  readonly writeClock: SharedArrayBuffer
  /** Int32s: shapes of statements that were reported already; 0 is a free place. */
  readonly reportedShapes: SharedArrayBuffer
  /** One BigInt64: see session/shared-rate-limit.ts. */
  readonly tracingLimit: SharedArrayBuffer
}

/** Made once per process and posted to every thread. */
export const makeSharedState = (): SharedState => ({
  clientAddresses: makeSharedAddressCounts(),
  writeClock: new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT),
  reportedShapes: new SharedArrayBuffer(REPORTED_SHAPES * Int32Array.BYTES_PER_ELEMENT),
  tracingLimit: new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT),
})
