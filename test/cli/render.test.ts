import { describe, expect, test } from 'vitest'
import { groupChecks, renderChange, renderChecks, renderPlan } from '../../src/cli/render-checks.ts'
import { formatAge, renderClients, renderClosed } from '../../src/cli/render-clients.ts'
import { renderFeasibility } from '../../src/cli/render-feasibility.ts'
import { describeMismatch, renderMismatches } from '../../src/cli/render-mismatches.ts'
import { mergeFailedWrites, renderStatus, renderWay } from '../../src/cli/render-status.ts'
import { COLOURED, formatMs, formatRate, PLAIN, styleFor, table } from '../../src/cli/style.ts'
import type { CheckResult, DeploymentStatus, InstanceStatus } from '../../src/control/report.ts'
import {
  checkReportOf,
  clientGroupOf,
  clientsOf,
  deploymentOf,
  FAILED,
  mismatchOf,
  PASSED,
  planOf,
  reportOf,
  statusOf,
} from './answers.ts'

const text = (lines: readonly string[]): string => lines.join('\n')

describe('style', () => {
  test.each([
    [true, {}, COLOURED],
    [false, {}, PLAIN],
    [true, { NO_COLOR: '1' }, PLAIN],
    [true, { NO_COLOR: '' }, COLOURED],
    [true, { TERM: 'dumb' }, PLAIN],
  ])('on a terminal: %s, with %o', (isTerminal, environment, style) => {
    expect(styleFor(isTerminal, environment)).toBe(style)
  })

  test('columns line up, colours or not', () => {
    const rows = [
      ['a', COLOURED.good('bb'), 'c'],
      ['aaa', 'b', 'c'],
    ]
    expect(table(rows)).toEqual([`a    ${COLOURED.good('bb')}  c`, 'aaa  b   c'])
  })

  test.each([
    [0, '0'],
    [0.44, '0.4'],
    [340.4, '340'],
    [12_345, '12,345'],
  ])('a rate of %f is %s', (rate, shown) => expect(formatRate(rate)).toBe(shown))

  test.each([
    [null, '–'],
    [1.25, '1.3 ms'],
    [14.2, '14 ms'],
  ])('%s milliseconds are %s', (ms, shown) => expect(formatMs(ms)).toBe(shown))
})

describe('status', () => {
  test('is one screen', async () => {
    const lines = renderStatus(deploymentOf([statusOf()]), PLAIN)
    expect(lines.length).toBeLessThanOrEqual(24)
    await expect(text(lines)).toMatchFileSnapshot('./status.txt')
  })

  test('shows where the phase is on the way', () => {
    expect(renderWay('migrate', PLAIN)).toBe(
      'connect ─ [migrate] ─ dual-read ─ target-reads ─ cut-over',
    )
    expect(renderWay('rolled-back', PLAIN)).toMatch(/^\[rolled-back\]/)
  })

  test('says why an instance is not ready', () => {
    const status = { ...statusOf(), notReady: 'Target cannot be reached.' }
    const instances = [{ name: 'http://10.0.0.1:14003', status, error: null }]
    const lines = renderStatus({ isInAgreement: true, checks: [], instances }, PLAIN)
    expect(text(lines)).toContain('http://10.0.0.1:14003 is not ready: Target cannot be reached.')
  })

  test('names an instance that cannot be reached, and why', () => {
    const instances = [
      { name: 'http://10.0.0.1:14003', status: statusOf(), error: null },
      { name: 'http://10.0.0.2:14003', status: null, error: 'connect ECONNREFUSED' },
    ]
    const lines = renderStatus(
      { isInAgreement: false, checks: [{ ...FAILED, id: 'instances-reachable' }], instances },
      PLAIN,
    )
    expect(text(lines)).toContain('http://10.0.0.2:14003  unreachable  connect ECONNREFUSED')
    expect(text(lines)).toContain('The instances do not agree.')
    expect(text(lines)).toContain('zdm rollback')
  })

  test('says so when no instance can be reached', () => {
    const instances = [{ name: 'http://10.0.0.2:14003', status: null, error: 'timed out' }]
    const lines = renderStatus({ isInAgreement: false, checks: [], instances }, PLAIN)
    expect(lines).toEqual(['No instance can be reached.', '  http://10.0.0.2:14003: timed out'])
  })

  test('adds up what failed over instances, the worst table first', () => {
    const book = (table: string, targetOnly: number, firstAt: string) => ({
      since: '2026-01-01T00:00:00.000Z',
      originSince: '2026-01-01T00:00:00.000Z',
      originOnly: 0,
      targetOnly,
      both: 1,
      tables: [
        { keyspace: 'ks', table, originOnly: 0, targetOnly, both: 1, firstAt, lastAt: firstAt },
      ],
      gaps: [`${table} was killed`],
      originGaps: [],
    })
    const merged = mergeFailedWrites([
      book('a', 2, '2026-01-03'),
      book('b', 9, '2026-01-02'),
      book('a', 3, '2026-01-01'),
    ])
    expect(merged).toMatchObject({ originOnly: 0, targetOnly: 14, both: 3 })
    expect(merged.gaps).toEqual(['a was killed', 'b was killed'])
    expect(merged.tables).toMatchObject([
      { table: 'b', targetOnly: 9 },
      { table: 'a', targetOnly: 5, firstAt: '2026-01-01', lastAt: '2026-01-03' },
    ])
  })

  test('warns of a state that a restart forgets, and of a cluster that is down', () => {
    const status = statusOf({
      isStateKept: false,
      clusters: {
        origin: { isUp: true, endpoint: null, failures: 0 },
        target: { isUp: false, endpoint: null, failures: 4 },
      },
    })
    const lines = text(renderStatus(deploymentOf([status]), PLAIN))
    expect(lines).toContain('routing_state_path')
    expect(lines).toContain('DOWN')
  })
})

