/**
 * A Transport whose kernel takes bytes when the test says so. What it has not taken it reads from
 * the buffers that it was given, late, as a real stream does: whoever reuses one too early corrupts
 * what arrives.
 */
import type { Transport } from '../../src/net/transport.ts'

export class ScriptedTransport implements Transport {
  readonly peer = '127.0.0.1:9042'
  readonly bytesRead = 0
  /** Takes every write at once, like a plain socket with room. */
  isTaking = true
  /** Each write as it was handed over, in a copy of that moment. */
  readonly writes: Uint8Array[] = []
  isEnded = false
  isDestroyed = false
  readonly #queue: Uint8Array[] = []
  readonly #arrived: Uint8Array[] = []

  get queuedBytes(): number {
    return this.#queue.reduce((sum, bytes) => sum + bytes.length, 0)
  }

  /** Memory that the queue holds on to. */
  get pinnedBytes(): number {
    const buffers = new Set(this.#queue.map((bytes) => bytes.buffer))
    return [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0)
  }

  /** What the peer has got. */
  get arrived(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#arrived))
  }

  write(bytes: Uint8Array): void {
    this.writes.push(bytes.slice())
    this.#queue.push(bytes)
    if (this.isTaking) this.takeAll()
  }

  /** The kernel takes what is queued; a drain is announced by the test. */
  takeAll(): void {
    for (const bytes of this.#queue.splice(0)) this.#arrived.push(bytes.slice())
  }

  pause(): void {}

  resume(): void {}

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    this.isDestroyed = true
  }
}
