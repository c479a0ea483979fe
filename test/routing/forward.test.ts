import { describe, expect, test } from 'vitest'
import { CLUSTERS, Cluster } from '../../src/routing/cluster.ts'
import { ForwardDecision, forwardDecision } from '../../src/routing/forward.ts'
import { StatementClass } from '../../src/statement/classify.ts'

const { ORIGIN, TARGET, BOTH, PROXY } = ForwardDecision

/** Per class: the decision by [primary, system queries], as [O/O, O/T, T/O, T/T]. */
const DECISIONS: Record<keyof typeof StatementClass, readonly ForwardDecision[]> = {
  READ: [ORIGIN, ORIGIN, TARGET, TARGET],
  SYSTEM_READ: [ORIGIN, TARGET, ORIGIN, TARGET],
  VIRTUAL_READ: [PROXY, PROXY, PROXY, PROXY],
  INSIGHTS_CALL: [PROXY, PROXY, PROXY, PROXY],
  USE: [BOTH, BOTH, BOTH, BOTH],
  WRITE: [BOTH, BOTH, BOTH, BOTH],
  OTHER: [BOTH, BOTH, BOTH, BOTH],
}

const cases = Object.entries(DECISIONS).flatMap(([name, decisions]) =>
  CLUSTERS.flatMap((primary) =>
    CLUSTERS.map((systemQueries) => ({
      name,
      primary,
      systemQueries,
      expected: decisions[primary * 2 + systemQueries],
    })),
  ),
)

describe('where a request goes', () => {
  test('is decided for every class', () => {
    expect(Object.keys(DECISIONS).sort()).toEqual(Object.keys(StatementClass).sort())
  })

  test.each(cases)('$name, primary $primary, system queries $systemQueries: $expected', (given) => {
    const statementClass = StatementClass[given.name as keyof typeof StatementClass]
    const { primary, systemQueries } = given
    for (const revision of [0, 7]) {
      const routing = {
        revision,
        primary,
        readMode: 'PRIMARY_ONLY',
        writeMode: 'both',
        systemQueries,
      } as const
      expect(forwardDecision(statementClass, routing)).toBe(given.expected)
    }
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