describe('status outside of the ordinary', () => {
  const shown = (status: InstanceStatus, changes: Partial<DeploymentStatus> = {}): string =>
    text(renderStatus(deploymentOf([status], changes), PLAIN))

  test('tells settings that differ although the states agree', () => {
    const different = { ...FAILED, id: 'configuration-equal', instance: null } as const
    expect(shown(statusOf(), { checks: [PASSED, different] })).toContain('✗ configuration-equal')
  })

  test.each([
    ['origin_only', 'every write goes to Origin alone', 'every read back on Origin'],
    ['target_only', 'every write goes to Target alone', 'why it is refused now'],
  ] as const)('with %s does not promise what does not hold', (writeMode, meaning, step) => {
    const { state } = statusOf()
    const lines = shown(
      statusOf({
        state: { ...state, routing: { ...state.routing, writeMode } },
        isPhaseRouting: false,
      }),
    )
    expect(lines).toContain(meaning)
    expect(lines).toContain(step)
    expect(lines).not.toContain('both clusters')
    expect(lines).not.toContain('from any phase')
  })

  test('says that nothing was reconciled, and that a change is being made', () => {
    const { state } = statusOf()
    const pending = { id: '1', verb: 'advance', by: 'bob', expiresAt: '2026-01-02' } as const
    const lines = shown(statusOf({ state: { ...state, reconciledAt: null }, pending }))
    expect(lines).toContain('reconciled: not recorded in this attempt')
    expect(lines).toContain('bob is making a change (advance), until 2026-01-02 at most')
  })

  test('names the instances that have counted since a restart only', () => {
    const { failedWrites } = statusOf()
    const later = { ...failedWrites, since: '2026-01-03T00:00:00.000Z' }
    const other = statusOf({ name: 'http://b:14003', failedWrites: later })
    const lines = text(renderStatus(deploymentOf([statusOf(), other]), PLAIN))
    expect(lines).toContain(
      'since 2026-01-01T12:00:00.000Z (but http://b:14003 since 2026-01-03T00:00:00.000Z only): Origin 0',
    )
  })

  test('rounds the window', () => {
    const { traffic } = statusOf()
    expect(shown(statusOf({ traffic: { ...traffic!, windowSeconds: 10.789449644 } }))).toContain(
      '(last 11 s)',
    )
  })
})

