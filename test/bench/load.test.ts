import { afterEach, describe, expect, it } from 'vitest'
import { findFaults } from '../../bench/bench.ts'
import { FakeNode, type NodeCounts } from '../../bench/fake-node.ts'
import { type LoadJob, LoadRun } from '../../bench/load.ts'
import { parseMix } from '../../bench/mix.ts'
import { Wire } from '../../bench/wire.ts'
import { OPCODE_OFFSET, readStreamId, writeStreamId } from '../../src/cql/envelope.ts'
import { encodeError } from '../../src/cql/messages/error.ts'
import { encodeResult } from '../../src/cql/messages/result.ts'
import { Opcode, ResultKind, versionTraits } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { listen } from '../../src/net/listener.ts'

const closers: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const job = (port: number, changes: Partial<LoadJob> = {}): LoadJob => ({
  port,
  version: 4,
  mix: { kind: 'execute', readPercent: 50 },
  valueLength: 100,
  connections: 2,
  inFlight: 4,
  ratePerSecond: null,
  warmUpMs: 1,
  durationMs: 20,
  groupId: null,
  ...changes,
})

const startNode = async (mark = 'o'): Promise<FakeNode> => {
  const node = await FakeNode.start({ clusterName: 'bench', mark, valueLength: 100, port: 0 })
  closers.push(() => node.close())
  return node
}

describe('a load', () => {
  it.each(
    [3, 4, 5].flatMap((version) =>
      ['execute:50', 'execute:0', 'execute:100', 'query:50', 'batch'].map(
        (mix) => [version, mix] as const,
      ),
    ),
  )('sends what its mix says and counts what was answered (v%i, %s)', async (version, mix) => {
    const node = await startNode()
    const result = await new LoadRun(job(node.port, { version, mix: parseMix(mix)! })).run()
    const { reads, writes, batches, unprepared } = node.counts
    expect({ reads, writes: writes + batches, unprepared }).toEqual({
      reads: result.reads,
      writes: result.writes,
      unprepared: 0,
    })
    expect(batches > 0).toBe(mix === 'batch')
    expect(result.reads > 0).toBe(mix !== 'batch' && mix !== 'execute:0')
    expect(result.writes > 0).toBe(mix !== 'execute:100')
    expect(result.requests).toBeGreaterThan(0)
    expect(result.requests).toBeLessThanOrEqual(result.reads + result.writes)
    expect(result.p50Ms).toBeGreaterThan(0)
    expect(result.p99Ms).toBeGreaterThanOrEqual(result.p50Ms)
    expect(result.cpuMs).toBeNull()
  })

  it('never sends more at a fixed rate than is due', async () => {
    const node = await startNode()
    const changes = { ratePerSecond: 1000, warmUpMs: 10, durationMs: 50 }
    const startMs = performance.now()
    const result = await new LoadRun(job(node.port, changes)).run()
    expect(result.reads + result.writes).toBeLessThanOrEqual(performance.now() - startMs + 1)
    expect(result.requests).toBeGreaterThan(0)
  })

  it('fails when reads are answered by the other cluster', async () => {
    const node = await startNode('t')
    await expect(new LoadRun(job(node.port)).run()).rejects.toThrow(/^stream \d+ was answered with/)
  })

  it('fails when nobody listens', async () => {
    const node = await startNode()
    const { port } = node
    await node.close()
    await expect(new LoadRun(job(port)).run()).rejects.toThrow('ECONNREFUSED')
  })
})

const V4 = versionTraits(4)!
const RESPONSE = 0x84
const NO_COLUMNS = { columnCount: 0, columns: null }

/** A server that can shake hands and prepare; the load is answered by `answer`. */
const startServer = async (
  answer: (wire: Wire, streamId: number, close: () => void) => void,
): Promise<number> => {
  const listener = await listen(
    { address: '127.0.0.1', port: 0, reusePort: false },
    (transport) => {
      const reply = (streamId: number, opcode: number, body = new BodyWriter()): void => {
        wire.send(body.toEnvelope(RESPONSE, 0, streamId, opcode))
      }
      const onEnvelope = (bytes: Uint8Array, start: number): void => {
        const streamId = readStreamId(bytes, start)
        switch (bytes[start + OPCODE_OFFSET]) {
          case Opcode.STARTUP:
            reply(streamId, Opcode.READY)
            break
          case Opcode.OPTIONS:
            reply(streamId, Opcode.SUPPORTED)
            break
          case Opcode.PREPARE: {
            const prepared = {
              kind: ResultKind.PREPARED,
              statementId: Uint8Array.of(1),
              variables: { columns: [] },
              resultMetadata: NO_COLUMNS,
            } as const
            reply(streamId, Opcode.RESULT, encodeResult(new BodyWriter(), prepared, V4))
            break
          }
          default:
            answer(wire, streamId, () => transport.destroy())
        }
      }
      const wire: Wire = new Wire({ onEnvelope, onClose: () => {} }, true)
      wire.attach(transport)
      closers.push(() => transport.destroy())
      return wire
    },
  )
  closers.push(() => listener.close())
  return listener.port
}

