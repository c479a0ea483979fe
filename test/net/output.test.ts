import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { writeStreamId } from '../../src/cql/envelope.ts'
import { EnvelopeDecoder } from '../../src/cql/envelope-decoder.ts'
import { FRAME_PAYLOAD_LENGTH_MAX, FrameDecoder } from '../../src/cql/frame.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { Flusher, OUTPUT_BUFFER_LENGTH, Output } from '../../src/net/output.ts'
import { EnvelopeStream } from '../support/fake-cluster/wire.ts'
import { ScriptedTransport } from './scripted-transport.ts'

const HEADER = 9
const FRAME_OVERHEAD = 10

/** A flusher whose turn ends when the test says so. */
const makeFlusher = () => {
  const scheduled: (() => void)[] = []
  const flusher = new Flusher((flush) => scheduled.push(flush))
  const endTurn = (): void => {
    for (const flush of scheduled.splice(0)) flush()
  }
  return { flusher, scheduled, endTurn }
}

const makeOutput = () => {
  const { flusher, scheduled, endTurn } = makeFlusher()
  const transport = new ScriptedTransport()
  return { flusher, scheduled, endTurn, transport, output: new Output(flusher, transport) }
}

/** An envelope of so many bytes in all, whose bytes tell it from others. */
const envelope = (length: number, seed = 0): Uint8Array => {
  const body = new Uint8Array(length - HEADER).map((_, i) => (i * 7 + seed) & 0xff)
  return new BodyWriter(body.length).writeRaw(body).toEnvelope(5, 0, seed & 0x7fff, 7)
}

const put = (output: Output, bytes: Uint8Array): number => output.append(bytes, 0, bytes.length)

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What a peer makes of a stream of frames. */
const envelopesInFrames = (wire: Uint8Array): string[] => {
  const found: string[] = []
  const decoder = new EnvelopeDecoder({ bodyLengthMax: 1 << 28, isRequestSide: true })
  new FrameDecoder().push(wire, 0, wire.length, (payload, start, end) => {
    decoder.push(payload, start, end, (bytes, from, to) => {
      found.push(hex(bytes.subarray(from, to)))
    })
  })
  return found
}

describe('an output without frames', () => {
  test('sends what one turn has collected in one write', () => {
    const { output, transport, endTurn, scheduled } = makeOutput()
    const parts = [envelope(20, 1), envelope(9, 2), envelope(300, 3)]
    for (const part of parts) put(output, part)
    expect(transport.writes).toEqual([])
    expect(scheduled).toHaveLength(1)
    endTurn()
    expect(transport.writes.map(hex)).toEqual([hex(Buffer.concat(parts))])
  })

  test('sends nothing in a turn in which nothing was appended', () => {
    const { output, transport, endTurn, scheduled } = makeOutput()
    put(output, envelope(20))
    endTurn()
    endTurn()
    expect(scheduled).toEqual([])
    output.flush()
    expect(transport.writes).toHaveLength(1)
  })

  test('takes a part of a larger chunk', () => {
    const { output, transport, endTurn } = makeOutput()
    const chunk = envelope(100, 5)
    output.append(chunk, 10, 30)
    output.append(chunk, 30, 90)
    endTurn()
    expect(hex(transport.arrived)).toBe(hex(chunk.subarray(10, 90)))
  })

  test.each([
    9,
    24,
    25,
    1000,
    OUTPUT_BUFFER_LENGTH - 1,
    OUTPUT_BUFFER_LENGTH,
    OUTPUT_BUFFER_LENGTH + 1,
    300_000,
  ])('an envelope of %i bytes can be patched where it lies until the next append', (length) => {
    const { output, transport, endTurn } = makeOutput()
    put(output, envelope(50, 1))
    const original = envelope(length, 2)
    const at = put(output, original)
    writeStreamId(output.buffer, at, 4711)
    put(output, envelope(50, 3))
    endTurn()
    const expected = original.slice()
    writeStreamId(expected, 0, 4711)
    const patched = transport.arrived.subarray(50, 50 + length)
    expect(hex(patched)).toBe(hex(expected))
    expect(hex(original)).toBe(hex(envelope(length, 2)))
  })

  test('a full buffer leaves before the end of the turn, in order', () => {
    const { output, transport, endTurn } = makeOutput()
    const parts = Array.from({ length: 10 }, (_, i) => envelope(20_000, i))
    for (const part of parts) put(output, part)
    expect(transport.writes.map((write) => write.length)).toEqual([60_000, 60_000, 60_000])
    endTurn()
    expect(hex(transport.arrived)).toBe(hex(Buffer.concat(parts)))
  })

  test('counts what has not reached the kernel', () => {
    const { output, transport, endTurn } = makeOutput()
    transport.isTaking = false
    put(output, envelope(100))
    expect(output.queuedBytes).toBe(100)
    endTurn()
    put(output, envelope(30))
    expect(output.queuedBytes).toBe(130)
    transport.takeAll()
    endTurn()
    transport.takeAll()
    expect(output.queuedBytes).toBe(0)
  })
})

