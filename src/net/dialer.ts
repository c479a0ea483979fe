/**
 * Opens connections to cluster nodes. Reads land in one buffer per thread (`onread`): a read is
 * consumed before the next is issued, so all upstream sockets of a thread can share it. TLS has
 * buffers of its own.
 */
import { connect, type Socket } from 'node:net'
import { type Clock, systemClock } from '../clock.ts'
import { tuneSocket } from './keepalive.ts'
import { explainTlsError, type UpstreamTls } from './tls.ts'
import { TlsTransport } from './tls-transport.ts'
import type { Transport, TransportHandler } from './transport.ts'

const READ_BUFFER_LENGTH = 64 * 1024

/** Formats an address and port the way node labels and logs show it. */
export const formatEndpoint = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

export type DialTarget = {
  readonly address: string
  readonly port: number
  /** Budget for the connection, the TLS handshake included, in milliseconds. */
  readonly timeoutMs: number
  /** Whom a router behind the address is to connect us to (SNI); only with TLS. */
  readonly serverName?: string
  readonly tls?: UpstreamTls | null
}

/** A connection that is being made, with or without TLS. */
type Attempt = {
  readonly socket: Socket
  /** The event after which bytes may flow. */
  readonly connected: 'connect' | 'secureConnect'
  /** What is being waited for. */
  stage(): string
  explain(error: Error): Error
  open(): Transport
}

export class Dialer {
  readonly #clock: Clock
  readonly #readBuffer = new Uint8Array(READ_BUFFER_LENGTH)

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  /**
   * Resolves with a connected transport; rejects with the socket's error, a time-out or an abort. The
   * handler hears of bytes and the close only after that. The signal ends the dialling alone: a
   * connection that is made stays, since it may be in use by the time that the signal comes.
   */
  dial(target: DialTarget, handler: TransportHandler, signal?: AbortSignal): Promise<Transport> {
    const peer = formatEndpoint(target.address, target.port)
    const abandoned = (): Error => new Error(`the connection to ${peer} is not wanted any more`)
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abandoned())
        return
      }
      const { tls = null } = target
      const attempt =
        tls === null
          ? this.#connectPlain(target, peer, handler)
          : connectSecure(target, tls, peer, handler)
      const { socket, connected } = attempt
      let isOpen = false
      let cause: Error | null = null
      const onAbort = (): void => void socket.destroy(abandoned())
      const timer = this.#clock.setTimeout(() => {
        socket.destroy(new Error(`no ${attempt.stage()} ${peer} within ${target.timeoutMs} ms`))
      }, target.timeoutMs)
      const stopWaiting = (): void => {
        this.#clock.clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      signal?.addEventListener('abort', onAbort)
      socket.once(connected, () => {
        stopWaiting()
        isOpen = true
        if (tls === null) tuneSocket(socket)
        resolve(attempt.open())
      })
      socket.on('error', (error) => {
        cause = isOpen ? error : attempt.explain(error)
      })
      socket.once('close', () => {
        stopWaiting()
        if (isOpen) handler.onClose(cause)
        else reject(cause ?? new Error(`the connection to ${peer} was closed`))
      })
    })
  }

  #connectPlain(target: DialTarget, peer: string, handler: TransportHandler): Attempt {
    const socket = connect({
      host: target.address,
      port: target.port,
      noDelay: true,
      onread: {
        buffer: this.#readBuffer,
        callback: (length: number, buffer: Uint8Array): boolean => {
          handler.onBytes(buffer, 0, length)
          return true
        },
      },
    })
    socket.on('drain', () => handler.onDrain())
    socket.on('end', () => handler.onEnd())
    return {
      socket,
      connected: 'connect',
      stage: () => 'TCP connection to',
      explain: (error) => error,
      open: () => new SocketTransport(socket, peer),
    }
  }
}

const connectSecure = (
  target: DialTarget,
  tls: UpstreamTls,
  peer: string,
  handler: TransportHandler,
): Attempt => {
  const socket = tls.connect(target)
  let isShaking = false
  socket.once('connect', () => {
    isShaking = true
    // Before the handshake, or a node that dies in it would be noticed no sooner than the budget ends.
    tuneSocket(socket)
  })
  return {
    socket,
    connected: 'secureConnect',
    stage: () => (isShaking ? 'TLS handshake with' : 'TCP connection to'),
    explain: (error) =>
      isShaking && 'code' in error
        ? new Error(`TLS handshake with ${peer}: ${explainTlsError(error)}`, { cause: error })
        : error,
    open: () => {
      const transport = new TlsTransport(socket, peer)
      transport.open(socket, handler)
      return transport
    },
  }
}

/** A connected socket as a Transport; shared by the dialer and the listener. */
export class SocketTransport implements Transport {
  readonly peer: string
  readonly #socket: Socket

  constructor(socket: Socket, peer: string) {
    this.#socket = socket
    this.peer = peer
  }

  get queuedBytes(): number {
    return this.#socket.writableLength
  }

  get bytesRead(): number {
    return this.#socket.bytesRead
  }

  write(bytes: Uint8Array): void {
    // A write behind the end is an error to Node, which would throw away what is still queued.
    if (this.#socket.writable) this.#socket.write(bytes)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}
