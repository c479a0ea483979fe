import { describe, expect, test } from 'vitest'
import { type Evidence, hasFailed, runChecks } from '../../src/control/checks.ts'
import { type MigrationState, stateAfter } from '../../src/control/migration-state.ts'
import {
  CHECKS,
  type CheckId,
  PHASE_TABLE,
  type Phase,
  ROUTE_CHECKS,
  type Routing,
} from '../../src/control/phase.ts'
import { failuresOf, goodEvidence, noFailures, ON_ORIGIN, START, stateIn } from './instances.ts'

const KILLED = { ...noFailures, gaps: ['the last 5 s'] }

const check = (
  id: CheckId,
  evidence: Evidence,
  from: MigrationState,
  phase: Phase,
  routing: Routing = PHASE_TABLE[phase].routing,
): string => {
  const to = stateAfter(from, { phase, rolledBackFrom: from.rolledBackFrom, routing }, STAMP)
  const [result] = runChecks([{ id, severity: 'refuse' }], evidence, from, to, 'a')
  expect(result!.instance).toBe('a')
  // Whoever is refused is told what to do.
  expect(result!.remedy === null).toBe(result!.outcome === 'pass')
  return result!.outcome
}

const STAMP = { revision: 1, changedAt: START, changedBy: 'ada', reason: '' }
const LACK = { since: START, until: START }

const down = { isUp: false, endpoint: null, failures: 3 }
const { clusters } = goodEvidence()
const inDays = (days: number): string =>
  new Date(Date.parse(START) + days * 86_400_000).toISOString()
const mirrored = (
  reads: number,
  errors: number,
  mismatches: number,
  compared = reads,
): Partial<Evidence> => ({
  asyncReads: { windowSeconds: 600, reads, errors, compared, mismatches, dropped: 7 },
})

const unwritable = (file: keyof Evidence['unwritable']): Partial<Evidence> => ({
  unwritable: { ...goodEvidence().unwritable, [file]: 'it cannot be written' },
})