describe('an envelope that is longer than a buffer', () => {
  const LONG = 200_000

  test('keeps its place among the others, and counts while it waits', () => {
    const { output, transport, endTurn } = makeOutput()
    const parts = [50, LONG, 60, LONG, LONG, 70].map((length, i) => envelope(length, i))
    for (const part of parts) put(output, part)
    expect(output.queuedBytes + transport.arrived.length).toBe(Buffer.concat(parts).length)
    endTurn()
    expect(hex(transport.arrived)).toBe(hex(Buffer.concat(parts)))
    expect(output.queuedBytes).toBe(0)
  })

  test.each([
    { patchedLength: HEADER, copied: 'its beginning only' },
    { patchedLength: 1025, copied: 'all, because it may be patched far behind' },
    { patchedLength: LONG, copied: 'all, because it may be patched anywhere' },
  ])('is copied: $copied', ({ patchedLength }) => {
    const { output, transport, endTurn } = makeOutput()
    const long = envelope(LONG, 1)
    const at = output.append(long, 0, LONG, patchedLength)
    const isPatched = new Uint8Array(patchedLength).fill(0xaa)
    output.buffer.set(isPatched, at)
    endTurn()
    expect(hex(transport.arrived)).toBe(
      hex(Buffer.concat([isPatched, long.subarray(patchedLength)])),
    )
    expect(hex(long)).toBe(hex(envelope(LONG, 1)))
  })

  test('goes nowhere once the output is closed', () => {
    const { output, transport, endTurn } = makeOutput()
    put(output, envelope(LONG, 1))
    output.close()
    put(output, envelope(LONG, 2))
    endTurn()
    expect(transport.writes).toEqual([])
    expect(output.queuedBytes).toBe(0)
  })

  test('pins its own memory and a beginning, not a second copy, while the peer does not read', () => {
    const { output, transport, endTurn } = makeOutput()
    transport.isTaking = false
    put(output, envelope(LONG, 1))
    put(output, envelope(LONG, 2))
    endTurn()
    expect(transport.pinnedBytes).toBeLessThanOrEqual(2 * LONG + 2 * OUTPUT_BUFFER_LENGTH)
    transport.takeAll()
    expect(hex(transport.arrived)).toBe(hex(Buffer.concat([envelope(LONG, 1), envelope(LONG, 2)])))
  })
})

