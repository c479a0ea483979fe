/**
 * The listener's side of TLS: takes accepted sockets through the handshake with the certificate in
 * force, which can be changed while connections stay (operations §7.1). How long a handshake may take
 * and how many connections there may be is the data plane's business, as for plain ones.
 */
import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { explainTlsError, type ListenerTlsMaterial, listenerContextOptions } from './tls.ts'

type Pending = {
  readonly onSecure: (socket: TLSSocket) => void
  readonly onFailed: (why: string) => void
}

/** Names a connection, whichever of its two socket objects is asked. */
const nameOf = (socket: Socket): string =>
  `${socket.localAddress} ${socket.remoteAddress} ${socket.remotePort}`

/** A client that comes and goes without a byte, as load balancers do to see whether we live. */
const PROBE_CODE = 'ECONNRESET'

export class TlsAcceptor {
  /** It never listens: it is given the sockets of the listener that the data plane has anyway. */
  readonly #server: Server
  readonly #pending = new Map<string, Pending>()
  /** Whose carrier is closing right now. */
  #closing: Pending | null = null

  /** Throws where the material cannot be used. */
  constructor(material: ListenerTlsMaterial) {
    const requestsCertificate = material.clientAuthority !== null
    this.#server = createServer({
      ...listenerContextOptions(material),
      ticketKeys: Buffer.from(material.ticketKeys),
      requestCert: requestsCertificate,
      rejectUnauthorized: requestsCertificate,
    })
    this.#server.on('secureConnection', (socket) => {
      const pending = this.#take(socket)
      // The peer was gone before it could be told apart.
      if (pending === null) socket.destroy()
      else pending.onSecure(socket)
    })
    this.#server.on('tlsClientError', (error, socket) => {
      const refusal = refusalOf(error, socket)
      // A client whose certificate is refused is closed first and told of after: nameless by then,
      // but within the event of its carrier's close.
      const pending = this.#take(socket) ?? this.#closing
      if (refusal !== null) pending?.onFailed(refusal)
    })
  }

  /** From now on handshakes use it; whether clients must show a certificate stays. */
  setMaterial(material: ListenerTlsMaterial): void {
    this.#server.setSecureContext(listenerContextOptions(material))
    // A session from before must not carry over what another authority had accepted.
    this.#server.setTicketKeys(Buffer.from(material.ticketKeys))
  }

  /** Exactly one of the two is called, or none where the socket is closed before. */
  secure(
    socket: Socket,
    onSecure: (socket: TLSSocket) => void,
    onFailed: (why: string) => void,
  ): void {
    const name = nameOf(socket)
    const pending = { onSecure, onFailed }
    this.#pending.set(name, pending)
    socket.once('close', () => {
      if (this.#pending.get(name) !== pending) return
      this.#pending.delete(name)
      this.#closing = pending
      queueMicrotask(() => {
        this.#closing = null
      })
    })
    this.#server.emit('connection', socket)
  }

  #take(socket: Socket): Pending | null {
    const name = nameOf(socket)
    const pending = this.#pending.get(name)
    this.#pending.delete(name)
    return pending ?? null
  }
}

const refusalOf = (error: Error, socket: TLSSocket): string | null => {
  const { authorizationError } = socket
  // Typed as an Error, it is the code of one.
  if (authorizationError != null) return explainTlsError(withCode(String(authorizationError)))
  const isProbe = 'code' in error && error.code === PROBE_CODE && socket.bytesRead === 0
  return isProbe ? null : explainTlsError(error)
}

const withCode = (code: string): Error => Object.assign(new Error(code), { code })
