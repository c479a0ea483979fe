/** A TransportHandler that keeps what it was told, and lets a test wait for it. */
import type { Socket } from 'node:net'
import type { Transport, TransportHandler } from '../../src/net/transport.ts'

export class RecordingHandler implements TransportHandler {
  /** Names of the calls, in order; runs of `bytes` count as one. */
  readonly calls: string[] = []
  readonly closeCauses: (Error | null)[] = []
  received = Buffer.alloc(0)
  /** A slice of a chunk was a view of it, as a Buffer's is. */
  sharesSlices = false
  transport: Transport | null = null
  readonly #waiters = new Set<{ readonly isDone: () => boolean; readonly resolve: () => void }>()

  onBytes(chunk: Uint8Array, start: number, end: number): void {
    if (chunk.slice(start, end).buffer === chunk.buffer) this.sharesSlices = true
    this.received = Buffer.concat([this.received, chunk.subarray(start, end)])
    this.#note('bytes')
  }

  onDrain(): void {
    this.#note('drain')
  }

  onEnd(): void {
    this.#note('end')
  }

  onClose(cause: Error | null): void {
    this.closeCauses.push(cause)
    this.#note('close')
  }

  /** Resolves when the condition holds; asked again after every call. */
  until(isDone: () => boolean): Promise<void> {
    if (isDone()) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiters.add({ isDone, resolve })
    return promise
  }

  get closed(): Promise<void> {
    return this.until(() => this.closeCauses.length > 0)
  }

  #note(call: string): void {
    if (call !== 'bytes' || this.calls.at(-1) !== 'bytes') this.calls.push(call)
    for (const waiter of this.#waiters) {
      if (!waiter.isDone()) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }
}

/** Ways to end a connection, from either side. */
export type Ending =
  | 'peer ends'
  | 'peer sends and ends'
  | 'peer resets'
  | 'we end'
  | 'we destroy'
  | 'we write'

/** Sequences of endings; each must be told as one close. */
export const ENDINGS: readonly (readonly Ending[])[] = [
  ['peer ends'],
  ['peer sends and ends'],
  ['peer resets'],
  ['we end'],
  ['we end', 'we end'],
  ['we destroy'],
  ['we destroy', 'we destroy'],
  ['we end', 'we destroy'],
  ['we destroy', 'we end', 'we write'],
  ['peer resets', 'we destroy'],
  ['peer ends', 'we end', 'we write'],
  ['we end', 'peer resets'],
]

/** `peer` answers our end with its own. `carrier` is the socket below, where `peer` has TLS. */
export const endConnection = (
  endings: readonly Ending[],
  transport: Transport,
  peer: Socket,
  carrier: Socket = peer,
): void => {
  const acts: Record<Ending, () => void> = {
    'peer ends': () => peer.end(),
    'peer sends and ends': () => peer.end('bye'),
    'peer resets': () => carrier.resetAndDestroy(),
    'we end': () => transport.end(),
    'we destroy': () => transport.destroy(),
    'we write': () => transport.write(Buffer.from('too late')),
  }
  peer.resume()
  peer.on('end', () => peer.end())
  for (const ending of endings) acts[ending]()
}
