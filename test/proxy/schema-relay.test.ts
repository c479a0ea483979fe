/** Whose schema changes clients hear of, and that a switch neither repeats nor loses one. */
import { describe, expect, test } from 'vitest'
import { SchemaRelay, schemaEventSource } from '../../src/proxy/schema-relay.ts'
import { Cluster } from '../../src/routing/cluster.ts'
import { FakeClock } from '../support/fake-clock.ts'

const { ORIGIN, TARGET } = Cluster

/** What happens, in order: an event of a cluster, the source of events from now on, time that passes. */
type Step =
  | { readonly from: Cluster; readonly body: string }
  | { readonly source: Cluster }
  | { readonly ms: number }

const toldAfter = (steps: readonly Step[]): string[] => {
  const clock = new FakeClock()
  const told: string[] = []
  const relay = new SchemaRelay(clock, (body) => told.push(Buffer.from(body).toString()))
  for (const step of steps) {
    if ('ms' in step) clock.advance(step.ms)
    else if ('source' in step) relay.setSource(step.source)
    else relay.onEvent(step.from, Buffer.from(step.body))
  }
  return told
}

const origin = (body: string): Step => ({ from: ORIGIN, body })
const target = (body: string): Step => ({ from: TARGET, body })
const source = (cluster: Cluster): Step => ({ source: cluster })

const CASES: readonly (readonly [string, readonly Step[], readonly string[]])[] = [
  ['a change of both is told once', [origin('a'), target('a')], ['a']],
  ['whichever cluster is faster', [target('a'), origin('a')], ['a']],
  ['a change of the other cluster alone is not told', [target('a')], []],
  [
    'the same change twice is told twice',
    [origin('a'), origin('a'), target('a'), target('a')],
    ['a', 'a'],
  ],
  ['after a switch the new source is heard', [source(TARGET), target('a'), origin('b')], ['a']],
  ['told before the switch, not again after it', [origin('a'), source(TARGET), target('a')], ['a']],
  ['come too early from the new source: told at the switch', [target('a'), source(TARGET)], ['a']],
  ['and not again when its twin comes', [target('a'), source(TARGET), origin('a')], ['a']],
  ['both before the switch', [origin('a'), target('a'), source(TARGET)], ['a']],
  ['both after it', [source(TARGET), origin('a'), target('a')], ['a']],
  [
    'there and back while a change is on its way',
    [origin('a'), source(TARGET), source(ORIGIN), target('a'), origin('b')],
    ['a', 'b'],
  ],
  [
    'a second change of the new source counts',
    [origin('a'), source(TARGET), target('a'), target('a')],
    ['a', 'a'],
  ],
  [
    'a change of long ago is no twin of a new one',
    [origin('a'), { ms: 10_001 }, source(TARGET), target('a')],
    ['a', 'a'],
  ],
  ['and is not caught up on', [target('a'), { ms: 10_001 }, source(TARGET)], []],
  ['the source told again changes nothing', [source(ORIGIN), target('a'), source(ORIGIN)], []],
]

describe('schema changes', () => {
  test.each(CASES)('%s', (_, steps, told) => {
    expect(toldAfter(steps)).toEqual(told)
  })

  test('that have no twin do not pile up', () => {
    const events = Array.from({ length: 1001 }, (_, i) => target(String(i)))
    const told = toldAfter([...events, source(TARGET)])
    expect(told).toEqual(Array.from({ length: 1000 }, (_, i) => String(i + 1)))
  })
})

test.each([
  { from: 'ORIGIN', primary: ORIGIN, writeMode: 'both', source: ORIGIN },
  { from: 'ORIGIN', primary: TARGET, writeMode: 'both', source: ORIGIN },
  { from: 'ORIGIN', primary: TARGET, writeMode: 'target_only', source: TARGET },
  { from: 'ORIGIN', primary: ORIGIN, writeMode: 'origin_only', source: ORIGIN },
  { from: 'PRIMARY', primary: ORIGIN, writeMode: 'both', source: ORIGIN },
  { from: 'PRIMARY', primary: TARGET, writeMode: 'both', source: TARGET },
] as const)('$from, primary $primary, writes $writeMode: cluster $source', (given) => {
  expect(schemaEventSource(given.from, given)).toBe(given.source)
})
