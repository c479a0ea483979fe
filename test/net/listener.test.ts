import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { type Accept, type Listener, listen } from '../../src/net/listener.ts'
import { afterTest } from '../support/after-test.ts'
import { ENDINGS, endConnection, RecordingHandler } from './recording-handler.ts'

const start = async (accept: Accept, options: { address?: string; port?: number } = {}) => {
  const { address = '127.0.0.1', port = 0 } = options
  const listener = await listen({ address, port, reusePort: false }, accept)
  afterTest(() => listener.close())
  return listener
}

/** Accepts everybody; hands out each handler with its transport. */
class Acceptor {
  readonly handlers: RecordingHandler[] = []
  readonly #waiters: (() => void)[] = []
  readonly accept: Accept = (transport) => {
    const handler = new RecordingHandler()
    handler.transport = transport
    this.handlers.push(handler)
    afterTest(() => transport.destroy())
    for (const resolve of this.#waiters.splice(0)) resolve()
    return handler
  }

  async first(): Promise<RecordingHandler> {
    if (this.handlers.length === 0) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve))
    }
    return this.handlers[0]!
  }
}

const dial = async (listener: Listener, host = '127.0.0.1'): Promise<Socket> => {
  const socket = connect({ port: listener.port, host, allowHalfOpen: true })
  socket.on('error', () => {})
  afterTest(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

const openPair = async () => {
  const acceptor = new Acceptor()
  const listener = await start(acceptor.accept)
  const socket = await dial(listener)
  const handler = await acceptor.first()
  return { listener, socket, handler, transport: handler.transport! }
}

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.address === '::1')

describe('an accepted connection', () => {
  test('carries bytes both ways', async () => {
    const { socket, handler, transport } = await openPair()
    socket.write('ping')
    await handler.until(() => handler.received.length >= 4)
    transport.write(Buffer.from('pong'))
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toBe('pong')
    expect(handler.received.toString()).toBe('ping')
    expect(handler.sharesSlices).toBe(false)
  })

  test('is named by its peer', async () => {
    const { socket, transport } = await openPair()
    expect(transport.peer).toBe(`127.0.0.1:${socket.localPort}`)
  })

  if (hasIpv6) {
    test('is named by its peer over IPv6', async () => {
      const acceptor = new Acceptor()
      const listener = await start(acceptor.accept, { address: '::1' })
      const socket = await dial(listener, '::1')
      const { transport } = await acceptor.first()
      expect(transport!.peer).toBe(`[::1]:${socket.localPort}`)
    })
  }

  test('keeps its bytes: a chunk is not reused by the next read', async () => {
    const { socket, handler } = await openPair()
    const chunks: Uint8Array[] = []
    handler.onBytes = (chunk, start, end) => {
      chunks.push(chunk.subarray(start, end))
      handler.received = Buffer.concat(chunks)
      handler.onDrain()
    }
    socket.write('first')
    await handler.until(() => handler.received.length === 5)
    socket.write('other')
    await handler.until(() => handler.received.length === 10)
    expect(Buffer.from(chunks[0]!).toString()).toBe('first')
  })

  test('reads nothing while paused', async () => {
    const { socket, handler, transport, listener } = await openPair()
    transport.pause()
    await new Promise((resolve) => socket.write('late', resolve))
    const second = await dial(listener)
    second.destroy()
    await once(second, 'close')
    expect(handler.received.toString()).toBe('')
    transport.resume()
    await handler.until(() => handler.received.length === 4)
  })

  test('tells of the drain after a slow client', async () => {
    const { socket, handler, transport } = await openPair()
    socket.pause()
    const block = Buffer.alloc(1024 * 1024)
    while (transport.queuedBytes === 0) transport.write(block)
    socket.resume()
    await handler.until(() => handler.calls.includes('drain'))
    expect(transport.queuedBytes).toBe(0)
  })
})

describe('a connection that is refused', () => {
  test('is closed without a byte', async () => {
    const listener = await start(() => () => undefined)
    const socket = await dial(listener)
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('end', () => socket.end())
    await once(socket, 'close')
    expect(chunks).toEqual([])
  })

  test('is a client if it sends something, and only then', async () => {
    let clients = 0
    const listener = await start(() => () => {
      clients++
    })
    const probe = await dial(listener)
    probe.on('end', () => probe.end()).resume()
    await once(probe, 'close')
    expect(clients).toBe(0)
    const client = await dial(listener)
    client.write('hello')
    client.on('end', () => client.end()).resume()
    await once(client, 'close')
    expect(clients).toBe(1)
  })
})

describe('the end of a connection is told exactly once, and last', () => {
  test.each(ENDINGS.map((endings) => ({ name: endings.join(', '), endings })))(
    '$name',
    async ({ endings }) => {
      const { handler, transport, socket } = await openPair()
      endConnection(endings, transport, socket)
      await handler.closed
      await new Promise((resolve) => setImmediate(resolve))
      expect(handler.closeCauses).toHaveLength(1)
      expect(handler.calls.at(-1)).toBe('close')
    },
  )
})

describe('a listener', () => {
  test('rejects when the address is taken', async () => {
    const listener = await start(() => () => undefined)
    await expect(start(() => () => undefined, { port: listener.port })).rejects.toThrow(
      'EADDRINUSE',
    )
  })

  test('gives the port back at once, while accepted connections stay', async () => {
    const { listener, socket, handler, transport } = await openPair()
    await listener.close()
    const again = await start(() => () => undefined, { port: listener.port })
    expect(again.port).toBe(listener.port)
    transport.write(Buffer.from('still here'))
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toBe('still here')
    expect(handler.closeCauses).toEqual([])
  })

  test('may be closed twice', async () => {
    const listener = await start(() => () => undefined)
    await listener.close()
    await expect(listener.close()).resolves.toBeUndefined()
  })

  if (process.platform === 'linux') {
    test('shares its port with another one', async () => {
      const one = new Acceptor()
      const two = new Acceptor()
      const options = { address: '127.0.0.1', reusePort: true }
      const first = await listen({ ...options, port: 0 }, one.accept)
      afterTest(() => first.close())
      const second = await listen({ ...options, port: first.port }, two.accept)
      afterTest(() => second.close())
      expect(second.port).toBe(first.port)
    })
  }

  test('survives an accept that fails, and tells of it', async () => {
    const errors: Error[] = []
    const acceptor = new Acceptor()
    const listener = await listen(
      {
        address: '127.0.0.1',
        port: 0,
        reusePort: false,
        onAcceptFailed: (error) => errors.push(error),
      },
      acceptor.accept,
    )
    afterTest(() => listener.close())
    // What Node does when accept(2) reports an error such as EMFILE.
    const fail = (message: unknown): void => {
      const { socket } = message as { socket: Socket & { server: NodeJS.EventEmitter } }
      socket.server.emit('error', new Error('accept EMFILE'))
    }
    subscribe('net.server.socket', fail)
    afterTest(() => unsubscribe('net.server.socket', fail))
    await dial(listener)
    await acceptor.first()
    expect(errors.map((error) => error.message)).toEqual(['accept EMFILE'])
  })
})