/** Check, what is seen, the state before, the phase to enter, the outcome where it may refuse. */
const CASES: readonly (readonly [CheckId, Partial<Evidence>, MigrationState, Phase, string])[] = [
  ['serving', {}, stateIn('connect'), 'migrate', 'pass'],
  ['serving', { serving: 'starting' }, stateIn('connect'), 'migrate', 'fail'],
  ['serving', { serving: 'draining' }, stateIn('connect'), 'migrate', 'fail'],
  ['control-connections', {}, stateIn('connect'), 'migrate', 'pass'],
  [
    'control-connections',
    { clusters: { ...clusters, target: down } },
    stateIn('connect'),
    'migrate',
    'fail',
  ],
  [
    'control-connections',
    { clusters: { ...clusters, origin: down } },
    stateIn('connect'),
    'migrate',
    'fail',
  ],
  ['state-kept', {}, stateIn('dual-read'), 'target-reads', 'pass'],
  ['state-kept', { isStateKept: false }, stateIn('dual-read'), 'target-reads', 'fail'],
  ['state-kept', { isStateKept: false }, stateIn('connect'), 'migrate', 'pass'],
  ['state-kept', unwritable('stateFile'), stateIn('dual-read'), 'target-reads', 'fail'],
  ['state-kept', unwritable('auditLog'), stateIn('dual-read'), 'target-reads', 'pass'],
  ['files-writable', {}, stateIn('connect'), 'migrate', 'pass'],
  ['files-writable', unwritable('stateFile'), stateIn('connect'), 'migrate', 'fail'],
  ['files-writable', unwritable('auditLog'), stateIn('connect'), 'migrate', 'fail'],
  // It may be mended by now, and is tried again with the change.
  ['files-writable', { auditFault: 'full' }, stateIn('connect'), 'migrate', 'warn'],
  ['files-writable', { stateFault: 'full' }, stateIn('connect'), 'migrate', 'warn'],
  ['failed-writes', {}, stateIn('dual-read'), 'target-reads', 'pass'],
  [
    'failed-writes',
    { failedWrites: failuresOf(1, 0) },
    stateIn('dual-read'),
    'target-reads',
    'fail',
  ],
  [
    'failed-writes',
    { failedWrites: failuresOf(0, 1) },
    stateIn('dual-read'),
    'target-reads',
    'fail',
  ],
  // A kill alone holds nobody up, but is told.
  ['failed-writes', { failedWrites: KILLED }, stateIn('dual-read'), 'target-reads', 'warn'],
  ['origin-complete', { failedWrites: KILLED }, stateIn('target-reads'), 'rolled-back', 'pass'],
  ['reconciled', {}, stateIn('migrate'), 'dual-read', 'pass'],
  ['reconciled', {}, stateIn('migrate', { reconciledAt: null }), 'dual-read', 'fail'],
  ['reconciled', {}, stateIn('migrate', { targetLacks: LACK }), 'dual-read', 'fail'],
  ['async-reads', {}, stateIn('dual-read'), 'target-reads', 'pass'],
  ['async-reads', mirrored(100, 0, 0), stateIn('dual-read'), 'target-reads', 'pass'],
  ['async-reads', mirrored(99, 0, 0), stateIn('dual-read'), 'target-reads', 'fail'],
  ['async-reads', mirrored(10_000, 10, 0), stateIn('dual-read'), 'target-reads', 'pass'],
  ['async-reads', mirrored(10_000, 11, 0), stateIn('dual-read'), 'target-reads', 'fail'],
  ['async-reads', mirrored(10_000, 0, 11), stateIn('dual-read'), 'target-reads', 'fail'],
  // Of what was compared, not of all.
  ['async-reads', mirrored(10_000, 0, 2, 1000), stateIn('dual-read'), 'target-reads', 'fail'],
  ['async-reads', mirrored(10_000, 0, 0, 0), stateIn('dual-read'), 'target-reads', 'warn'],
  ['async-reads', { asyncReads: null }, stateIn('dual-read'), 'target-reads', 'fail'],
  ['async-reads', mirrored(0, 0, 0), stateIn('dual-read'), 'target-reads', 'fail'],
  ['async-reads', { asyncReads: null }, stateIn('migrate'), 'target-reads', 'fail'],
  // Its routing is put right: Target serves reads already.
  ['async-reads', { asyncReads: null }, stateIn('target-reads'), 'target-reads', 'pass'],
  [
    'async-reads',
    { asyncReads: null },
    stateIn('rolled-back', { rolledBackFrom: 'target-reads' }),
    'target-reads',
    'pass',
  ],
  [
    'async-reads',
    mirrored(10_000, 0, 5000),
    stateIn('rolled-back', { rolledBackFrom: 'target-reads' }),
    'target-reads',
    'fail',
  ],
  [
    'async-reads',
    mirrored(0, 0, 0),
    stateIn('rolled-back', { rolledBackFrom: 'target-reads' }),
    'target-reads',
    'pass',
  ],
  ['certificates', {}, stateIn('connect'), 'migrate', 'pass'],
  [
    'certificates',
    { certificates: [{ name: 'x', expiresAt: inDays(15) }] },
    stateIn('connect'),
    'migrate',
    'pass',
  ],
  [
    'certificates',
    { certificates: [{ name: 'x', expiresAt: inDays(13) }] },
    stateIn('connect'),
    'migrate',
    'fail',
  ],
  [
    'certificates',
    { certificates: [{ name: 'x', expiresAt: inDays(-1) }] },
    stateIn('connect'),
    'migrate',
    'fail',
  ],
  ['clients', {}, stateIn('connect'), 'migrate', 'pass'],
  ['clients', { clientConnections: 0 }, stateIn('connect'), 'migrate', 'fail'],
  ['clients', {}, stateIn('target-reads'), 'cut-over', 'fail'],
  ['clients', { clientConnections: 0 }, stateIn('target-reads'), 'cut-over', 'pass'],
  ['dual-read-skipped', {}, stateIn('dual-read'), 'target-reads', 'pass'],
  ['dual-read-skipped', {}, stateIn('migrate'), 'target-reads', 'fail'],
  [
    'dual-read-skipped',
    {},
    stateIn('rolled-back', { rolledBackFrom: 'target-reads' }),
    'target-reads',
    'pass',
  ],
  ['origin-complete', {}, stateIn('target-reads'), 'rolled-back', 'pass'],
  // Told, but going back is not held up.
  [
    'origin-complete',
    { failedWrites: failuresOf(5, 0) },
    stateIn('target-reads'),
    'rolled-back',
    'pass',
  ],
  [
    'origin-complete',
    {},
    stateIn('target-reads', {
      routing: { primary: 'TARGET', readMode: 'PRIMARY_ONLY', writeMode: 'target_only' },
    }),
    'rolled-back',
    'fail',
  ],
  ['origin-complete', {}, stateIn('target-reads', { originLacks: LACK }), 'rolled-back', 'fail'],
  // Nobody can tell, and nobody is held up.
  ['origin-complete', {}, stateIn('cut-over', { cutOverAt: START }), 'rolled-back', 'warn'],
  ['safety-net', {}, stateIn('dual-read'), 'target-reads', 'pass'],
  ['safety-net', {}, stateIn('dual-read', { originLacks: LACK }), 'target-reads', 'pass'],
  ['safety-net', {}, stateIn('dual-read', { targetLacks: LACK }), 'target-reads', 'fail'],
  ['safety-net', {}, stateIn('connect', { originLacks: LACK }), 'migrate', 'fail'],
]

