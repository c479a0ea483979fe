import { describe, expect, test } from 'vitest'
import { CLUSTERS, Cluster } from '../../src/routing/cluster.ts'
import {
  ForwardDecision,
  forwardDecision,
  onlyCluster,
  writeDecision,
} from '../../src/routing/forward.ts'
import type { WriteMode } from '../../src/routing/routing-state.ts'
import { StatementClass } from '../../src/statement/classify.ts'

const { ORIGIN, TARGET, BOTH, PROXY, ORIGIN_ONLY, TARGET_ONLY } = ForwardDecision

/** Per write mode and class: the decision by [primary, system queries], as [O/O, O/T, T/O, T/T]. */
const PROXIED = [PROXY, PROXY, PROXY, PROXY] as const
const everywhere = (decision: ForwardDecision): readonly ForwardDecision[] =>
  Array(4).fill(decision)
const VIRTUAL = { VIRTUAL_READ: PROXIED, INSIGHTS_CALL: PROXIED } as const
const DECISIONS: Record<
  WriteMode,
  Record<keyof typeof StatementClass, readonly ForwardDecision[]>
> = {
  both: {
    READ: [ORIGIN, ORIGIN, TARGET, TARGET],
    SYSTEM_READ: [ORIGIN, TARGET, ORIGIN, TARGET],
    TRACE_READ: [ORIGIN, ORIGIN, TARGET, TARGET],
    ...VIRTUAL,
    USE: everywhere(BOTH),
    WRITE: everywhere(BOTH),
    OTHER: everywhere(BOTH),
  },
  // Reads stay where the primary is: that it is the same cluster is the switch's business.
  origin_only: {
    READ: [ORIGIN, ORIGIN, TARGET, TARGET],
    SYSTEM_READ: everywhere(ORIGIN),
    TRACE_READ: everywhere(ORIGIN),
    ...VIRTUAL,
    USE: everywhere(ORIGIN_ONLY),
    WRITE: everywhere(ORIGIN_ONLY),
    OTHER: everywhere(ORIGIN_ONLY),
  },
  target_only: {
    READ: [ORIGIN, ORIGIN, TARGET, TARGET],
    SYSTEM_READ: everywhere(TARGET),
    TRACE_READ: everywhere(TARGET),
    ...VIRTUAL,
    USE: everywhere(TARGET_ONLY),
    WRITE: everywhere(TARGET_ONLY),
    OTHER: everywhere(TARGET_ONLY),
  },
}

const MODES: readonly WriteMode[] = ['both', 'origin_only', 'target_only']
const CLASS_NAMES = Object.keys(StatementClass) as (keyof typeof StatementClass)[]

const cases = MODES.flatMap((writeMode) =>
  CLASS_NAMES.flatMap((name) =>
    CLUSTERS.flatMap((primary) =>
      CLUSTERS.map((systemQueries) => ({
        writeMode,
        name,
        primary,
        systemQueries,
        expected: DECISIONS[writeMode][name][primary * 2 + systemQueries],
      })),
    ),
  ),
)

describe('where a request goes', () => {
  test.each(cases)(
    'writes $writeMode, $name, primary $primary, system queries $systemQueries: $expected',
    ({ name, expected, ...routing }) => {
      for (const revision of [0, 7]) {
        const state = { revision, readMode: 'PRIMARY_ONLY', ...routing } as const
        expect(forwardDecision(StatementClass[name], state)).toBe(expected)
      }
    },
  )

  test.each([
    ['both', BOTH, null],
    ['origin_only', ORIGIN_ONLY, Cluster.ORIGIN],
    ['target_only', TARGET_ONLY, Cluster.TARGET],
  ] as const)('writes %s: batches and PREPARE too', (writeMode, decision, only) => {
    const routing = {
      revision: 0,
      primary: Cluster.ORIGIN,
      readMode: 'PRIMARY_ONLY',
      writeMode,
      systemQueries: Cluster.ORIGIN,
    } as const
    expect(writeDecision(routing)).toBe(decision)
    expect(onlyCluster(routing)).toBe(only)
  })

  test('a class that nobody has thought of yet goes to both: a write must not be lost', () => {
    const routing = {
      revision: 0,
      primary: Cluster.TARGET,
      readMode: 'PRIMARY_ONLY',
      writeMode: 'both',
      systemQueries: Cluster.TARGET,
    } as const
    expect(forwardDecision(99 as StatementClass, routing)).toBe(BOTH)
  })
})
