import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import {
  type ConnectionOptions,
  connect as connectTls,
  createServer as createTlsServer,
  getCACertificates,
  setDefaultCACertificates,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { Dialer, type DialTarget } from '../../src/net/dialer.ts'
import { type Accept, listen } from '../../src/net/listener.ts'
import { Flusher, Output } from '../../src/net/output.ts'
import {
  type ListenerTlsMaterial,
  UpstreamTls,
  type UpstreamTlsMaterial,
} from '../../src/net/tls.ts'
import type { Transport } from '../../src/net/transport.ts'
import { afterTest } from '../support/after-test.ts'
import { Authority, type Issued } from '../support/certificates.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { ENDINGS, endConnection, RecordingHandler } from './recording-handler.ts'

// Certificates, handshakes and files: a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000 })

let authority: Authority
let stranger: Authority
let node: Issued
let client: Issued
let foreign: Issued

beforeAll(async () => {
  authority = await Authority.create()
  stranger = await Authority.create('Another Root')
  node = await authority.issue('node')
  client = await authority.issue('client')
  foreign = await stranger.issue('foreign')
})

const portOf = (server: Server): number => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not a TCP listener')
  return address.port
}

type TlsPeer = {
  readonly port: number
  /** Accepted, their handshake done. */
  readonly sockets: TLSSocket[]
  /** What is below them. */
  readonly carriers: Socket[]
  readonly serverNames: unknown[]
}

const listenTls = async (options: TlsOptions = {}): Promise<TlsPeer> => {
  const sockets: TLSSocket[] = []
  const carriers: Socket[] = []
  const serverNames: unknown[] = []
  const pair = { cert: node.certificate, key: node.key, allowHalfOpen: true }
  const server = createTlsServer({ ...pair, ...options }, (socket) => {
    sockets.push(socket)
    serverNames.push('servername' in socket ? socket.servername : undefined)
    socket.on('error', () => {})
    afterTest(() => socket.destroy())
  })
  server.on('connection', (socket: Socket) => carriers.push(socket))
  server.listen(0, '127.0.0.1')
  afterTest(() => server.close())
  await once(server, 'listening')
  return { port: portOf(server), sockets, carriers, serverNames }
}

const material = (overrides: Partial<UpstreamTlsMaterial> = {}): UpstreamTlsMaterial => ({
  authority: authority.certificate,
  trustsWellKnownRoots: true,
  crls: [],
  certificate: null,
  key: null,
  verifiesName: false,
  ...overrides,
})

const dial = async (
  port: number,
  tls: UpstreamTls,
  target: Partial<DialTarget> = {},
  dialer = new Dialer(),
): Promise<{ transport: Transport; handler: RecordingHandler }> => {
  const handler = new RecordingHandler()
  const where = { address: '127.0.0.1', port, timeoutMs: 5_000, tls, ...target }
  const transport = await dialer.dial(where, handler)
  handler.transport = transport
  afterTest(() => transport.destroy())
  return { transport, handler }
}

const openPair = async () => {
  const peer = await listenTls()
  const dialled = await dial(peer.port, new UpstreamTls(material()))
  await expect.poll(() => peer.sockets.length).toBe(1)
  return { ...dialled, socket: peer.sockets[0]!, peer }
}