const DONE = encodeResult(new BodyWriter(), { kind: ResultKind.VOID }, V4).toEnvelope(
  RESPONSE,
  0,
  0,
  Opcode.RESULT,
)

const sendDone = (wire: Wire, streamId: number): void => {
  const at = wire.send(DONE)
  writeStreamId(wire.buffer, at, streamId)
}

describe('a load against a server that is wrong', () => {
  const writes = { mix: { kind: 'execute', readPercent: 0 } } as const
  const run = async (port: number, changes: Partial<LoadJob> = writes): Promise<unknown> =>
    new LoadRun(job(port, changes), 50).run()

  it('succeeds when it is right after all', async () => {
    const port = await startServer(sendDone)
    await expect(run(port)).resolves.toMatchObject({ reads: 0 })
  })

  it('fails when a request is answered twice', async () => {
    const port = await startServer((wire, streamId) => {
      sendDone(wire, streamId)
      sendDone(wire, streamId)
    })
    // It may pass for the answer to the next request on its id; in the end there is one too many.
    await expect(run(port, { ...writes, connections: 1, inFlight: 2 })).rejects.toThrow(
      /was answered with/,
    )
  })

  it('fails when a request is not answered', async () => {
    let count = 0
    const port = await startServer((wire, streamId) => {
      if (++count !== 5) sendDone(wire, streamId)
    })
    await expect(run(port)).rejects.toThrow('1 requests were never answered')
  })

  it('fails when a write is answered with an error, and tells which', async () => {
    const port = await startServer((wire, streamId) => {
      const body = encodeError(new BodyWriter(), { code: 0x1001, message: 'too much' })
      wire.send(body.toEnvelope(RESPONSE, 0, streamId, Opcode.ERROR))
    })
    await expect(run(port)).rejects.toThrow('ERROR 0x1001: too much')
  })

  it('fails when a read is answered like a write', async () => {
    const port = await startServer(sendDone)
    await expect(run(port, {})).rejects.toThrow('was answered with VOID, due was ROWS')
  })

  it('fails when the connection is closed', async () => {
    const port = await startServer((_wire, _streamId, close) => close())
    await expect(run(port)).rejects.toThrow(`the server on port ${port} has closed a connection`)
  })
})

describe('what the clusters were sent', () => {
  const none: NodeCounts = { reads: 0, writes: 0, batches: 0, unprepared: 0 }
  const before = { origin: { ...none, reads: 7 }, target: { ...none, writes: 3 } }
  const result = { reads: 10, writes: 20 }
  const sent = (origin: Partial<NodeCounts>, target: Partial<NodeCounts>) => ({
    origin: { ...none, reads: 17, writes: 20, ...origin },
    target: { ...none, writes: 23, ...target },
  })

  it.each([
    ['copied', sent({}, {}), []],
    ['copied', sent({ writes: 5, batches: 15 }, {}), []],
    ['copied', sent({}, { writes: 22 }), ['target was sent 19 writes instead of 20']],
    ['copied', sent({}, { reads: 1 }), ['target was sent 1 reads instead of 0']],
    ['copied', sent({ reads: 16 }, {}), ['origin was sent 9 reads instead of 10']],
    [
      'copied',
      sent({}, { unprepared: 2 }),
      ['target was sent 2 requests with ids it does not know'],
    ],
    ['nothing', sent({}, { writes: 3 }), []],
    ['nothing', sent({}, { writes: 4 }), ['target was sent 1 writes instead of 0']],
    ['anything', sent({}, { unprepared: 30 }), []],
    ['anything', sent({ writes: 0 }, {}), ['origin was sent 0 writes instead of 20']],
  ] as const)('is checked: target %s, %j', (target, counts, faults) => {
    expect(findFaults({ target }, result, before, counts)).toEqual(faults)
  })
})
