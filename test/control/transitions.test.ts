import { describe, expect, test } from 'vitest'
import { hasPhaseRouting } from '../../src/control/migration-state.ts'
import { isSameRouting, PHASE_TABLE, PHASES, type Phase } from '../../src/control/phase.ts'
import type { Transition } from '../../src/control/report.ts'
import { nextPhase, resultOf } from '../../src/control/transitions.ts'
import { ON_ORIGIN, stateIn } from './instances.ts'

/** Where `advance` leads, whole: every pair that is not here is refused. */
const WAYS: Readonly<Record<Phase, readonly Phase[]>> = {
  connect: ['migrate'],
  migrate: ['dual-read', 'target-reads'],
  'dual-read': ['target-reads'],
  'target-reads': ['cut-over'],
  'cut-over': [],
  // Where the rollback came from, at most; here it came from cut-over.
  'rolled-back': ['migrate', 'dual-read', 'target-reads'],
}

const kindOf = (from: Phase, transition: Transition): string =>
  resultOf(
    stateIn(from, { rolledBackFrom: from === 'rolled-back' ? 'cut-over' : null }),
    transition,
  ).kind

const PAIRS = PHASES.flatMap((from) => PHASES.map((to) => ({ from, to })))

describe('advance', () => {
  test.each(PAIRS)('from $from to $to', ({ from, to }) => {
    const expected = from === to ? 'unchanged' : WAYS[from].includes(to) ? 'change' : 'refused'
    expect(kindOf(from, { verb: 'advance', to })).toBe(expected)
  })

  test.each(PHASES)('to %s gives the routing of that phase', (to) => {
    for (const from of PHASES) {
      const state = stateIn(from, { rolledBackFrom: 'cut-over' })
      const result = resultOf(state, { verb: 'advance', to })
      if (result.kind !== 'change') continue
      expect(result.to.phase).toBe(to)
      expect(isSameRouting(result.to.routing, PHASE_TABLE[to].routing)).toBe(true)
      expect(result.checks).toBe(PHASE_TABLE[to].entryChecks)
    }
  })

  test.each([
    ['connect', ['migrate']],
    ['migrate', ['migrate']],
    ['dual-read', ['migrate', 'dual-read']],
    ['target-reads', ['migrate', 'dual-read', 'target-reads']],
    ['cut-over', ['migrate', 'dual-read', 'target-reads']],
  ] as const)('after a rollback from %s it leads to %j', (rolledBackFrom, expected) => {
    const state = stateIn('rolled-back', { rolledBackFrom })
    const ways = PHASES.filter((to) => resultOf(state, { verb: 'advance', to }).kind === 'change')
    expect(ways).toEqual(expected)
  })

  test('to where it is puts right a routing that was changed outside the phases', () => {
    const routing = { ...ON_ORIGIN, primary: 'TARGET' } as const
    const state = stateIn('migrate', { routing })
    expect(hasPhaseRouting(state)).toBe(false)
    expect(resultOf(state, { verb: 'advance', to: 'migrate' })).toMatchObject({
      kind: 'change',
      to: { phase: 'migrate', routing: ON_ORIGIN },
    })
  })
})

describe('rollback', () => {
  test.each(PHASES.filter((phase) => phase !== 'rolled-back'))('from %s', (from) => {
    const result = resultOf(stateIn(from), { verb: 'rollback' })
    expect(result).toMatchObject({
      kind: 'change',
      to: { phase: 'rolled-back', rolledBackFrom: from, routing: ON_ORIGIN },
    })
  })

  test('done already changes nothing', () => {
    expect(kindOf('rolled-back', { verb: 'rollback' })).toBe('unchanged')
  })

  test('when reads were put elsewhere since, puts them back and remembers where it came from', () => {
    const routing = { ...ON_ORIGIN, primary: 'TARGET' } as const
    const state = stateIn('rolled-back', { routing, rolledBackFrom: 'target-reads' })
    expect(resultOf(state, { verb: 'rollback' })).toMatchObject({
      kind: 'change',
      to: { rolledBackFrom: 'target-reads', routing: ON_ORIGIN },
    })
  })
})

describe('a routing of its own', () => {
  test.each([
    [{ ...ON_ORIGIN }, 'unchanged'],
    [{ ...ON_ORIGIN, primary: 'TARGET' }, 'change'],
    [{ ...ON_ORIGIN, writeMode: 'origin_only' }, 'change'],
    [{ ...ON_ORIGIN, writeMode: 'target_only' }, 'refused'],
    [{ ...ON_ORIGIN, primary: 'TARGET', writeMode: 'origin_only' }, 'refused'],
    [{ ...ON_ORIGIN, primary: 'TARGET', writeMode: 'target_only' }, 'change'],
    [
      { primary: 'ORIGIN', readMode: 'DUAL_ASYNC_ON_SECONDARY', writeMode: 'origin_only' },
      'refused',
    ],
  ] as const)('%j: %s', (routing, expected) => {
    expect(kindOf('migrate', { verb: 'route', routing })).toBe(expected)
  })
})

test('the next phase is the first of the table', () => {
  expect(PHASES.map((phase) => nextPhase(stateIn(phase)))).toEqual([
    'migrate',
    'dual-read',
    'target-reads',
    'cut-over',
    null,
    'migrate',
  ])
})
