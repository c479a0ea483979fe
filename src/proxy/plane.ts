/** A data plane as the control plane sees it, whether it lives in this thread or in one of its own. */
import type { MismatchSample } from '../async/mismatch-samples.ts'
import type { ClientGroups, ClientSelection } from '../control/report.ts'
import type { LogLevels } from '../log-levels.ts'
import type { PlaneSeries } from '../metrics/plane-series.ts'
import type { TlsMaterial } from '../net/tls.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { ClientEvent } from '../session/client-events.ts'
import type { Snapshot } from '../session/context.ts'
import type { Quiescence } from '../session/quiescence.ts'
import type { DataPlaneSettings } from './data-plane-options.ts'
import type { NodeStatus } from './plane-messages.ts'

export interface Plane {
  /** Whether it owes an answer for too long. */
  readonly isStuck: boolean
  /** Accepts clients; resolves with the port, rejects when it cannot be bound. */
  listen(port: number): Promise<number>
  setSnapshot(snapshot: Snapshot): void
  /** Resolves when what was routed before is answered. */
  setRouting(routing: RoutingState): Promise<Quiescence>
  /** What can change while it runs is taken over; the rest of the settings is as it was. */
  setSettings(settings: DataPlaneSettings): void
  setLogLevels(levels: LogLevels): void
  setNodeStatus(status: NodeStatus): void
  setTls(tls: TlsMaterial): void
  /** Passes an event on to the clients that have registered for its type. */
  announce(event: ClientEvent): void
  /** Its counters as they are now. */
  series(): Promise<PlaneSeries>
  /** The last reads that the clusters have answered differently, oldest first. */
  mismatches(): Promise<readonly MismatchSample[]>
  /** Who its clients are. */
  clients(): Promise<ClientGroups>
  /** Lets these go, what they have asked is answered first; resolves with how many they are. */
  closeClients(selection: ClientSelection): Promise<number>
  /**
   * Stops accepting and finishes what is in flight; resolves when the last client is gone. Those who are there
   * are served as before for `announceMs`.
   */
  drain(announceMs: number): Promise<void>
  /** Closes everything now. */
  close(): Promise<void>
}