describe('an output with frames', () => {
  test('what was appended before the switch leaves bare, what follows in a frame', () => {
    const { output, transport, endTurn } = makeOutput()
    put(output, envelope(40, 1))
    output.startFrames()
    put(output, envelope(50, 2))
    put(output, envelope(60, 3))
    endTurn()
    const [bare, frame, ...others] = transport.writes
    expect(hex(bare!)).toBe(hex(envelope(40, 1)))
    expect(envelopesInFrames(frame!)).toEqual([hex(envelope(50, 2)), hex(envelope(60, 3))])
    expect(others).toEqual([])
  })

  test('the switch without anything appended sends nothing', () => {
    const { output, transport, endTurn } = makeOutput()
    output.startFrames()
    endTurn()
    output.flush()
    expect(transport.writes).toEqual([])
  })

  test('the switch right behind a flush keeps the border', () => {
    const { output, transport, endTurn } = makeOutput()
    put(output, envelope(40, 1))
    endTurn()
    output.startFrames()
    put(output, envelope(50, 2))
    endTurn()
    expect(envelopesInFrames(transport.writes[1]!)).toEqual([hex(envelope(50, 2))])
  })

  test.each([
    OUTPUT_BUFFER_LENGTH - FRAME_OVERHEAD,
    OUTPUT_BUFFER_LENGTH - FRAME_OVERHEAD + 1,
    FRAME_PAYLOAD_LENGTH_MAX - 1,
    FRAME_PAYLOAD_LENGTH_MAX,
    FRAME_PAYLOAD_LENGTH_MAX + 1,
    2 * FRAME_PAYLOAD_LENGTH_MAX,
    2 * FRAME_PAYLOAD_LENGTH_MAX + 1,
  ])('an envelope of %i bytes is patched, cut into frames and sent in one write', (length) => {
    const { output, transport, endTurn } = makeOutput()
    output.startFrames()
    const at = put(output, envelope(length, 2))
    writeStreamId(output.buffer, at, 99)
    endTurn()
    expect(transport.writes).toHaveLength(1)
    const expected = envelope(length, 2)
    writeStreamId(expected, 0, 99)
    expect(envelopesInFrames(transport.arrived)).toEqual([hex(expected)])
  })
})

describe('a buffer that fills up', () => {
  test.each([-5, -4, -3, -2, -1, 0, 1])(
    'to its border %i keeps room for the checksum',
    (offset) => {
      const { output, transport, endTurn } = makeOutput()
      output.startFrames()
      const parts = [envelope(1000, 1), envelope(OUTPUT_BUFFER_LENGTH - 6 - 1000 + offset, 2)]
      for (const part of parts) put(output, part)
      endTurn()
      expect(envelopesInFrames(transport.arrived)).toEqual(parts.map(hex))
    },
  )
})

describe('buffers', () => {
  test('one that the kernel has taken serves the next turn, whoever writes then', () => {
    const { flusher, endTurn } = makeFlusher()
    const one = new Output(flusher, new ScriptedTransport())
    const two = new Output(flusher, new ScriptedTransport())
    put(one, envelope(20))
    const { buffer } = one
    endTurn()
    put(two, envelope(20))
    expect(two.buffer).toBe(buffer)
  })

  test('one that the kernel has not taken is used again only after it has', () => {
    const { flusher, endTurn } = makeFlusher()
    const transport = new ScriptedTransport()
    transport.isTaking = false
    const stuck = new Output(flusher, transport)
    const other = new Output(flusher, new ScriptedTransport())
    put(stuck, envelope(40_000, 1))
    const { buffer } = stuck
    endTurn()
    put(other, envelope(40_000, 2))
    expect(other.buffer).not.toBe(buffer)
    endTurn()
    transport.takeAll()
    stuck.onDrain()
    expect([flusher.takeBuffer(), flusher.takeBuffer()]).toContain(buffer)
    expect(hex(transport.arrived)).toBe(hex(envelope(40_000, 1)))
  })

  test('are given back without a drain event too: one comes only after a long queue', () => {
    const { flusher, endTurn } = makeFlusher()
    const transport = new ScriptedTransport()
    const output = new Output(flusher, transport)
    const seen = new Set<Uint8Array>()
    // A TLS socket: never takes anything at once, has taken all by the next turn.
    transport.isTaking = false
    for (let turn = 0; turn < 50; turn++) {
      put(output, envelope(40_000, turn))
      seen.add(output.buffer)
      endTurn()
      transport.takeAll()
    }
    expect(seen.size).toBeLessThanOrEqual(2)
  })

  test('small writes to a peer that does not read hold little more than their bytes', () => {
    const { output, transport, endTurn } = makeOutput()
    transport.isTaking = false
    for (let turn = 0; turn < 1000; turn++) {
      put(output, envelope(100, turn))
      endTurn()
    }
    expect(output.queuedBytes).toBe(100_000)
    expect(transport.pinnedBytes).toBeLessThan(2 * 100_000 + OUTPUT_BUFFER_LENGTH)
    transport.takeAll()
    const expected = Array.from({ length: 1000 }, (_, turn) => envelope(100, turn))
    expect(hex(transport.arrived)).toBe(hex(Buffer.concat(expected)))
  })

  test('of a closed output go back, but not those that the transport still reads', () => {
    const { flusher, endTurn } = makeFlusher()
    const transport = new ScriptedTransport()
    transport.isTaking = false
    const output = new Output(flusher, transport)
    put(output, envelope(40_000))
    const parked = output.buffer
    endTurn()
    put(output, envelope(20))
    const current = output.buffer
    output.close()
    output.onDrain()
    const free = Array.from({ length: 4 }, () => flusher.takeBuffer())
    expect(free).toContain(current)
    expect(free).not.toContain(parked)
  })
})