test('status tells what holds a change up, and what a restart would undo', () => {
  const pending = {
    id: 'x',
    verb: 'advance',
    by: 'bob',
    expiresAt: '2026-01-02T00:00:30Z',
  } as const
  const status = statusOf({
    pending,
    isStateKept: false,
    stateFault: 'the disk is full',
    auditFault: 'changes that were made are in no file: the disk of the log is full',
    unwritable: { stateFile: null, auditLog: 'the audit log x cannot be written' },
  })
  const lines = text(renderStatus(deploymentOf([status]), PLAIN))
  expect(lines).toContain('bob is making a change (advance)')
  expect(lines).toContain('forgets this state with a restart: the disk is full')
  expect(lines).toContain('changes that were made are in no file: the disk of the log is full')
  expect(lines).toContain('would refuse every change but a rollback: the audit log x cannot')
})

test('status after a rollback shows both ways, and what one of them forgets', () => {
  const { state } = statusOf()
  const status = statusOf({
    state: { ...state, phase: 'rolled-back', rolledBackFrom: 'target-reads' },
    next: ['migrate', 'dual-read', 'target-reads'],
  })
  const lines = text(renderStatus(deploymentOf([status]), PLAIN))
  expect(lines).toContain('zdm plan advance target-reads  what target-reads needs, going on')
  expect(lines).toMatch(
    /zdm plan advance migrate +a new attempt begins: the reconciliation of 2026/,
  )
})

test('status tells once what a cluster lacks, as far as any instance knows', () => {
  const { state } = statusOf()
  const lack = (since: string, until: string) => ({ ...state, targetLacks: { since, until } })
  const lines = renderStatus(
    deploymentOf([
      statusOf({ state: lack('2026-01-01', '2026-01-03') }),
      statusOf({ state: lack('2026-01-02', '2026-01-04') }),
    ]),
    PLAIN,
  )
  expect(lines.filter((line) => line.includes('Target lacks'))).toEqual([
    'writes went to Origin only from 2026-01-01 to 2026-01-04, and Target lacks them',
  ])
})

test('status tells that answers were not compared, and how to compare them', () => {
  const nothing = { errors: 0, compared: 0, mismatches: 0, dropped: 3 }
  const status = statusOf({ asyncReads: { windowSeconds: 60, reads: 1000, ...nothing } })
  expect(text(renderStatus(deploymentOf([status, status]), PLAIN))).toContain(
    '2,000 mirrored reads, 0 failed; answers not compared (compare_async_reads: true compares them); 6 copies dropped',
  )
})

