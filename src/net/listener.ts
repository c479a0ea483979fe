/**
 * Accepts client connections. Several threads listen on one port where the platform can
 * (`reusePort`): the kernel deals the connections out.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { formatEndpoint, SocketTransport } from './dialer.ts'
import { tuneSocket } from './keepalive.ts'
import { type Refusal, Refusals } from './refusals.ts'
import type { ListenerTlsMaterial } from './tls.ts'
import { TlsAcceptor } from './tls-acceptor.ts'
import { TlsTransport } from './tls-transport.ts'
import { plainBytes, type Transport, type TransportHandler } from './transport.ts'

export type ListenOptions = {
  readonly address: string
  readonly port: number
  /** Let other threads listen on the same port. */
  readonly reusePort: boolean
  /** A connection could not be taken over, for want of file descriptors for instance. Accepting goes on. */
  readonly onAcceptFailed?: (error: Error) => void
  readonly tls?: ListenerTlsMaterial | null
  /** A client did not get through its TLS handshake; its connection is being closed. */
  readonly onTlsFailed?: (peer: string, why: string) => void
}

export type Listener = {
  readonly port: number
  /** Stops accepting and gives the port back. Accepted connections stay. */
  close(): Promise<void>
  /** Handshakes from now on use it. Only where the listener was made with TLS. */
  setTls(material: ListenerTlsMaterial): void
}

/** Makes the handler of one accepted connection, or refuses it: it is closed without a byte. */
export type Accept = (transport: Transport) => TransportHandler | Refusal

/** Binds and accepts; rejects when the address cannot be bound, or the certificate not be used. */
export const listen = (options: ListenOptions, accept: Accept): Promise<Listener> =>
  new Promise((resolve, reject) => {
    const { tls = null } = options
    const acceptor = tls === null ? null : new TlsAcceptor(tls)
    const refusals = new Refusals()
    const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
      if (acceptor === null) attach(socket, accept, refusals)
      else attachSecure(socket, accept, refusals, acceptor, options)
    })
    server.once('error', reject)
    server.listen(
      { host: options.address, port: options.port, reusePort: options.reusePort },
      () => {
        server.removeListener('error', reject)
        // Without a listener an error here would end the process.
        server.on('error', (error) => options.onAcceptFailed?.(error))
        resolve({
          port: portOf(server),
          close: () => closeServer(server),
          setTls: (material) => acceptor?.setMaterial(material),
        })
      },
    )
  })

/**
 * Rejects, as `listen` does, where anybody has the port: a listener that shares it with others of its process
 * (`reusePort`) would get a part of the clients of another process that does so too.
 */
export const assertPortIsFree = (address: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    server.listen({ host: address, port }, () => server.close(() => resolve()))
  })

const portOf = (server: Server): number => {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** The port is free when `close` returns; its callback would wait for every accepted connection. */
const closeServer = async (server: Server): Promise<void> => {
  server.close()
}

const peerOf = (socket: Socket): string =>
  formatEndpoint(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0)

const attach = (socket: Socket, accept: Accept, refusals: Refusals): void => {
  let cause: Error | null = null
  socket.on('error', (error) => {
    cause = error
  })
  const handler = accept(new SocketTransport(socket, peerOf(socket)))
  if (typeof handler === 'function') {
    refusals.close(socket, handler)
    return
  }
  tuneSocket(socket)
  // Each chunk is a buffer of its own, so a request may keep a view of it until it is answered.
  socket.on('data', (chunk: Buffer) => handler.onBytes(plainBytes(chunk), 0, chunk.length))
  socket.on('drain', () => handler.onDrain())
  socket.on('end', () => handler.onEnd())
  socket.once('close', () => handler.onClose(cause))
}

/** The client counts, and its handshake's deadline runs, from here on: not only when TLS is done. */
const attachSecure = (
  socket: Socket,
  accept: Accept,
  refusals: Refusals,
  acceptor: TlsAcceptor,
  options: ListenOptions,
): void => {
  let cause: Error | null = null
  const onError = (error: Error): void => {
    cause = error
  }
  socket.on('error', onError)
  const transport = new TlsTransport(socket, peerOf(socket))
  const handler = accept(transport)
  if (typeof handler === 'function') {
    refusals.close(socket, handler)
    return
  }
  tuneSocket(socket)
  // What carries the TLS closes last.
  socket.once('close', () => handler.onClose(cause))
  acceptor.secure(
    socket,
    (secure) => {
      secure.on('error', onError)
      transport.open(secure, handler)
    },
    (why) => {
      if (!transport.isEnding) options.onTlsFailed?.(transport.peer, why)
    },
  )
}