describe('what is looked at', () => {
  test.each(CASES)('%s with %j', (id, evidence, from, to, expected) => {
    expect(check(id, goodEvidence(evidence), from, to)).toBe(expected)
  })

  test.each([
    ['phase-routing', ON_ORIGIN, 'pass'],
    ['phase-routing', { ...ON_ORIGIN, primary: 'TARGET' }, 'fail'],
    ['phase-routing', { ...ON_ORIGIN, readMode: 'DUAL_ASYNC_ON_SECONDARY' }, 'fail'],
    ['safety-net', ON_ORIGIN, 'pass'],
    ['safety-net', { ...ON_ORIGIN, writeMode: 'origin_only' }, 'fail'],
  ] as const)('%s for %j: %s', (id, routing, expected) => {
    expect(check(id, goodEvidence(), stateIn('migrate'), 'migrate', routing)).toBe(expected)
  })

  test('the net is not whole again because writes go to both again', () => {
    const from = stateIn('migrate', { routing: { ...ON_ORIGIN, writeMode: 'origin_only' } })
    expect(check('safety-net', goodEvidence(), from, 'migrate', ON_ORIGIN)).toBe('warn')
    const onTarget = { ...ON_ORIGIN, primary: 'TARGET' } as const
    expect(check('safety-net', goodEvidence(), from, 'migrate', onTarget)).toBe('fail')
  })

  test('every check of one instance has been tried both ways', () => {
    const outcomes = new Map<string, Set<string>>()
    for (const [id, , , , outcome] of CASES) {
      outcomes.set(id, (outcomes.get(id) ?? new Set()).add(outcome))
    }
    const elsewhere = [
      'phase-routing',
      'instances-reachable',
      'instances-agree',
      'configuration-equal',
      'clusters-checked',
    ]
    for (const id of CHECKS.filter((known) => !elsewhere.includes(known))) {
      expect([...(outcomes.get(id) ?? [])], id).toEqual(expect.arrayContaining(['pass', 'fail']))
    }
  })
})

describe('what is said', () => {
  const said = (id: CheckId, evidence: Evidence, from: MigrationState): string => {
    const [result] = runChecks(
      [{ id, severity: 'refuse' }],
      evidence,
      from,
      stateIn('migrate'),
      'a',
    )
    return result!.evidence
  }

  test.each([
    [down, 'down: origin (never reached)'],
    [{ ...down, endpoint: '10.0.0.1:9042', failures: 1 }, 'down: origin (1 failure)'],
  ])('of a cluster that is down: %j', (origin, text) => {
    const evidence = goodEvidence({ clusters: { ...clusters, origin } })
    expect(said('control-connections', evidence, stateIn('connect'))).toBe(text)
  })

  test('of mirrored reads has their time first, and of their lack which attempt it is', () => {
    const reads = said('async-reads', goodEvidence(), stateIn('dual-read'))
    expect(reads).toMatch(/^in the last 600 s: 100000 mirrored reads, 0 failed/)
    const skipped = said('dual-read-skipped', goodEvidence(), stateIn('migrate'))
    expect(skipped).toBe('Target has had no production reads in this attempt')
  })
})

describe('a severity', () => {
  test('of warn makes no failure', () => {
    const entry = [{ id: 'clients', severity: 'warn' }] as const
    const evidence = goodEvidence({ clientConnections: 0 })
    const to = stateIn('migrate')
    const results = runChecks(entry, evidence, stateIn('connect'), to, 'a')
    expect(results.map(({ outcome }) => outcome)).toEqual(['warn'])
    expect(hasFailed(results)).toBe(false)
  })

  test('of a rollback refuses for one reason alone', () => {
    const refusing = PHASE_TABLE['rolled-back'].entryChecks.filter((c) => c.severity === 'refuse')
    expect(refusing.map(({ id }) => id)).toEqual(['origin-complete'])
  })

  test('of a change outside the phases refuses always', () => {
    expect(new Set(ROUTE_CHECKS.map(({ severity }) => severity))).toEqual(new Set(['refuse']))
  })
})
