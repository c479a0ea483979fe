/**
 * What the rest of the proxy knows of a socket: bytes in, bytes out, and how full the way out is.
 * Implemented by the dialer and the listener; nobody else touches node:net.
 */

/** Bytes of one side's connections, counted where chunks are read and written; under TLS before it is applied. */
export type Traffic = { receivedBytes: number; sentBytes: number }

export const noTraffic = (): Traffic => ({ receivedBytes: 0, sentBytes: 0 })

/**
 * A chunk that Node has read, as the bytes that the handlers get: a Buffer's `slice` is a view, and what
 * keeps a slice counts on a copy of its own.
 */
export const plainBytes = ({ buffer, byteOffset, length }: Buffer): Uint8Array =>
  new Uint8Array(buffer, byteOffset, length)

export interface Transport {
  /** Peer as `address:port`, for logs and node labels. */
  readonly peer: string
  /** Bytes handed over that the kernel has not taken yet. 0 directly after a write means: all taken. */
  readonly queuedBytes: number
  /** That have come so far, on the wire: who compares it with an earlier look sees whether the peer was silent. */
  readonly bytesRead: number
  /** The bytes belong to the transport until `queuedBytes` is 0 again. Behind an end they are dropped. */
  write(bytes: Uint8Array): void
  pause(): void
  resume(): void
  /** Sends what is queued, then closes. */
  end(): void
  /** Closes now; what is queued is lost. */
  destroy(): void
}

/** Every method is called by the transport only; `onClose` exactly once and last. */
export interface TransportHandler {
  /** The bytes are the handler's to read until it returns; never a Buffer. */
  onBytes(chunk: Uint8Array, start: number, end: number): void
  /** Everything queued has been taken by the kernel. */
  onDrain(): void
  /** The peer has sent its last byte. */
  onEnd(): void
  onClose(cause: Error | null): void
}
