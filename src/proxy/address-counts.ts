/**
 * Open client connections by the address that they come from, of all threads of the process: a table in shared
 * memory, without locks. A word holds a digest of the address and its count, so that both change at once; an
 * address has a few places where its word may be, and gives its place up with its last connection. A word that is
 * made by two threads in the same instant may be there twice for a while, and one limit be two then. With more
 * addresses than there are places some are not counted: nobody is refused for want of room here.
 */
import { hash, randomBytes } from 'node:crypto'
import { formatAddress } from '../cluster/address.ts'
import { parseInet } from '../cql/inet.ts'

const PLACES = 65_536
/** In a row, beginning where the digest says. */
const PLACES_PER_ADDRESS = 16
const ROWS = BigInt(PLACES / PLACES_PER_ADDRESS)
/** An address has no more ports, and so no more connections, than that. */
const COUNT_BITS = 20n
const COUNT_MASK = (1n << COUNT_BITS) - 1n

/** What all threads share. */
export type SharedAddressCounts = {
  readonly words: SharedArrayBuffer
  /** Makes digests unpredictable: nobody can take the places of somebody else's address. */
  readonly secret: string
}

/** Counts of clients by address, for all threads: addresses are hashed with a secret of this process. */
export const makeSharedAddressCounts = (): SharedAddressCounts => ({
  words: new SharedArrayBuffer(PLACES * BigUint64Array.BYTES_PER_ELEMENT),
  secret: randomBytes(16).toString('hex'),
})

/** The address of a peer `address:port`; IPv4 in IPv6's clothes is IPv4. */
export const addressOf = (peer: string): string => {
  const address = peer.slice(0, peer.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  const bytes = parseInet(address)
  return bytes === null ? address : formatAddress(bytes)
}

export class AddressCounts {
  readonly #words: BigUint64Array
  readonly #secret: string

  constructor({ words, secret }: SharedAddressCounts) {
    this.#words = new BigUint64Array(words)
    this.#secret = secret
  }

  /** Counts one more connection, unless there are `max` already; 0: as many as come. Returns whether it did. */
  take(address: string, max: number): boolean {
    const { row, digest } = this.#place(address)
    for (;;) {
      const at = this.#find(row, digest)
      const place = at ?? this.#find(row, 0n)
      if (place === null) return true
      const before = Atomics.load(this.#words, place)
      // Somebody else's by now.
      if (before >> COUNT_BITS !== (at === null ? 0n : digest)) continue
      const count = before & COUNT_MASK
      if (max > 0 && count >= BigInt(max)) return false
      if (this.#replace(place, before, (digest << COUNT_BITS) | (count + 1n))) return true
    }
  }

  /** One of its connections, that `take` has let in, is closed. */
  release(address: string): void {
    const { row, digest } = this.#place(address)
    for (;;) {
      const place = this.#find(row, digest)
      if (place === null) return
      const before = Atomics.load(this.#words, place)
      if (before >> COUNT_BITS !== digest) continue
      if (this.#replace(place, before, (before & COUNT_MASK) === 1n ? 0n : before - 1n)) return
    }
  }

  /** Where the word with this digest is; a free place has the digest 0. */
  #find(row: number, digest: bigint): number | null {
    for (let place = row; place < row + PLACES_PER_ADDRESS; place++) {
      if (Atomics.load(this.#words, place) >> COUNT_BITS === digest) return place
    }
    return null
  }

  #replace(place: number, before: bigint, after: bigint): boolean {
    return Atomics.compareExchange(this.#words, place, before, after) === before
  }

  #place(address: string): { readonly row: number; readonly digest: bigint } {
    const bytes = hash('sha256', `${this.#secret} ${address}`, 'buffer')
    const digest = bytes.readBigUInt64BE(8) >> COUNT_BITS
    return {
      row: Number(bytes.readBigUInt64BE(0) % ROWS) * PLACES_PER_ADDRESS,
      // 0 is a free place.
      digest: digest === 0n ? 1n : digest,
    }
  }
}