describe('a dialled connection with TLS', () => {
  test('carries bytes both ways', async () => {
    const { handler, transport, socket } = await openPair()
    transport.write(Buffer.from('ping'))
    const [chunk] = await once(socket, 'data')
    socket.write('pong')
    await handler.until(() => handler.received.length === 4)
    expect([String(chunk), handler.received.toString()]).toEqual(['ping', 'pong'])
    expect(handler.sharesSlices).toBe(false)
  })

  test('tells of the drain after every write', async () => {
    const { handler, transport, socket } = await openPair()
    socket.resume()
    for (let writes = 1; writes <= 3; writes++) {
      transport.write(Buffer.from('x'))
      expect(transport.queuedBytes).toBe(1)
      await handler.until(() => handler.calls.filter((call) => call === 'drain').length === writes)
      expect(transport.queuedBytes).toBe(0)
    }
  })

  test('gives every output buffer back when it is idle', async () => {
    const { handler, transport, socket } = await openPair()
    socket.resume()
    const flusher = new Flusher((flush) => setImmediate(flush))
    const output = new Output(flusher, transport)
    handler.onDrain = () => {
      output.onDrain()
      handler.calls.push('drain')
      handler.onEnd()
    }
    const envelope = Buffer.alloc(50_000, 1)
    output.append(envelope, 0, envelope.length)
    const { buffer } = output
    await handler.until(() => handler.calls.includes('drain'))
    expect(flusher.takeBuffer()).toBe(buffer)
  })

  test('reads nothing while paused', async () => {
    const { handler, transport, socket } = await openPair()
    transport.pause()
    await new Promise((resolve) => socket.write('late', resolve))
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(handler.received.toString()).toBe('')
    transport.resume()
    await handler.until(() => handler.received.length === 4)
  })

  test('sends no server name and does not look at names, as the Go proxy', async () => {
    const other = await authority.issue('elsewhere', { names: ['elsewhere.example'] })
    const peer = await listenTls({ cert: other.certificate, key: other.key })
    await dial(peer.port, new UpstreamTls(material()))
    await expect.poll(() => peer.serverNames).toEqual([false])
  })

  test('sends the server name of the target, and verifies the name that was dialled', async () => {
    const peer = await listenTls()
    const tls = new UpstreamTls(material({ verifiesName: true }))
    await dial(peer.port, tls, { address: 'localhost', serverName: 'some-host-id' })
    await expect.poll(() => peer.serverNames).toEqual(['some-host-id'])
  })

  test('shows its certificate', async () => {
    const peer = await listenTls({
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    })
    await dial(peer.port, new UpstreamTls(material(client)))
    await expect.poll(() => peer.sockets.length).toBe(1)
    expect(peer.sockets[0]!.getPeerX509Certificate()?.subject).toBe('CN=client')
  })

  test('resumes the session of an earlier one', async () => {
    const peer = await listenTls()
    const tls = new UpstreamTls(material())
    const first = await dial(peer.port, tls)
    await expect.poll(() => peer.sockets.length).toBe(1)
    peer.sockets[0]!.write('x')
    await first.handler.until(() => first.handler.received.length === 1)
    await dial(peer.port, tls)
    await expect.poll(() => peer.sockets.length).toBe(2)
    expect(peer.sockets.map((socket) => socket.isSessionReused())).toEqual([false, true])
  })

  test.each(['intermediate', 'leaf'] as const)(
    'trusts the %s certificate itself where that is the authority',
    async (which) => {
      const intermediate = await authority.intermediate()
      const issued = await intermediate.issue('node')
      const peer = await listenTls({ cert: issued.certificate, key: issued.key })
      const anchor = which === 'leaf' ? issued.certificate : intermediate.certificate
      await dial(peer.port, new UpstreamTls(material({ authority: anchor })))
    },
  )

  test('takes a chain with an intermediate', async () => {
    const issued = await (await authority.intermediate()).issue('node')
    const peer = await listenTls({ cert: issued.certificate, key: issued.key })
    await dial(peer.port, new UpstreamTls(material()))
  })

  describe('to a node that a well-known authority has signed', () => {
    /** As if it were one that Node brings along. */
    const asWellKnown = (): void => {
      const before = getCACertificates('default')
      setDefaultCACertificates([...before, stranger.certificate])
      afterTest(() => setDefaultCACertificates(before))
    }
    const listenForeign = () => listenTls({ cert: foreign.certificate, key: foreign.key })

    test('is made', async () => {
      asWellKnown()
      await dial((await listenForeign()).port, new UpstreamTls(material()))
    })

    test('is not made where private roots alone are trusted', async () => {
      asWellKnown()
      const tls = new UpstreamTls(material({ trustsWellKnownRoots: false }))
      await expect(dial((await listenForeign()).port, tls)).rejects.toThrow(
        'not signed by an authority',
      )
    })
  })

  test('is not made below TLS 1.2', async () => {
    const peer = await listenTls({
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL@SECLEVEL=0',
    })
    await expect(dial(peer.port, new UpstreamTls(material()))).rejects.toThrow(/TLS handshake/)
  })
})

