import { describe, expect, test } from 'vitest'
import {
  CLUSTERS,
  Cluster,
  clusterLabel,
  clusterName,
  otherCluster,
} from '../../src/routing/cluster.ts'
import { Answer, returnedCluster } from '../../src/routing/outcome.ts'

const { SUCCESS, ERROR } = Answer
const { ORIGIN, TARGET } = Cluster

/** request-path §5.1: origin's answer, target's answer, whose success counts, whose answer is returned. */
const RETURNED = [
  [SUCCESS, SUCCESS, ORIGIN, ORIGIN],
  [SUCCESS, SUCCESS, TARGET, TARGET],
  [SUCCESS, ERROR, ORIGIN, TARGET],
  [SUCCESS, ERROR, TARGET, TARGET],
  [ERROR, SUCCESS, ORIGIN, ORIGIN],
  [ERROR, SUCCESS, TARGET, ORIGIN],
  [ERROR, ERROR, ORIGIN, ORIGIN],
  [ERROR, ERROR, TARGET, ORIGIN],
] as const

describe('the answer that the client gets', () => {
  test.each(RETURNED)(
    'origin %i, target %i, preferred %i: %i',
    (origin, target, preferred, expected) => {
      expect(returnedCluster(origin, target, preferred)).toBe(expected)
    },
  )

  test('is never a success while the other cluster failed', () => {
    for (const [origin, target, preferred] of RETURNED) {
      const returned = returnedCluster(origin, target, preferred)
      const isError = (returned === ORIGIN ? origin : target) === ERROR
      expect(isError).toBe(origin === ERROR || target === ERROR)
    }
  })
})

describe('the clusters', () => {
  test('have a name for people, one for metrics, and each other', () => {
    expect(CLUSTERS.map(clusterName)).toEqual(['Origin', 'Target'])
    expect(CLUSTERS.map(clusterLabel)).toEqual(['origin', 'target'])
    expect(CLUSTERS.map(otherCluster)).toEqual([TARGET, ORIGIN])
  })
})