describe('checks, plans and changes', () => {
  test('are told once where all instances say the same, and by instance where not', () => {
    const of = (instance: string, changes: Partial<CheckResult> = {}): CheckResult => ({
      ...PASSED,
      instance,
      ...changes,
    })
    const failed = { id: 'failed-writes', outcome: 'fail', evidence: '3 writes' } as const
    const lines = renderChecks(
      groupChecks([
        { ...PASSED, id: 'instances-agree' },
        ...['a', 'b', 'c'].map((name) => of(name)),
        of('a', { id: 'clients', evidence: '1 client connection' }),
        of('b', { id: 'clients', evidence: '2 client connections' }),
        of('a', { id: 'failed-writes', evidence: 'none' }),
        of('b', failed),
        of('c', { ...failed, evidence: '4 writes' }),
      ]),
      PLAIN,
    )
    expect(lines).toEqual([
      '  ✓ instances-agree: both are up',
      '  ✓ control-connections: both are up  (all 3 instances)',
      '  ✓ clients: 1 client connection  (all 2 instances; this is what a sees)',
      '  ✓ failed-writes: none  (a)',
      '  ✗ failed-writes: 3 writes  (b)',
      '  ✗ failed-writes: 4 writes  (c)',
    ])
  })

  test('what did not pass comes with what to do', () => {
    expect(renderChecks([PASSED, FAILED], PLAIN)).toEqual([
      '  ✓ control-connections: both are up',
      '  ✗ failed-writes: 3 writes failed on Target only since 2026-01-01T00:00:00.000Z  (http://127.0.0.1:14003)',
      '      → copy shop.orders again, then run `zdm reconciled`',
    ])
  })

  test('a plan shows the way, the routing and every check', () => {
    const lines = text(renderPlan(planOf({ isAllowed: false, checks: [PASSED, FAILED] }), PLAIN))
    expect(lines).toContain('advance: dual-read → target-reads')
    expect(lines).toContain('reads TARGET, read mode PRIMARY_ONLY, writes both')
    expect(lines).toContain('✗ failed-writes')
    expect(lines.indexOf('1. prepare on 1 instance')).toBeLessThan(lines.indexOf('✓'))
  })

  test('a change says how long requests took to end, and how far apart instances changed', () => {
    const lines = text(renderChange(reportOf(), PLAIN))
    expect(lines).toContain('changed; 17 requests in flight were answered in 3.2 ms')
    expect(lines).toContain('skew between instances: 0.8 ms')
  })

  test('a partial change names the commands that finish and that revert it', () => {
    const report = reportOf({
      outcome: 'partial',
      finish: 'zdm align --like http://10.0.0.1:14003',
      revert: 'zdm align --like http://10.0.0.2:14003',
    })
    const lines = text(renderChange(report, PLAIN))
    expect(lines).toContain('To finish:  zdm align --like http://10.0.0.1:14003')
    expect(lines).toContain('To revert:  zdm align --like http://10.0.0.2:14003')
  })

  test('leaving tells what Origin may lack and what to do', () => {
    const leave = {
      clientConnections: 4,
      isOriginComplete: false,
      doubts: ['clients may have written to Target directly'],
      missingOnOrigin: [
        {
          keyspace: 'shop',
          table: 'orders',
          originOnly: 2,
          targetOnly: 0,
          both: 0,
          firstAt: '2026-01-01',
          lastAt: '2026-01-02',
        },
      ],
      since: '2026-01-01',
      gaps: ['b: the last 5 s before it was killed'],
      steps: ['Copy shop.orders from Target.', 'Point clients at Origin.'],
    }
    const lines = text(renderChange(reportOf({ leave }), PLAIN))
    expect(lines).toContain('Origin may lack writes that have failed there since 2026-01-01:')
    const none = text(renderChange(reportOf({ leave: { ...leave, missingOnOrigin: [] } }), PLAIN))
    // What nobody knows of is told by the doubt, with its own time.
    expect(none).not.toContain('2026-01-01')
    expect(none).toContain('To leave\n  clients may have written to Target directly')
    expect(lines).toContain('clients may have written to Target directly')
    expect(lines).toMatch(/shop\.orders +2 +0/)
    expect(lines).toContain('Not counted: b: the last 5 s before it was killed')
    expect(lines).toContain('2. Point clients at Origin.')
  })
})

describe('clients', () => {
  const unnamed = clientGroupOf({
    user: '',
    driverName: '',
    driverVersion: '',
    applicationName: '',
    applicationVersion: '',
    protocolVersion: null,
    connections: 1,
  })

  test('are a table for each instance', () => {
    const a = { ...clientsOf('http://a', [clientGroupOf(), unnamed]), unlistedConnections: 1_200 }
    const report = { instances: [a, clientsOf('http://b')] }
    expect(renderClients(report, PLAIN)).toEqual([
      'http://a  1,203 client connections',
      '  address   user    application  driver                                               protocol  connections  in flight  oldest  last heard',
      '  10.0.0.7  orders  shop 2.1     DataStax Java driver for Apache Cassandra(R) 4.17.0  v4        2            1          1d 2h   3s ago',
      '  10.0.0.7  –       –            –                                                    –         1            1          1d 2h   3s ago',
      '  and 1,200 client connections of further groups',
      'http://b  0 client connections',
    ])
  })

  test.each([
    [[clientsOf('a')], 'Nobody uses the proxy.'],
    [
      [clientsOf('a'), { ...clientsOf('b'), error: 'it is gone' }],
      '0 client connections are known of; 1 of 2 instances did not answer.',
    ],
  ])('nobody, as far as is known', (instances, expected) => {
    expect(renderClients({ instances }, PLAIN).at(-1)).toBe(expected)
  })

  test.each([
    [0, '0s'],
    [59, '59s'],
    [60, '1m 0s'],
    [3_725, '1h 2m'],
    [86_400 * 40, '40d 0h'],
  ])('of %i seconds are %s old', (seconds, expected) => {
    expect(formatAge(seconds)).toBe(expected)
  })

  test('that are not there are no failure, but told', () => {
    const selection = { address: '10.0.0.7', user: 'orders' }
    const instances = [{ name: 'a', closed: 0, error: null }]
    expect(renderClosed({ instances }, selection, PLAIN)).toEqual([
      'No connection from 10.0.0.7 of "orders" was found; zdm clients shows who there is.',
    ])
  })
})

