/** The only data plane, in the control plane's own thread: nothing to post, nobody else to ask. */
import type { MismatchSample } from '../async/mismatch-samples.ts'
import type { ClientGroups, ClientSelection } from '../control/report.ts'
import type { PlaneSeries } from '../metrics/plane-series.ts'
import type { TlsMaterial } from '../net/tls.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import type { ClientEvent } from '../session/client-events.ts'
import type { Snapshot } from '../session/context.ts'
import type { Quiescence } from '../session/quiescence.ts'
import { DataPlane } from './data-plane.ts'
import type { DataPlaneOptions, DataPlaneSettings } from './data-plane-options.ts'
import type { Plane } from './plane.ts'
import type { NodeStatus } from './plane-messages.ts'

export class LocalPlane implements Plane {
  /** Nobody could ask then. */
  readonly isStuck = false
  readonly #plane: DataPlane

  constructor(options: Omit<DataPlaneOptions, 'askOthers'>) {
    this.#plane = new DataPlane({ ...options, askOthers: () => Promise.resolve(null) })
  }

  listen(port: number): Promise<number> {
    return this.#plane.listen(port, false)
  }

  setSnapshot(snapshot: Snapshot): void {
    this.#plane.setSnapshot(snapshot)
  }

  setRouting(routing: RoutingState): Promise<Quiescence> {
    return this.#plane.setRouting(routing)
  }

  setSettings(settings: DataPlaneSettings): void {
    this.#plane.setSettings(settings)
  }

  setLogLevels(): void {
    // The thread's logger is the control plane's too, which has changed it.
  }

  setNodeStatus(status: NodeStatus): void {
    this.#plane.setNodeStatus(status)
  }

  setTls(tls: TlsMaterial): void {
    this.#plane.setTls(tls)
  }

  announce(event: ClientEvent): void {
    this.#plane.announce(event)
  }

  series(): Promise<PlaneSeries> {
    return Promise.resolve(this.#plane.series())
  }

  mismatches(): Promise<readonly MismatchSample[]> {
    return Promise.resolve(this.#plane.mismatches())
  }

  clients(): Promise<ClientGroups> {
    return Promise.resolve(this.#plane.clients())
  }

  closeClients(selection: ClientSelection): Promise<number> {
    return Promise.resolve(this.#plane.closeClients(selection))
  }

  drain(announceMs: number): Promise<void> {
    return this.#plane.drain(announceMs)
  }

  close(): Promise<void> {
    this.#plane.close()
    return Promise.resolve()
  }
}
