/**
 * Opens connections to cluster nodes. Reads land in one buffer per thread (`onread`): a read is
 * consumed before the next is issued, so all upstream sockets of a thread can share it.
 */
import { connect, type Socket } from 'node:net'
import { type Clock, systemClock } from '../clock.ts'
import { tuneSocket } from './keepalive.ts'
import type { Transport, TransportHandler } from './transport.ts'

const READ_BUFFER_LENGTH = 64 * 1024

/** Formats an address and port the way node labels and logs show it. */
export const formatEndpoint = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

export type DialTarget = {
  readonly address: string
  readonly port: number
  /** Budget for the TCP connection, in milliseconds. */
  readonly timeoutMs: number
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
      const socket = this.#connect(target, handler)
      let isConnected = false
      let cause: Error | null = null
      const onAbort = (): void => void socket.destroy(abandoned())
      const timer = this.#clock.setTimeout(() => {
        socket.destroy(new Error(`no TCP connection to ${peer} within ${target.timeoutMs} ms`))
      }, target.timeoutMs)
      const stopWaiting = (): void => {
        this.#clock.clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      signal?.addEventListener('abort', onAbort)
      socket.once('connect', () => {
        stopWaiting()
        isConnected = true
        tuneSocket(socket)
        resolve(new SocketTransport(socket, peer))
      })
      socket.on('error', (error) => {
        cause = error
      })
      socket.once('close', () => {
        stopWaiting()
        if (isConnected) handler.onClose(cause)
        else reject(cause ?? new Error(`the connection to ${peer} was closed`))
      })
    })
  }

  #connect(target: DialTarget, handler: TransportHandler): Socket {
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
    return socket
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
