import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { Dialer, formatEndpoint } from '../../src/net/dialer.ts'
import { afterTest } from '../support/after-test.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { ENDINGS, endConnection, RecordingHandler } from './recording-handler.ts'

type Peer = {
  readonly server: Server
  readonly port: number
  /** Accepted sockets, in order. */
  readonly sockets: Socket[]
  accepted(): Promise<Socket>
}

/** A bare TCP server that does nothing with its sockets. */
const listen = async (host = '127.0.0.1', allowHalfOpen = true): Promise<Peer> => {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen }, (socket) => {
    socket.on('error', () => {})
    sockets.push(socket)
  })
  server.listen(0, host)
  await once(server, 'listening')
  afterTest(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Not a TCP listener')
  const accepted = async (): Promise<Socket> => {
    if (sockets.length === 0) await once(server, 'connection')
    return sockets.at(-1)!
  }
  return { server, port: address.port, sockets, accepted }
}

const dialTo = async (
  peer: Peer,
  options: { dialer?: Dialer; address?: string; signal?: AbortSignal } = {},
) => {
  const handler = new RecordingHandler()
  const { dialer = new Dialer(), address = '127.0.0.1', signal } = options
  const transport = await dialer.dial(
    { address, port: peer.port, timeoutMs: 5_000 },
    handler,
    signal,
  )
  afterTest(() => transport.destroy())
  return { handler, transport, socket: await peer.accepted() }
}

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.address === '::1')

describe('formatEndpoint', () => {
  test.each([
    ['127.0.0.1', 9042, '127.0.0.1:9042'],
    ['::1', 9042, '[::1]:9042'],
    ['::ffff:10.0.0.1', 1, '[::ffff:10.0.0.1]:1'],
    ['cassandra.example', 9042, 'cassandra.example:9042'],
  ])('%s and %i are %s', (address, port, expected) => {
    expect(formatEndpoint(address, port)).toBe(expected)
  })
})

describe('a connection', () => {
  test('carries bytes both ways', async () => {
    const { handler, transport, socket } = await dialTo(await listen())
    socket.on('data', (chunk: Buffer) => socket.write(Buffer.concat([chunk, chunk])))
    transport.write(Buffer.from('ab'))
    await handler.until(() => handler.received.length >= 4)
    expect(handler.received.toString()).toBe('abab')
    expect(handler.sharesSlices).toBe(false)
    expect(transport.queuedBytes).toBe(0)
  })

  test('of one dialer never sees the bytes of another, though they share a read buffer', async () => {
    const dialer = new Dialer()
    const one = await dialTo(await listen(), { dialer })
    const two = await dialTo(await listen(), { dialer })
    const text = { one: 'a'.repeat(300_000), two: 'b'.repeat(300_000) }
    one.socket.write(text.one)
    two.socket.write(text.two)
    await one.handler.until(() => one.handler.received.length >= text.one.length)
    await two.handler.until(() => two.handler.received.length >= text.two.length)
    expect(one.handler.received.equals(Buffer.from(text.one))).toBe(true)
    expect(two.handler.received.equals(Buffer.from(text.two))).toBe(true)
  })

  if (hasIpv6) {
    test('goes over IPv6', async () => {
      const { transport } = await dialTo(await listen('::1'), { address: '::1' })
      expect(transport.peer).toMatch(/^\[::1\]:\d+$/)
    })
  }

  test('goes to a host name', async () => {
    const { transport } = await dialTo(await listen(), { address: 'localhost' })
    expect(transport.peer).toMatch(/^localhost:\d+$/)
  })

  test('tells of the drain after the peer was slow', async () => {
    const { handler, transport, socket } = await dialTo(await listen())
    socket.pause()
    const block = Buffer.alloc(1024 * 1024)
    while (transport.queuedBytes === 0) transport.write(block)
    expect(handler.calls).toEqual([])
    socket.resume()
    await handler.until(() => handler.calls.includes('drain'))
    expect(transport.queuedBytes).toBe(0)
  })

  test('hears nothing while it is paused, and everything afterwards', async () => {
    const { handler, transport, socket } = await dialTo(await listen())
    transport.pause()
    await new Promise((resolve) => socket.write('late', resolve))
    // A round trip over another connection: the bytes lie in the kernel by now.
    const other = await dialTo(await listen())
    other.socket.write('x')
    await other.handler.until(() => other.handler.received.length === 1)
    expect(handler.received.toString()).toBe('')
    transport.resume()
    await handler.until(() => handler.received.length === 4)
    expect(handler.received.toString()).toBe('late')
  })
})

