import { expect, test } from 'vitest'
import { DataPlaneMetrics } from '../../src/metrics/data-plane-metrics.ts'
import { DepartedNodes, SHOWN_AFTER_LEAVING_MS } from '../../src/metrics/departed-nodes.ts'

const BOUNDS = { originBoundsSeconds: [1], targetBoundsSeconds: [1], asyncBoundsSeconds: [1] }

const planeWith = (...nodes: readonly string[]) => {
  const metrics = new DataPlaneMetrics(BOUNDS)
  for (const node of nodes) {
    metrics.node('origin', node).failedConnections = 7
    metrics.asyncReads.node('origin', node)
  }
  metrics.node('target', 'a:1')
  return metrics.toSeries()
}

const labels = (...origin: readonly string[]) => ({
  origin: new Set(origin),
  target: new Set(['a:1']),
})

const shownOf = (planes: ReturnType<DepartedNodes['shown']>): string[] =>
  planes.flatMap(({ nodes, asyncReads }) => [
    ...nodes.map(({ cluster, node }) => `${cluster} ${node}`),
    ...asyncReads.nodes.map(({ node }) => `async ${node}`),
  ])

test('a node that has left is shown for a while, then not, and others stay', () => {
  const departed = new DepartedNodes()
  const planes = [planeWith('a:1', 'b:1'), planeWith('b:1')]
  const at = (nowMs: number, ...origin: readonly string[]) =>
    shownOf(departed.shown(planes, labels(...origin), nowMs))
  const everything = at(0, 'a:1', 'b:1')
  expect(everything).toHaveLength(8)
  expect(at(1000, 'a:1')).toEqual(everything)
  expect(at(1000 + SHOWN_AFTER_LEAVING_MS - 1, 'a:1')).toEqual(everything)
  const without = ['origin a:1', 'target a:1', 'async a:1', 'target a:1']
  expect(at(1000 + SHOWN_AFTER_LEAVING_MS, 'a:1')).toEqual(without)
})

test('one that comes back is shown at once, goes on from its counts, and may leave again', () => {
  const departed = new DepartedNodes()
  const planes = [planeWith('b:1')]
  departed.shown(planes, labels(), 0)
  const later = SHOWN_AFTER_LEAVING_MS
  expect(shownOf(departed.shown(planes, labels(), later))).toEqual(['target a:1'])
  const [back] = departed.shown(planes, labels('b:1'), later + 1)
  expect(back!.nodes[0]).toMatchObject({ node: 'b:1', failedConnections: 7 })
  expect(shownOf(departed.shown(planes, labels(), later + 2))).toContain('origin b:1')
  expect(shownOf(departed.shown(planes, labels(), 2 * later + 2))).toEqual(['target a:1'])
})
