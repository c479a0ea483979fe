/**
 * A connection under TLS as a Transport, for the dialer and the listener. TLS never takes bytes
 * at once: every write is told of when it is over, or an idle connection would keep a whole output
 * buffer parked (performance-notes §3.3).
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { plainBytes, type Transport, type TransportHandler } from './transport.ts'

export class TlsTransport implements Transport {
  readonly peer: string
  /** The proxy itself has ended it. */
  isEnding = false
  readonly #carrier: Socket
  #socket: TLSSocket | null = null
  #handler: TransportHandler | null = null
  #isPaused = false
  readonly #onWritten = (error?: Error | null): void => {
    if (error == null && this.#socket!.writableLength === 0) this.#handler!.onDrain()
  }

  /** `carrier` is what is closed until the handshake is done; nothing is written before. */
  constructor(carrier: Socket, peer: string) {
    this.#carrier = carrier
    this.peer = peer
  }

  /** The handshake is done: bytes may flow. */
  open(socket: TLSSocket, handler: TransportHandler): void {
    this.#socket = socket
    this.#handler = handler
    // Each chunk is a buffer of its own, so a request may keep a view of it until it is answered.
    socket.on('data', (chunk: Buffer) => handler.onBytes(plainBytes(chunk), 0, chunk.length))
    socket.on('end', () => handler.onEnd())
    if (this.#isPaused) socket.pause()
  }

  get queuedBytes(): number {
    return this.#socket === null ? 0 : this.#socket.writableLength
  }

  get bytesRead(): number {
    return this.#carrier.bytesRead
  }

  write(bytes: Uint8Array): void {
    // Before the handshake there is nobody who could read it, behind an end it is an error to Node.
    if (this.#socket?.writable === true) this.#socket.write(bytes, this.#onWritten)
  }

  pause(): void {
    this.#isPaused = true
    this.#socket?.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#socket?.resume()
  }

  end(): void {
    this.isEnding = true
    if (this.#socket === null) this.#carrier.destroy()
    else this.#socket.end()
  }

  destroy(): void {
    this.isEnding = true
    if (this.#socket === null) this.#carrier.destroy()
    else this.#socket.destroy()
  }
}