describe('a refusal', () => {
  test('rejects with the cause', async () => {
    const peer = await listen()
    peer.server.close()
    await once(peer.server, 'close')
    const handler = new RecordingHandler()
    const target = { address: '127.0.0.1', port: peer.port, timeoutMs: 5_000 }
    await expect(new Dialer().dial(target, handler)).rejects.toThrow('ECONNREFUSED')
    expect(handler.calls).toEqual([])
  })

  test('comes from a port that cannot be', async () => {
    const target = { address: '127.0.0.1', port: 70_000, timeoutMs: 5_000 }
    await expect(new Dialer().dial(target, new RecordingHandler())).rejects.toThrow('Port')
  })

  test('comes when the time is over, and names it', async () => {
    const clock = new FakeClock()
    const peer = await listen()
    const handler = new RecordingHandler()
    const target = { address: '127.0.0.1', port: peer.port, timeoutMs: 1_500 }
    const dialled = new Dialer(clock).dial(target, handler)
    // Time passes before the event loop has turned once: the connection is not there yet.
    clock.advance(1_500)
    await expect(dialled).rejects.toThrow(
      `no TCP connection to 127.0.0.1:${peer.port} within 1500 ms`,
    )
    expect(handler.calls).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })

  test('leaves no timer behind once it is connected', async () => {
    const clock = new FakeClock()
    const { handler } = await dialTo(await listen(), { dialer: new Dialer(clock) })
    expect(clock.pendingTimers).toBe(0)
    clock.advance(60_000)
    expect(handler.calls).toEqual([])
  })
})

describe('an abort', () => {
  test('before the connection is asked for makes none', async () => {
    const peer = await listen()
    const target = { address: '127.0.0.1', port: peer.port, timeoutMs: 5_000 }
    const dialled = new Dialer().dial(target, new RecordingHandler(), AbortSignal.abort())
    await expect(dialled).rejects.toThrow('not wanted any more')
    expect(peer.sockets).toEqual([])
  })

  test('while it is being made rejects', async () => {
    const peer = await listen()
    const handler = new RecordingHandler()
    const abort = new AbortController()
    const target = { address: '127.0.0.1', port: peer.port, timeoutMs: 5_000 }
    const dialled = new Dialer().dial(target, handler, abort.signal)
    abort.abort()
    await expect(dialled).rejects.toThrow('not wanted any more')
    expect(handler.calls).toEqual([])
  })

  test('after it is made leaves it alone: what is in flight is to finish', async () => {
    const abort = new AbortController()
    const { handler, transport, socket } = await dialTo(await listen(), { signal: abort.signal })
    abort.abort()
    socket.on('data', (chunk: Buffer) => socket.write(chunk))
    transport.write(Buffer.from('still here'))
    await handler.until(() => handler.received.length >= 10 || handler.closeCauses.length > 0)
    expect(handler.calls).toEqual(['bytes'])
  })
})

describe('the end of a connection is told exactly once, and last', () => {
  test.each(ENDINGS.map((endings) => ({ name: endings.join(', '), endings })))(
    '$name',
    async ({ endings }) => {
      const { handler, transport, socket } = await dialTo(await listen())
      endConnection(endings, transport, socket)
      await handler.closed
      await new Promise((resolve) => setImmediate(resolve))
      expect(handler.closeCauses).toHaveLength(1)
      expect(handler.calls.at(-1)).toBe('close')
    },
  )

  test('with the cause of a reset', async () => {
    const { handler, transport, socket } = await dialTo(await listen())
    transport.write(Buffer.from('unread'))
    socket.resetAndDestroy()
    await handler.closed
    expect(handler.closeCauses[0]?.message).toContain('ECONNRESET')
  })

  test('the peer that only stops sending is told as an end first', async () => {
    const { handler, socket } = await dialTo(await listen())
    socket.end('last words')
    await handler.closed
    expect(handler.calls).toEqual(['bytes', 'end', 'close'])
    expect(handler.received.toString()).toBe('last words')
    expect(handler.closeCauses).toEqual([null])
  })

  test('what is queued is sent before the end', async () => {
    const { transport, socket } = await dialTo(await listen())
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    const block = Buffer.alloc(3 * 1024 * 1024, 7)
    transport.write(block)
    transport.end()
    await once(socket, 'end')
    expect(Buffer.concat(chunks).equals(block)).toBe(true)
  })

  test('what is written after the end is dropped and harms nothing that was queued', async () => {
    const { handler, transport, socket } = await dialTo(await listen())
    const chunks: Buffer[] = []
    const block = Buffer.alloc(8 * 1024 * 1024, 7)
    transport.write(block)
    transport.end()
    transport.write(Buffer.from('too late'))
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('end', () => socket.end())
    await handler.closed
    expect(Buffer.concat(chunks).equals(block)).toBe(true)
    expect(handler.closeCauses).toEqual([null])
  })
})
