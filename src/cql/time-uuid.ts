/**
 * Version 1 UUIDs, as CQL's now() makes them (request-path §3.5, RFC 9562 §5.1). Each data plane has a
 * generator with a node id of its own, so that two threads never make the same.
 */

const TICKS_PER_MS = 10_000n
/** From 1582-10-15, where such UUIDs begin to count, to 1970, in ticks of 100 ns. */
const EPOCH_OFFSET_TICKS = 0x01b21dd213814000n
const NODE_LENGTH = 6
const MULTICAST_BIT = 0x01
const SEQUENCE_MAX = 0x3fff

/** `ticks` of 100 ns since 1970; `sequence` 0…16,383; `node` of 6 bytes. */
export const timeUuid = (ticks: bigint, sequence: number, node: Uint8Array): Uint8Array => {
  const uuid = new Uint8Array(16)
  const view = new DataView(uuid.buffer)
  const time = ticks + EPOCH_OFFSET_TICKS
  view.setUint32(0, Number(time & 0xffffffffn))
  view.setUint16(4, Number((time >> 32n) & 0xffffn))
  view.setUint16(6, Number((time >> 48n) & 0x0fffn) | 0x1000)
  view.setUint16(8, (sequence & SEQUENCE_MAX) | 0x8000)
  uuid.set(node, 10)
  return uuid
}

export class TimeUuidGenerator {
  readonly #node: Uint8Array
  #sequence: number
  #lastTicks = 0n

  /** `random` fills an array with random bytes. */
  constructor(random: (bytes: Uint8Array) => Uint8Array) {
    this.#node = random(new Uint8Array(NODE_LENGTH))
    // So marked, it is no network card's address.
    this.#node[0]! |= MULTICAST_BIT
    const start = random(new Uint8Array(2))
    this.#sequence = ((start[0]! << 8) | start[1]!) & SEQUENCE_MAX
  }

  /** Later than the one before, also within a millisecond and when the wall clock goes back. */
  next(wallMs: number): Uint8Array {
    const now = BigInt(Math.floor(wallMs)) * TICKS_PER_MS
    const ticks = now > this.#lastTicks ? now : this.#lastTicks + 1n
    this.#lastTicks = ticks
    this.#sequence = (this.#sequence + 1) & SEQUENCE_MAX
    return timeUuid(ticks, this.#sequence, this.#node)
  }
}