describe('mismatches', () => {
  test.each([
    [{ missingOnTarget: 1 }, '1 row missing on Target'],
    [
      { missingOnOrigin: 2, changedRows: 1, columns: ['total'], isPartial: true },
      '2 rows missing on Origin, 1 row with other values (total); of one page',
    ],
    [{ isOrder: true }, 'the same rows in another order'],
    [{ columns: ['total'] }, 'other columns (total)'],
  ])('%o is "%s"', (changes, expected) => {
    expect(describeMismatch(mismatchOf(changes))).toBe(expected)
  })

  const REPORT = { instance: 'http://10.0.0.1:14003', isComparing: true, mismatches: [] }

  test('none, and nobody who looks for them, are told apart', () => {
    expect(text(renderMismatches(REPORT, PLAIN))).toBe(
      'http://10.0.0.1:14003 has seen no mismatch.',
    )
    const off = renderMismatches({ ...REPORT, isComparing: false }, PLAIN)
    expect(text(off)).toContain('compares nothing now: set compare_async_reads')
  })

  test('have table, difference, statement and key, and what to do', () => {
    const mismatches = [mismatchOf({ missingOnTarget: 1 })]
    const shown = text(renderMismatches({ ...REPORT, mismatches }, PLAIN))
    expect(shown).toContain('shop.orders  1 row missing on Target')
    expect(shown).toContain('SELECT total FROM shop.orders WHERE id = ?')
    expect(shown).toContain('primary ORIGIN, partition key #0123456789abcdef')
    expect(shown).toContain('zdm reconciled')
  })
})

describe('a check of both clusters', () => {
  const difference = {
    severity: 'error',
    subject: 'shop.orders',
    text: 'is missing in Target',
    remedy: 'create it',
  } as const
  const schema = checkReportOf().schema!

  test('that finds nothing says so', () => {
    const shown = text(renderFeasibility(checkReportOf(), PLAIN))
    expect(shown).toContain('Origin  TCP  ok  reached')
    expect(shown).toContain('Nothing found that stands in the way')
  })

  test('has every difference with what to do, and counts what it does not show', () => {
    const found = { ...schema, errors: 3, differences: [difference] }
    const shown = text(renderFeasibility(checkReportOf({ schema: found }), PLAIN))
    expect(shown).toMatch(/error {2}shop.orders {2}is missing in Target\n +→ create it/)
    expect(shown).toContain('… and 2 more')
  })

  test('with warnings alone is no obstacle, but no end either', () => {
    const found = { ...schema, warnings: 2 }
    expect(text(renderFeasibility(checkReportOf({ schema: found }), PLAIN))).toContain(
      'Settle the 2 warnings before Target serves reads',
    )
  })

  test('shows of other instances what is odd, and who could not be asked', () => {
    const [first] = checkReportOf().instances
    const failed = { ...first!.rows[0]!, verdict: 'fail', detail: 'refused' } as const
    const instances = [
      first!,
      { ...first!, name: 'fine' },
      { name: 'odd', rows: [...first!.rows, failed], error: null },
      { name: 'lost', rows: [], error: 'no answer' },
    ]
    const lines = renderFeasibility(checkReportOf({ isFeasible: false, instances }), PLAIN)
    const shown = text(lines)
    expect(lines).toContain('fine  ok')
    expect(shown).toMatch(/odd\nOrigin {2}TCP {2}FAILED {2}refused\n/)
    expect(shown).toMatch(/lost\nno answer\n/)
    expect(shown).toContain('1 check failed, 1 instance could not be asked')
  })

  test('paints words by how bad they are', () => {
    const found = { ...schema, errors: 1, differences: [difference] }
    const shown = text(renderFeasibility(checkReportOf({ schema: found }), COLOURED))
    expect(shown).toContain(COLOURED.bad('error'))
    expect(shown).toContain(COLOURED.good('ok'))
  })
})
