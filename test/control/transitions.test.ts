import { describe, expect, test } from 'vitest'
import { hasPhaseRouting, type MigrationState } from '../../src/control/migration-state.ts'
import { isSameRouting, PHASE_TABLE, PHASES, type Phase } from '../../src/control/phase.ts'
import type { Transition } from '../../src/control/report.ts'
import {
  nextPhase,
  nextState,
  resultOf,
  type TransitionResult,
  waysFrom,
} from '../../src/control/transitions.ts'
import { messageOf } from '../../src/message-of.ts'
import { ON_ORIGIN, START, stateIn } from './instances.ts'

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
    expect(waysFrom(state)).toEqual(expected)
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

test('a new attempt begins without the evidence of the one before', () => {
  const from = stateIn('rolled-back', { rolledBackFrom: 'target-reads', comparisonBegunAt: START })
  const transition = { verb: 'advance', to: 'migrate' } as const
  const stamp = { revision: 1, changedAt: START, changedBy: '', reason: '' }
  const result = resultOf(from, transition) as Extract<TransitionResult, { kind: 'change' }>
  const again = nextState(from, transition, result, stamp)
  expect(again).toMatchObject({
    phase: 'migrate',
    rolledBackFrom: null,
    reconciledAt: null,
    comparisonBegunAt: null,
  })
  // Putting its routing right is no new attempt.
  const repaired = nextState(stateIn('migrate'), transition, result, stamp)
  expect(repaired.reconciledAt).toBe(START)
})

describe('aligning', () => {
  const refusing = (own: MigrationState, model: MigrationState): string[] => {
    const result = resultOf(own, { verb: 'align', state: model })
    if (result.kind !== 'change') return []
    return result.checks.filter(({ severity }) => severity === 'refuse').map(({ id }) => id)
  }
  const onTarget = stateIn('target-reads', { revision: 0 })
  test.each([
    ['connect', 0, ['reconciled', 'async-reads', 'failed-writes', 'dual-read-skipped']],
    ['dual-read', 7, ['reconciled', 'async-reads', 'failed-writes', 'dual-read-skipped']],
    ['rolled-back', 7, ['reconciled', 'async-reads', 'failed-writes', 'dual-read-skipped']],
  ] as const)(
    '%s at revision %i with one that has gone on by itself is checked',
    (phase, revision, ids) => {
      expect(refusing(stateIn(phase, { revision }), onTarget)).toEqual(
        expect.arrayContaining([...ids]),
      )
    },
  )

  test('with those that have gone on meanwhile needs no evidence but for the data', () => {
    const model = stateIn('target-reads', { revision: 7 })
    expect(refusing(stateIn('connect'), model)).toEqual(['safety-net', 'files-writable'])
  })

  test('with reads on Target outside the phases is going on', () => {
    const model = stateIn('connect', { routing: onTarget.routing })
    expect(refusing(stateIn('connect'), model)).toContain('reconciled')
  })

  test('back is as easy as a rollback', () => {
    expect(refusing(stateIn('target-reads', { revision: 7 }), stateIn('dual-read'))).toEqual([
      'origin-complete',
    ])
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

const followsIn = (state: MigrationState): string => {
  try {
    return nextPhase(state)
  } catch (error) {
    return messageOf(error)
  }
}

test('a bare advance goes to the first of the table, and says what to do where there is none', () => {
  const followers = PHASES.map((phase) => followsIn(stateIn(phase, { rolledBackFrom: 'connect' })))
  expect(followers.slice(0, 4)).toEqual(['migrate', 'dual-read', 'target-reads', 'cut-over'])
  expect(followers[4]).toMatch(/no phase follows cut-over: zdm rollback/)
})

test.each([
  [
    'target-reads',
    START,
    /forgets the reconciliation of 2026.*zdm advance dual-read or zdm advance target-reads goes on/,
  ],
  ['target-reads', null, /zdm advance migrate begins a new attempt; zdm advance dual-read or/],
  [
    'migrate',
    START,
    /zdm advance migrate begins a new attempt, which forgets the reconciliation of/,
  ],
  ['migrate', null, /^migrate$/],
  ['connect', null, /^migrate$/],
] as const)('after a rollback from %s, reconciled at %s, a bare advance: %s', (from, at, said) => {
  const state = stateIn('rolled-back', { rolledBackFrom: from, reconciledAt: at })
  expect(followsIn(state)).toMatch(said)
})