describe('the end of a connection with TLS is told exactly once, and last', () => {
  const endings = ENDINGS.map((steps) => ({ name: steps.join(', '), steps }))

  test.each(endings)('dialled: $name', async ({ steps }) => {
    const { handler, transport, socket, peer } = await openPair()
    endConnection(steps, transport, socket, peer.carriers[0])
    await handler.closed
    await new Promise((resolve) => setImmediate(resolve))
    expect(handler.closeCauses).toHaveLength(1)
    expect(handler.calls.at(-1)).toBe('close')
  })

  test.each(endings)('accepted: $name', async ({ steps }) => {
    const acceptor = new Acceptor()
    const { port } = await startListener(acceptor)
    const carrier = connect(port, '127.0.0.1')
    const socket = await connectClient(port, { socket: carrier })
    const handler = acceptor.handlers[0]!
    endConnection(steps, handler.transport!, socket, carrier)
    await handler.closed
    await new Promise((resolve) => setImmediate(resolve))
    expect(handler.closeCauses).toHaveLength(1)
    expect(handler.calls.at(-1)).toBe('close')
  })
})

describe('dialling with TLS fails with an error that says what is wrong:', () => {
  test.each<[string, () => Promise<TlsOptions>, Partial<UpstreamTlsMaterial>, string]>([
    [
      'another authority',
      async () => ({ cert: foreign.certificate, key: foreign.key }),
      {},
      'the certificate is not signed by an authority that is trusted here',
    ],
    [
      'an expired certificate',
      async () => {
        const { certificate, key } = await authority.issue('old', { days: -1 })
        return { cert: certificate, key }
      },
      {},
      'the certificate has expired (CERT_HAS_EXPIRED)',
    ],
    [
      'a client certificate where a server is',
      async () => {
        const { certificate, key } = await authority.issue('client', { usage: 'client' })
        return { cert: certificate, key }
      },
      {},
      'unsuitable certificate purpose (INVALID_PURPOSE)',
    ],
    [
      'another name, verified',
      async () => {
        const { certificate, key } = await authority.issue('x', { names: ['elsewhere.example'] })
        return { cert: certificate, key }
      },
      { verifiesName: true },
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
  ])('%s', async (_, options, overrides, text) => {
    const peer = await listenTls(await options())
    const failure: unknown = await dial(peer.port, new UpstreamTls(material(overrides))).catch(
      (error: unknown) => error,
    )
    expect(String(failure)).toContain(`TLS handshake with 127.0.0.1:${peer.port}`)
    expect(String(failure)).toContain(text)
  })

  test('a node whose certificate was revoked', async () => {
    const peer = await listenTls()
    const crls = [await authority.crl({ revoked: [node.certificate] })]
    await expect(dial(peer.port, new UpstreamTls(material({ crls })))).rejects.toThrow(
      'the certificate has been revoked (CERT_REVOKED)',
    )
    const others = [await authority.crl({ revoked: [client.certificate] })]
    await dial(peer.port, new UpstreamTls(material({ crls: others })))
  })

  test('a list of revoked certificates that has expired', async () => {
    const peer = await listenTls()
    const crls = [await authority.crl({ days: -1, sinceDays: 9 })]
    await expect(dial(peer.port, new UpstreamTls(material({ crls })))).rejects.toThrow(
      'a revocation list has expired, so that every certificate is refused: fetch the current one (CRL_HAS_EXPIRED)',
    )
  })

  test('an intermediate of which there is no list', async () => {
    const intermediate = await authority.intermediate()
    const { certificate: cert, key } = await intermediate.issue('node')
    const peer = await listenTls({ cert, key })
    const crls = [await authority.crl()]
    await expect(dial(peer.port, new UpstreamTls(material({ crls })))).rejects.toThrow(
      'there is no revocation list of an authority of the certificate',
    )
    crls.push(await intermediate.crl())
    await dial(peer.port, new UpstreamTls(material({ crls })))
  })

  test('a peer that speaks no TLS', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', () => socket.write('no TLS here, thank you'))
    }).listen(0, '127.0.0.1')
    afterTest(() => server.close())
    await once(server, 'listening')
    await expect(dial(portOf(server), new UpstreamTls(material()))).rejects.toThrow(
      'the other side does not speak TLS',
    )
  })

  test('a peer that closes', async () => {
    const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
    afterTest(() => server.close())
    await once(server, 'listening')
    await expect(dial(portOf(server), new UpstreamTls(material()))).rejects.toThrow(
      'the other side closed the connection',
    )
  })

  test('a peer that says nothing, within the budget', async () => {
    const clock = new FakeClock()
    const accepted = Promise.withResolvers<Socket>()
    const server = createServer((socket) => accepted.resolve(socket)).listen(0, '127.0.0.1')
    afterTest(() => server.close())
    await once(server, 'listening')
    const port = portOf(server)
    const dialled = dial(port, new UpstreamTls(material()), {}, new Dialer(clock))
    const failed = expect(dialled).rejects.toThrow(
      `no TLS handshake with 127.0.0.1:${port} within 5000 ms`,
    )
    await once(await accepted.promise, 'data')
    clock.advance(5_000)
    await failed
  })
})