describe('a closed output', () => {
  test.each([false, true])('sends nothing any more (frames: %s)', (hasFrames) => {
    const { output, transport, endTurn } = makeOutput()
    if (hasFrames) output.startFrames()
    put(output, envelope(20))
    output.close()
    endTurn()
    for (const length of [20, 70_000, 200_000]) {
      const at = put(output, envelope(length))
      writeStreamId(output.buffer, at, 1)
    }
    endTurn()
    output.flush()
    output.startFrames()
    output.close()
    output.onDrain()
    expect(transport.writes).toEqual([])
    expect(output.queuedBytes).toBe(0)
  })

  test('does not hold up the others of its turn', () => {
    const { flusher, endTurn } = makeFlusher()
    const transport = new ScriptedTransport()
    const closed = new Output(flusher, new ScriptedTransport())
    const open = new Output(flusher, transport)
    put(closed, envelope(20))
    put(open, envelope(30, 2))
    closed.close()
    endTurn()
    expect(hex(transport.arrived)).toBe(hex(envelope(30, 2)))
  })
})

type Step =
  | { readonly kind: 'append'; readonly output: number; readonly length: number }
  | { readonly kind: 'endTurn' }
  | { readonly kind: 'startFrames'; readonly output: number }
  | { readonly kind: 'stick' | 'take'; readonly output: number; readonly drain: boolean }

const OUTPUTS = 2
const output = fc.nat({ max: OUTPUTS - 1 })
const length = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 9, max: 200 }) },
  { weight: 3, arbitrary: fc.integer({ min: 9, max: 70_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 9, max: 300_000 }) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom(OUTPUT_BUFFER_LENGTH, FRAME_PAYLOAD_LENGTH_MAX, OUTPUT_BUFFER_LENGTH / 2),
        fc.integer({ min: -11, max: 11 }),
      )
      .map(([base, offset]) => base + offset),
  },
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('append' as const), output, length }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('endTurn' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('startFrames' as const), output }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('stick' as const, 'take' as const),
      output,
      drain: fc.boolean(),
    }),
  },
)

/** One output of the property test and all that it was given. */
class Lane {
  readonly transport = new ScriptedTransport()
  readonly output: Output
  readonly bare: Uint8Array[] = []
  readonly framed: Uint8Array[] = []
  hasFrames = false

  constructor(flusher: Flusher) {
    this.output = new Output(flusher, this.transport)
  }

  /** Appends under another stream id, as every caller does. */
  append(bytes: Uint8Array, streamId: number): void {
    const at = put(this.output, bytes)
    writeStreamId(this.output.buffer, at, streamId)
    const expected = bytes.slice()
    writeStreamId(expected, 0, streamId)
    if (this.hasFrames) this.framed.push(expected)
    else this.bare.push(expected)
  }

  startFrames(): void {
    this.output.startFrames()
    this.hasFrames = true
  }

  set isTaking(isTaking: boolean) {
    this.transport.isTaking = isTaking
    if (isTaking) this.transport.takeAll()
  }

