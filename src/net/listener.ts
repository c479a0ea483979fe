/**
 * Accepts client connections. Several threads listen on one port where the platform can
 * (`reusePort`): the kernel deals the connections out.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { formatEndpoint, SocketTransport } from './dialer.ts'
import { tuneSocket } from './keepalive.ts'
import type { Transport, TransportHandler } from './transport.ts'

export type ListenOptions = {
  readonly address: string
  readonly port: number
  /** Let other threads listen on the same port. */
  readonly reusePort: boolean
  /** A connection could not be taken over, for want of file descriptors for instance. Accepting goes on. */
  readonly onAcceptFailed?: (error: Error) => void
}

export type Listener = {
  readonly port: number
  /** Stops accepting and gives the port back. Accepted connections stay. */
  close(): Promise<void>
}

/** Makes the handler of one accepted connection, or null to refuse it: it is closed without a byte. */
export type Accept = (transport: Transport) => TransportHandler | null

/** Binds and accepts; rejects when the address cannot be bound. */
export const listen = (options: ListenOptions, accept: Accept): Promise<Listener> =>
  new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) =>
      attach(socket, accept),
    )
    server.once('error', reject)
    server.listen(
      { host: options.address, port: options.port, reusePort: options.reusePort },
      () => {
        server.removeListener('error', reject)
        // Without a listener an error here would end the process.
        server.on('error', (error) => options.onAcceptFailed?.(error))
        resolve({ port: portOf(server), close: () => closeServer(server) })
      },
    )
  })

const portOf = (server: Server): number => {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** The port is free when `close` returns; its callback would wait for every accepted connection. */
const closeServer = async (server: Server): Promise<void> => {
  server.close()
}

const attach = (socket: Socket, accept: Accept): void => {
  const peer = formatEndpoint(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0)
  let cause: Error | null = null
  socket.on('error', (error) => {
    cause = error
  })
  const handler = accept(new SocketTransport(socket, peer))
  if (handler === null) {
    socket.destroy()
    return
  }
  tuneSocket(socket)
  // Each chunk is a buffer of its own, so a request may keep a view of it until it is answered.
  socket.on('data', (chunk: Uint8Array) => handler.onBytes(chunk, 0, chunk.length))
  socket.on('drain', () => handler.onDrain())
  socket.on('end', () => handler.onEnd())
  socket.once('close', () => handler.onClose(cause))
}
