/**
 * The way out of one connection: envelopes are copied into a pooled buffer and leave in one write
 * per turn of the event loop (performance-notes §3.3, §3.4). On v5 the buffer is one frame: the header's
 * bytes are kept free in front, and the frame is sealed when it leaves, compressed where that was agreed,
 * so that a frame is never torn. On v2 headers become short when they leave.
 * Ids are patched in the copy: `append` returns where it lies. Of an envelope that is longer than a buffer
 * only the beginning is copied; the rest leaves from where it came.
 */
import { allocateUnfilled } from '../cql/allocate.ts'
import { HEADER_LENGTH } from '../cql/envelope.ts'
import {
  FRAME_HEADER_LENGTH,
  FRAME_PAYLOAD_LENGTH_MAX,
  FRAME_TRAILER_LENGTH,
  LZ4_FRAME_HEADER_LENGTH,
  sealFrame,
  sealLz4Frame,
  splitIntoFrames,
} from '../cql/frame.ts'
import { narrowHeaders } from '../cql/short-header.ts'
import { noTraffic, type Traffic, type Transport } from './transport.ts'

/** One buffer holds about one full socket read; larger gained nothing when measured. */
export const OUTPUT_BUFFER_LENGTH = 64 * 1024
/** Buffers kept for reuse per thread: 16 MiB at most. */
const POOLED_BUFFERS_MAX = 256
/** Up to so many bytes are copied out of a buffer that a slow transport would hold on to otherwise. */
const SPARSE_LENGTH_MAX = OUTPUT_BUFFER_LENGTH / 2
/** So much of a long envelope is copied: what may be patched lies there. */
const LONG_HEAD_LENGTH = 1024
/** Below this a loop is faster than a call into the engine. */
const COPY_LOOP_LENGTH_MAX = 24

const EMPTY = new Uint8Array(0)

/** The buffers and the dirty list of one thread. */
export class Flusher {
  readonly #free: Uint8Array[] = []
  #dirty: Output[] = []
  #flushing: Output[] = []
  readonly #schedule: (flush: () => void) => void
  readonly #flushAll = (): void => {
    const outputs = this.#dirty
    this.#dirty = this.#flushing
    this.#flushing = outputs
    for (let i = 0; i < outputs.length; i++) outputs[i]!.flush()
    outputs.length = 0
  }

  /** `schedule` runs a callback once after the sockets of this turn were read: setImmediate. */
  constructor(schedule: (flush: () => void) => void) {
    this.#schedule = schedule
  }

  add(output: Output): void {
    if (this.#dirty.push(output) === 1) this.#schedule(this.#flushAll)
  }

  takeBuffer(): Uint8Array {
    return this.#free.pop() ?? allocateUnfilled(OUTPUT_BUFFER_LENGTH)
  }

  returnBuffer(buffer: Uint8Array): void {
    if (buffer.length === OUTPUT_BUFFER_LENGTH && this.#free.length < POOLED_BUFFERS_MAX) {
      this.#free.push(buffer)
    }
  }
}

export class Output {
  /** The buffer that `append`'s offsets point into, valid until the next append. */
  buffer: Uint8Array = EMPTY
  readonly #flusher: Flusher
  readonly #transport: Transport
  readonly #traffic: Traffic
  /** Buffers that the transport has not let go of. */
  #parked: Uint8Array[] = []
  #fill = 0
  /** Up to where envelopes may lie in `buffer`; beyond it the buffer leaves first. */
  #limit = 0
  /** The rest of the envelope that `buffer` ends with, in its sender's memory; empty for all but long ones. */
  #rest: Uint8Array = EMPTY
  #isDirty = false
  #isClosed = false
  /** What is kept free in front of the envelopes for a frame's header, and behind them for its trailer. */
  #frameHeaderLength = 0
  #frameTrailerLength = 0
  #hasShortHeaders = false

  /** What is written counts in `traffic`. */
  constructor(flusher: Flusher, transport: Transport, traffic = noTraffic()) {
    this.#flusher = flusher
    this.#transport = transport
    this.#traffic = traffic
  }

  /** Bytes accepted that have not reached the kernel. */
  get queuedBytes(): number {
    return this.#fill + this.#rest.length + this.#transport.queuedBytes
  }

  /** From now on envelopes leave in v5 frames; what was appended before leaves bare. */
  startFrames(hasLz4 = false): void {
    this.#writeOut()
    this.#frameHeaderLength = hasLz4 ? LZ4_FRAME_HEADER_LENGTH : FRAME_HEADER_LENGTH
    this.#frameTrailerLength = FRAME_TRAILER_LENGTH
  }

  /** From now on envelopes of v2 and before leave with the short header that they have on the wire. */
  useShortHeaders(): void {
    this.#hasShortHeaders = true
  }

