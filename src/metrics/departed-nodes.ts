/**
 * Which nodes' series are shown: those of nodes that have left their cluster vanish a while later, so that
 * clusters whose nodes change addresses do not grow the exposition without end. The counters themselves stay where
 * they are counted: a node that comes back goes on from them, and sums over all nodes never fall.
 */
import type { ClusterKey, NodeSeries, PlaneSeries } from './plane-series.ts'

/** Long enough for the last increments to be scraped and seen in the rates of alerts. */
export const SHOWN_AFTER_LEAVING_MS = 15 * 60_000

/** The labels of all nodes that each cluster has now. */
export type NodeLabels = Readonly<Record<ClusterKey, ReadonlySet<string>>>

export class DepartedNodes {
  /** When a node was first missed. */
  readonly #missedAtMs = new Map<string, number>()

  /** What to show of the planes at a monotonic time. */
  shown(
    planes: readonly PlaneSeries[],
    current: NodeLabels,
    nowMs: number,
  ): readonly PlaneSeries[] {
    const isShown = ({ cluster, node }: NodeSeries): boolean => {
      const key = `${cluster} ${node}`
      if (current[cluster].has(node)) {
        this.#missedAtMs.delete(key)
        return true
      }
      const missedAtMs = this.#missedAtMs.get(key) ?? nowMs
      this.#missedAtMs.set(key, missedAtMs)
      return nowMs - missedAtMs < SHOWN_AFTER_LEAVING_MS
    }
    return planes.map((plane) => ({
      ...plane,
      nodes: plane.nodes.filter(isShown),
      asyncReads: { ...plane.asyncReads, nodes: plane.asyncReads.nodes.filter(isShown) },
    }))
  }
}
