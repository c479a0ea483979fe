/** How long a change of the schema is waited for. */
import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { Host } from '../../src/cluster/host.ts'
import { SchemaAgreement } from '../../src/cluster/schema-agreement.ts'
import { createLogger } from '../../src/log.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { someTurns } from '../support/plane.ts'

const hostAt = (index: number, schemaVersion: string | null): Host => ({
  hostId: `host ${index}`,
  address: `10.0.0.${index + 1}`,
  port: 9042,
  datacenter: 'dc1',
  rack: 'r1',
  tokens: [],
  schemaVersion,
  releaseVersion: null,
  row: new Map(),
  v2Row: null,
})

/** Versions per read, a letter a node; `.` for a row without a version, `!` where nobody could be asked. */
type Reads = readonly string[]

type Rig = {
  readonly clock: FakeClock
  readonly lines: { readonly code: string; readonly msg: string }[]
  readonly agreement: SchemaAgreement
  readonly closing: AbortController
  reads: number
  /** Nodes that were looked at, by index. */
  readonly lookedAt: string[]
}

const rigOf = (reads: Reads, down = ''): Rig => {
  const clock = new FakeClock()
  const rig: Rig = {
    clock,
    lines: [],
    closing: new AbortController(),
    reads: 0,
    lookedAt: [],
    agreement: new SchemaAgreement({
      cluster: Cluster.TARGET,
      clock,
      log: createLogger({
        level: 'info',
        clock,
        sink: { write: (line) => void rig.lines.push(JSON.parse(line)) },
      }),
      get closing() {
        return rig.closing.signal
      },
      read: async () => {
        const versions = reads[Math.min(rig.reads++, reads.length - 1)]!
        if (versions === '!') return null
        return [...versions].map((version, i) => hostAt(i, version === '.' ? null : version))
      },
      isReachable: async ({ address }) => {
        rig.lookedAt.push(address)
        return !down.includes(address.at(-1)!)
      },
    }),
  }
  return rig
}

/** In milliseconds. */
const waitFor = async ({ clock, agreement }: Rig, before: string | null): Promise<number> => {
  const startMs = clock.now()
  let endMs = -1
  void agreement.wait(before).then(() => {
    endMs = clock.now()
  })
  for (let i = 0; i < 300 && endMs < 0; i++) {
    await someTurns(2)
    if (endMs < 0) clock.advance(50)
  }
  return endMs - startMs
}

const CASES: readonly {
  readonly name: string
  readonly reads: Reads
  readonly down?: string
  readonly before?: string | null
  readonly waitedMs: number
  readonly readsNeeded: number
}[] = [
  { name: 'one node: one read', reads: ['b'], waitedMs: 0, readsNeeded: 1 },
  { name: 'one node, version as before: the same', reads: ['a'], waitedMs: 0, readsNeeded: 1 },
  { name: 'all have the new version', reads: ['bbb'], waitedMs: 0, readsNeeded: 1 },
  {
    name: 'one is late',
    reads: ['bab', 'bab', 'bbb'],
    waitedMs: 400,
    readsNeeded: 3,
  },
  {
    name: 'all have the old version still: agreed, but not on this',
    reads: ['aaa', 'baa', 'bbb'],
    waitedMs: 400,
    readsNeeded: 3,
  },
  {
    name: 'a change that leaves the version as it was',
    reads: ['aaa'],
    waitedMs: 1000,
    readsNeeded: 6,
  },
  {
    name: 'nobody knows what was before',
    reads: ['aaa'],
    before: null,
    waitedMs: 0,
    readsNeeded: 1,
  },
  { name: 'a row without a version does not count', reads: ['bb.'], waitedMs: 0, readsNeeded: 1 },
  { name: 'one is down', reads: ['bab'], down: '2', waitedMs: 200, readsNeeded: 2 },
  {
    name: 'one is down, another is late',
    reads: ['baa', 'baa', 'bab'],
    down: '2',
    waitedMs: 400,
    readsNeeded: 3,
  },
  {
    name: 'nobody can be asked for a while',
    reads: ['!', '!', 'bb'],
    waitedMs: 400,
    readsNeeded: 3,
  },
]

describe('the wait for one schema', () => {
  test.each(CASES)('$name', async ({ reads, down, before = 'a', waitedMs, readsNeeded }) => {
    const rig = rigOf(reads, down)
    expect(await waitFor(rig, before)).toBe(waitedMs)
    expect(rig.reads).toBe(readsNeeded)
    expect(rig.lines).toEqual([])
    expect(rig.clock.pendingTimers).toBe(0)
  })

  test.each([
    { reads: ['bab'], why: '10.0.0.1 has b, 10.0.0.2 has a, 10.0.0.3 has b' },
    { reads: ['!'], why: 'no node could be asked' },
  ])('is given up after 10 s and said once a minute: $why', async ({ reads, why }) => {
    const rig = rigOf(reads)
    expect(await waitFor(rig, 'a')).toBe(10_000)
    expect(await waitFor(rig, 'a')).toBe(10_000)
    expect(rig.lines).toMatchObject([{ code: 'SCHEMA_DISAGREEMENT', cluster: 'target' }])
    expect(rig.lines[0]!.msg).toContain(why)
    expect(rig.clock.pendingTimers).toBe(0)
  })

  test('does not look twice in half a minute whether a node is down', async () => {
    const rig = rigOf(['bab'], '2')
    expect(await waitFor(rig, 'a')).toBe(200)
    expect(await waitFor(rig, 'a')).toBe(0)
    expect(rig.lookedAt).toEqual(['10.0.0.2'])
    rig.clock.advance(30_000)
    expect(await waitFor(rig, 'a')).toBe(200)
  })

  test('listens to the end of the control connection, which may be weeks away, only for as long as it lasts', async () => {
    const rig = rigOf(['bab'])
    const listeners = (): number => getEventListeners(rig.closing.signal, 'abort').length
    const waits = [rig.agreement.wait('a'), rig.agreement.wait('a')]
    expect(listeners()).toBe(2)
    for (let i = 0; i < 11; i++) {
      await someTurns()
      rig.clock.advance(1_000)
    }
    await Promise.all(waits)
    expect(listeners()).toBe(0)
  })

  test('ends with the control connection', async () => {
    const rig = rigOf(['bab'])
    const waited = rig.agreement.wait('a')
    await someTurns()
    rig.closing.abort()
    await waited
    expect(rig.lines).toEqual([])
    expect(rig.clock.pendingTimers).toBe(0)
  })
})