/** Accepts everybody, or nobody. */
class Acceptor {
  readonly handlers: RecordingHandler[] = []
  readonly accept: Accept = (transport) => {
    const handler = new RecordingHandler()
    handler.transport = transport
    this.handlers.push(handler)
    afterTest(() => transport.destroy())
    return handler
  }
}

const listenerMaterial = (overrides: Partial<ListenerTlsMaterial> = {}): ListenerTlsMaterial => ({
  ...node,
  clientAuthority: null,
  crls: [],
  ticketKeys: randomBytes(48),
  ...overrides,
})

const startListener = async (acceptor: Acceptor, overrides: Partial<ListenerTlsMaterial> = {}) => {
  const failures: string[] = []
  const listener = await listen(
    {
      address: '127.0.0.1',
      port: 0,
      reusePort: false,
      tls: listenerMaterial(overrides),
      onTlsFailed: (_peer, why) => failures.push(why),
    },
    acceptor.accept,
  )
  afterTest(() => listener.close())
  return { ...listener, failures }
}

const connectClient = async (port: number, options: ConnectionOptions = {}): Promise<TLSSocket> => {
  const socket = connectTls({ host: '127.0.0.1', port, ca: authority.certificate, ...options })
  socket.on('error', () => {})
  afterTest(() => socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

/** The connection is over, whether its handshake seemed to succeed or not. */
const refused = async (port: number, options: ConnectionOptions = {}): Promise<void> => {
  const socket = connectTls({ host: '127.0.0.1', port, ca: authority.certificate, ...options })
  socket.on('error', () => {})
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
}

describe('an accepted connection with TLS', () => {
  test('carries bytes both ways and is named by its peer', async () => {
    const acceptor = new Acceptor()
    const { port } = await startListener(acceptor)
    const socket = await connectClient(port)
    const handler = acceptor.handlers[0]!
    socket.write('ping')
    await handler.until(() => handler.received.length === 4)
    handler.transport!.write(Buffer.from('pong'))
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toBe('pong')
    expect(handler.sharesSlices).toBe(false)
    expect(handler.transport!.peer).toBe(`127.0.0.1:${socket.localPort}`)
  })

  test('is known before its handshake; what is written then goes nowhere', async () => {
    const acceptor = new Acceptor()
    const { port, failures } = await startListener(acceptor)
    const socket = connect(port, '127.0.0.1')
    await expect.poll(() => acceptor.handlers.length).toBe(1)
    const handler = acceptor.handlers[0]!
    handler.transport!.write(Buffer.from('in plain'))
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    handler.transport!.destroy()
    await Promise.all([handler.closed, once(socket, 'close')])
    expect([chunks, failures]).toEqual([[], []])
  })

  test('that was paused before its handshake is paused after it', async () => {
    const acceptor = new Acceptor()
    const { port } = await startListener(acceptor)
    const raw = connect(port, '127.0.0.1')
    await expect.poll(() => acceptor.handlers.length).toBe(1)
    const handler = acceptor.handlers[0]!
    handler.transport!.pause()
    const socket = connectTls({ socket: raw, ca: authority.certificate, host: '127.0.0.1' })
    afterTest(() => socket.destroy())
    await once(socket, 'secureConnect')
    await new Promise((resolve) => socket.write('late', resolve))
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(handler.received.toString()).toBe('')
    handler.transport!.resume()
    await handler.until(() => handler.received.length === 4)
  })

  test('that is refused is closed without a byte', async () => {
    const listener = await listen(
      { address: '127.0.0.1', port: 0, reusePort: false, tls: listenerMaterial() },
      () => () => undefined,
    )
    afterTest(() => listener.close())
    await refused(listener.port)
  })

  test('resumes its session on another thread, which has the same ticket keys', async () => {
    const ticketKeys = randomBytes(48)
    const one = await startListener(new Acceptor(), { ticketKeys })
    const acceptor = new Acceptor()
    const two = await startListener(acceptor, { ticketKeys })
    const first = await connectClient(one.port)
    const [session] = await once(first, 'session')
    const second = await connectClient(two.port, { session })
    expect(second.isSessionReused()).toBe(true)
  })

  test('is refused below TLS 1.2', async () => {
    const acceptor = new Acceptor()
    const { port, failures } = await startListener(acceptor)
    await refused(port, {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL@SECLEVEL=0',
    })
    await acceptor.handlers[0]!.closed
    expect(failures).toEqual([expect.stringContaining('ERR_SSL')])
  })
})

describe('where clients must show a certificate', () => {
  const startMutual = (acceptor: Acceptor) =>
    startListener(acceptor, { clientAuthority: authority.certificate })

  test('one that the authority has signed is let in', async () => {
    const acceptor = new Acceptor()
    const { port } = await startMutual(acceptor)
    const socket = await connectClient(port, { cert: client.certificate, key: client.key })
    socket.write('ping')
    await acceptor.handlers[0]!.until(() => acceptor.handlers[0]!.received.length === 4)
  })

  test.each<[string, () => Promise<Partial<Issued>>, string]>([
    ['without one', async () => ({}), 'no certificate was shown'],
    [
      'with one of another authority',
      async () => foreign,
      'the certificate is not signed by an authority that is trusted here',
    ],
    [
      'with an expired one',
      () => authority.issue('old client', { days: -1 }),
      'the certificate has expired',
    ],
    ["with a server's", () => authority.issue('server', { usage: 'server' }), 'INVALID_PURPOSE'],
  ])('a client %s is closed, and it is said why', async (_, issue, text) => {
    const acceptor = new Acceptor()
    const { port, failures } = await startMutual(acceptor)
    const { certificate, key } = await issue()
    await refused(port, certificate === undefined ? {} : { cert: certificate, key })
    await acceptor.handlers[0]!.closed
    expect(failures).toEqual([expect.stringContaining(text)])
    expect(acceptor.handlers[0]!.received.length).toBe(0)
  })
})

test('a client whose certificate was revoked is closed, and it is said why; others are let in', async () => {
  const acceptor = new Acceptor()
  const { certificate: cert, key } = await authority.issue('revoked')
  const { port, failures } = await startListener(acceptor, {
    clientAuthority: authority.certificate,
    crls: [await authority.crl({ revoked: [cert] })],
  })
  await refused(port, { cert, key })
  await acceptor.handlers[0]!.closed
  expect(failures).toEqual(['the certificate has been revoked (CERT_REVOKED)'])
  const socket = await connectClient(port, { cert: client.certificate, key: client.key })
  socket.write('ping')
  await expect.poll(() => acceptor.handlers[1]?.received.length).toBe(4)
})

test('a plain client on a port with TLS is closed, and it is said why', async () => {
  const acceptor = new Acceptor()
  const { port, failures } = await startListener(acceptor)
  const socket = connect(port, '127.0.0.1')
  socket.write(Buffer.from([4, 0, 0, 0, 5, 0, 0, 0, 0]))
  socket.resume()
  await once(socket, 'close')
  await acceptor.handlers[0]!.closed
  expect(failures).toEqual(['the other side does not speak TLS (ERR_SSL_WRONG_VERSION_NUMBER)'])
})

test('a client that comes and goes without a byte is no failure', async () => {
  const acceptor = new Acceptor()
  const { port, failures } = await startListener(acceptor)
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  await expect.poll(() => acceptor.handlers.length).toBe(1)
  socket.end()
  await acceptor.handlers[0]!.closed
  expect(failures).toEqual([])
})

test('a new certificate is for new connections; those that are open stay', async () => {
  const acceptor = new Acceptor()
  const listener = await startListener(acceptor)
  const before = await connectClient(listener.port)
  const renewed = await authority.issue('renewed')
  listener.setTls(listenerMaterial(renewed))
  const after = await connectClient(listener.port)
  const subjects = [before, after].map((socket) => socket.getPeerX509Certificate()?.subject)
  expect(subjects).toEqual(['CN=node', 'CN=renewed'])
  before.write('ping')
  await acceptor.handlers[0]!.until(() => acceptor.handlers[0]!.received.length === 4)
})

test('a new certificate ends what sessions from before could resume', async () => {
  const listener = await startListener(new Acceptor())
  const first = await connectClient(listener.port)
  const [session] = await once(first, 'session')
  listener.setTls(listenerMaterial())
  const second = await connectClient(listener.port, { session })
  expect(second.isSessionReused()).toBe(false)
})