  check(): void {
    const wire = this.transport.arrived
    const bareLength = this.bare.reduce((sum, bytes) => sum + bytes.length, 0)
    expect(hex(wire.subarray(0, bareLength))).toBe(hex(Buffer.concat(this.bare)))
    const frames = wire.subarray(bareLength)
    expect(envelopesInFrames(frames)).toEqual(this.framed.map(hex))
    this.#checkEachWriteIsWhole(bareLength)
  }

  /** The test's own reader of frames: each write ends where a frame ends (v5 §2.2). */
  #checkEachWriteIsWhole(bareLength: number): void {
    let seen = 0
    for (const write of this.transport.writes) {
      seen += write.length
      if (seen <= bareLength) continue
      const stream = new EnvelopeStream()
      stream.useFrames()
      const whole = [...stream.push(write)].reduce((sum, { bytes }) => sum + bytes.length, 0)
      const frames = Math.ceil(whole / FRAME_PAYLOAD_LENGTH_MAX)
      expect(write.length).toBe(whole + frames * FRAME_OVERHEAD)
    }
  }
}

const run = (steps: readonly Step[]): void => {
  const { flusher, endTurn } = makeFlusher()
  const lanes = Array.from({ length: OUTPUTS }, () => new Lane(flusher))
  for (const [index, next] of steps.entries()) {
    if (next.kind === 'endTurn') {
      endTurn()
      continue
    }
    const lane = lanes[next.output]!
    if (next.kind === 'append') lane.append(envelope(next.length, index), index + 1)
    else if (next.kind === 'startFrames') lane.startFrames()
    else {
      lane.isTaking = next.kind === 'take'
      if (next.kind === 'take' && next.drain) lane.output.onDrain()
    }
  }
  endTurn()
  for (const lane of lanes) {
    lane.isTaking = true
    lane.check()
  }
}

describe('whatever the sizes, flush points, switches and slow kernels', () => {
  test('what arrives is what was appended', () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), run), { numRuns: 150 })
  })
})

describe('an output with LZ4 frames', () => {
  const readBack = (wire: Uint8Array): string[] => {
    const stream = new EnvelopeStream()
    stream.compression = 'lz4'
    stream.useFrames()
    return [...stream.push(wire)].map(({ bytes }) => hex(bytes))
  }

  test('sends what one turn has collected as one frame in one write, shorter than it was', () => {
    const { output, transport, endTurn } = makeOutput()
    output.startFrames(true)
    const parts = [envelope(3000, 1), envelope(9, 2), envelope(3000, 3)]
    for (const part of parts) put(output, part)
    endTurn()
    expect(transport.writes).toHaveLength(1)
    expect(transport.writes[0]!.length).toBeLessThan(3000)
    expect(readBack(transport.writes[0]!)).toEqual(parts.map(hex))
  })

  test.each([
    OUTPUT_BUFFER_LENGTH - 12,
    OUTPUT_BUFFER_LENGTH - 11,
    FRAME_PAYLOAD_LENGTH_MAX,
    FRAME_PAYLOAD_LENGTH_MAX + 1,
  ])('an envelope of %i bytes leaves whole, in one write', (length) => {
    const { output, transport, endTurn } = makeOutput()
    output.startFrames(true)
    put(output, envelope(length))
    endTurn()
    expect(transport.writes).toHaveLength(1)
    expect(readBack(transport.writes[0]!)).toEqual([hex(envelope(length))])
  })
})

test('an output with short headers leaves those of v3 and later as they are', () => {
  const { output, transport, endTurn } = makeOutput()
  output.useShortHeaders()
  const v2 = envelope(20, 300)
  v2[0] = 0x82
  const v4 = envelope(30, 4)
  v4[0] = 0x84
  for (const part of [v2, v4]) {
    const at = put(output, part)
    // Patched in the copy as everywhere, at the offsets of nine bytes.
    output.buffer[at + 3] = 9
    part[3] = 9
  }
  endTurn()
  const short = Buffer.concat([v2.subarray(0, 2), v2.subarray(3)])
  expect(transport.writes.map(hex)).toEqual([hex(Buffer.concat([short, v4]))])
})
