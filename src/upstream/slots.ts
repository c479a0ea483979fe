/**
 * The stream ids of one upstream connection (performance-notes §4 "slot table"). A slot's number is
 * the stream id on the wire; it is taken until its answer comes, also when nobody waits for the
 * answer any more (an orphan), so that a late answer can never reach another request.
 *
 * Stream id 0 is never handed out: clusters use it for errors that belong to no request.
 */

/** Nobody's. */
export const SLOT_FREE = -1
/** The slot belongs to a call (slow path), not to a request of the request table. */
export const SLOT_CALL = -2
/** Its request is gone; the answer is still owed. */
export const SLOT_ORPHAN = -3

const CAPACITY_START = 64

export class SlotTable {
  /** Per slot: the request's index (≥ 0), or SLOT_CALL, SLOT_ORPHAN, SLOT_FREE. */
  owner: Int32Array
  used = 0
  orphans = 0
  readonly #capacityMax: number
  /** Last in, first out: a lightly used connection touches the same few cache lines for ever. */
  #free: Int32Array
  #freeCount = 0

  /** `capacityMax`: stream ids that may be in use at once, 1…32,767. */
  constructor(capacityMax: number) {
    this.#capacityMax = capacityMax
    this.owner = new Int32Array(0)
    this.#free = new Int32Array(0)
    this.#growTo(Math.min(CAPACITY_START, capacityMax + 1))
  }

  get hasFree(): boolean {
    return this.used < this.#capacityMax
  }

  /** Takes a slot for `owner`; the caller has checked `hasFree`. */
  take(owner: number): number {
    if (this.#freeCount === 0) {
      this.#growTo(Math.min(this.owner.length * 2, this.#capacityMax + 1))
    }
    const slot = this.#free[--this.#freeCount]!
    this.owner[slot] = owner
    this.used++
    return slot
  }

  /** The owner of a stream id as it came off the wire, or SLOT_FREE. */
  ownerOf(streamId: number): number {
    return streamId < this.owner.length ? this.owner[streamId]! : SLOT_FREE
  }

  release(slot: number): void {
    if (this.owner[slot] === SLOT_ORPHAN) this.orphans--
    this.owner[slot] = SLOT_FREE
    this.#free[this.#freeCount++] = slot
    this.used--
  }

  /** Nobody waits any more; the slot stays taken until the late answer comes. */
  orphan(slot: number): void {
    this.owner[slot] = SLOT_ORPHAN
    this.orphans++
  }

  #growTo(capacity: number): void {
    const before = this.owner.length
    const owner = new Int32Array(capacity).fill(SLOT_FREE)
    owner.set(this.owner)
    const free = new Int32Array(capacity)
    free.set(this.#free.subarray(0, this.#freeCount))
    // Downwards, so that the lowest is handed out first; 0 is left out.
    for (let slot = capacity - 1; slot >= Math.max(before, 1); slot--) {
      free[this.#freeCount++] = slot
    }
    this.owner = owner
    this.#free = free
  }
}