  /**
   * Copies one envelope and returns its offset in `buffer`, where the caller may patch the first
   * `patchedLength` bytes until it appends again. Behind them an envelope that is longer than a buffer is
   * not copied: nobody may change it there any more. A closed output takes and forgets it.
   */
  append(bytes: Uint8Array, start: number, end: number, patchedLength = HEADER_LENGTH): number {
    const length = end - start
    if (!this.#isDirty) {
      this.#isDirty = true
      this.#flusher.add(this)
    }
    if (this.#fill + length > this.#limit) {
      if (length > OUTPUT_BUFFER_LENGTH && patchedLength <= LONG_HEAD_LENGTH && this.#isBare) {
        return this.#appendLong(bytes, start, end)
      }
      this.#makeRoom(length)
    }
    const at = this.#fill
    const buffer = this.buffer
    if (length <= COPY_LOOP_LENGTH_MAX) {
      for (let i = 0; i < length; i++) buffer[at + i] = bytes[start + i]!
    } else {
      buffer.set(bytes.subarray(start, end), at)
    }
    this.#fill = at + length
    return at
  }

  flush(): void {
    this.#isDirty = false
    this.#writeOut()
  }

  /** Gives the buffers back; later appends go nowhere. */
  close(): void {
    this.#isClosed = true
    if (this.buffer !== EMPTY) this.#flusher.returnBuffer(this.buffer)
    this.buffer = EMPTY
    this.#fill = 0
    this.#limit = 0
    this.#rest = EMPTY
    this.#parked = []
  }

  /** The transport has let go of everything that was parked. */
  onDrain(): void {
    for (const buffer of this.#parked) this.#flusher.returnBuffer(buffer)
    this.#parked.length = 0
  }

  #makeRoom(length: number): void {
    this.#writeOut()
    if (this.buffer !== EMPTY) this.#flusher.returnBuffer(this.buffer)
    const header = this.#frameHeaderLength
    const needed = header + length + this.#frameTrailerLength
    this.buffer =
      needed <= OUTPUT_BUFFER_LENGTH ? this.#flusher.takeBuffer() : allocateUnfilled(needed)
    this.#fill = header
    this.#limit = this.buffer.length - this.#frameTrailerLength
  }

  /** Whether envelopes leave as they are, neither in frames nor with short headers. */
  get #isBare(): boolean {
    return this.#frameHeaderLength === 0 && !this.#hasShortHeaders
  }

  #appendLong(bytes: Uint8Array, start: number, end: number): number {
    const restStart = start + LONG_HEAD_LENGTH
    const at = this.append(bytes, start, restStart)
    this.#rest = bytes.subarray(restStart, end)
    this.#limit = 0
    return at
  }

  #writeOut(): void {
    const buffer = this.buffer
    const length = this.#fill
    const rest = this.#rest
    if (length <= this.#frameHeaderLength) return
    this.buffer = EMPTY
    this.#fill = 0
    this.#limit = 0
    this.#rest = EMPTY
    if (this.#isClosed) {
      this.#flusher.returnBuffer(buffer)
      return
    }
    this.#writeBuffer(buffer, length)
    if (rest !== EMPTY) this.#write(rest)
  }

  #write(bytes: Uint8Array): void {
    this.#traffic.sentBytes += bytes.length
    this.#transport.write(bytes)
  }

  #writeBuffer(buffer: Uint8Array, length: number): void {
    const transport = this.#transport
    if (transport.queuedBytes === 0) {
      // A drain is announced only after a write that met a full queue, so look here as well.
      if (this.#parked.length > 0) this.onDrain()
    } else if (length <= SPARSE_LENGTH_MAX) {
      // Small writes to a peer that does not read would pin a whole buffer each.
      this.#write(this.#seal(buffer, length).slice())
      this.#flusher.returnBuffer(buffer)
      return
    }
    this.#write(this.#seal(buffer, length))
    if (transport.queuedBytes === 0) this.#flusher.returnBuffer(buffer)
    else if (buffer.length === OUTPUT_BUFFER_LENGTH) this.#parked.push(buffer)
  }

  #seal(buffer: Uint8Array, length: number): Uint8Array {
    const header = this.#frameHeaderLength
    if (header === 0) {
      return buffer.subarray(0, this.#hasShortHeaders ? narrowHeaders(buffer, length) : length)
    }
    const hasLz4 = header === LZ4_FRAME_HEADER_LENGTH
    const payloadLength = length - header
    if (payloadLength > FRAME_PAYLOAD_LENGTH_MAX) {
      return splitIntoFrames(buffer, header, length, hasLz4)
    }
    if (hasLz4) return buffer.subarray(0, sealLz4Frame(buffer, 0, payloadLength, true))
    sealFrame(buffer, 0, payloadLength, true)
    return buffer.subarray(0, length + FRAME_TRAILER_LENGTH)
  }
}
