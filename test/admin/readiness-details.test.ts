import { describe, expect, test } from 'vitest'
import { readinessOf, renderReadiness } from '../../src/admin/readiness.ts'
import { type Condition, detailsOf } from '../../src/admin/readiness-details.ts'
import { Cluster } from '../../src/routing/cluster.ts'

const SINCE = '2026-01-02T03:04:05.000Z'
const TROUBLE = { since: SINCE, why: 'connect ECONNREFUSED' }
const UP = { endpoint: '10.0.0.1:9042', failures: 0 }
const DOWN = { endpoint: '10.0.0.2:9042', failures: 1 }

const condition = (changes: Partial<Condition> = {}): Condition => ({
  phase: 'running',
  start: null,
  origin: { name: 'Origin', trouble: null, nodesDown: [] },
  target: { name: 'Target', trouble: null, nodesDown: [] },
  isStuck: false,
  isMirroringReads: false,
  clients: { count: 1, max: 10 },
  certificates: [{ name: 'The certificate of the leg origin', daysLeft: 200 }],
  ...changes,
})

const lost = (name: 'Origin' | 'Target') => ({ name, trouble: TROUBLE, nodesDown: [] })

describe('the reason', () => {
  test.each([
    {
      why: 'nothing has failed yet',
      readiness: readinessOf('starting', null, null, 1),
      given: { phase: 'starting' as const },
      expected: 'The start is under way.',
    },
    {
      why: 'the start fails',
      readiness: readinessOf('starting', null, null, 1),
      given: { phase: 'starting' as const, start: { ...TROUBLE, attempts: 3 } },
      expected: `The start has been failing since ${SINCE}, 3 attempts so far; the last one: connect ECONNREFUSED.`,
    },
    {
      why: 'it drains',
      readiness: readinessOf('draining', UP, UP, 1),
      given: { phase: 'draining' as const },
      expected: 'The instance was told to stop; requests in flight may end.',
    },
    {
      why: 'Target is away',
      readiness: readinessOf('running', UP, DOWN, 1),
      given: { target: lost('Target') },
      expected: `Target has not been reached since ${SINCE}: connect ECONNREFUSED.`,
    },
    {
      why: 'both are away',
      readiness: readinessOf('running', DOWN, DOWN, 1),
      given: { origin: lost('Origin'), target: lost('Target') },
      expected: `Origin has not been reached since ${SINCE}: connect ECONNREFUSED. Target has not been reached since ${SINCE}: connect ECONNREFUSED.`,
    },
    {
      why: 'it is ready',
      readiness: readinessOf('running', UP, UP, 1),
      given: {},
      expected: null,
    },
  ])('$why', ({ readiness, given, expected }) => {
    const details = detailsOf(readiness, condition(given))
    expect(details).toEqual({ Reason: expected, Degraded: [] })
  })
})

describe('degraded', () => {
  test.each<[string, Partial<Condition>, readonly string[]]>([
    [
      'nodes are down',
      { origin: { name: 'Origin', trouble: null, nodesDown: ['10.0.0.3:9042', '10.0.0.4:9042'] } },
      ['Origin says that nodes are down: 10.0.0.3:9042, 10.0.0.4:9042.'],
    ],
    [
      'a control connection is being replaced',
      { target: lost('Target') },
      [
        `The control connection to Target is lost since ${SINCE}, and being opened again: connect ECONNREFUSED.`,
      ],
    ],
    ['a thread hangs', { isStuck: true }, ['A thread does not answer; its clients wait.']],
    [
      'the limit of clients is reached',
      { clients: { count: 10, max: 10 } },
      ['10 clients are connected, and more are refused (proxy_max_client_connections).'],
    ],
    [
      'certificates end',
      {
        certificates: [
          { name: 'A', daysLeft: 12.5 },
          { name: 'B', daysLeft: -3 },
        ],
      },
      ['A expires in 12 days.', 'B has expired.'],
    ],
  ])('%s', (_what, given, expected) => {
    const details = detailsOf(readinessOf('running', UP, UP, 1), condition(given))
    expect(details).toEqual({ Reason: null, Degraded: expected })
  })

  test.each([
    [false, 'Writes are refused.'],
    [true, 'Writes are refused, no read is copied.'],
  ])('a cluster that is not needed is away; reads are copied: %s', (isMirroringReads, effect) => {
    const readiness = readinessOf('running', UP, DOWN, 1, Cluster.ORIGIN)
    const details = detailsOf(readiness, condition({ target: lost('Target'), isMirroringReads }))
    const away = `Target has not been reached since ${SINCE}: connect ECONNREFUSED. ${effect}`
    expect(details).toEqual({ Reason: null, Degraded: [away] })
  })
})

test('details come behind the body, which stays as it is', () => {
  const readiness = readinessOf('running', UP, UP, 1)
  const body = renderReadiness(readiness)
  expect(renderReadiness(readiness, { Reason: null, Degraded: ['x'] })).toBe(
    `${body.slice(0, -1)},"Reason":null,"Degraded":["x"]}`,
  )
})
