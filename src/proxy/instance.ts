/**
 * One running proxy instance: HTTP first, then start attempts until one succeeds, then service, then drain
 * (operations §2). It wires the control plane to the data planes and owns what ends with them.
 *
 *   starting ──both clusters reachable, port bound──► running ──stop──► draining ──► stopped
 *      └── attempt failed: wait, try again ──┘                             (deadline, or `abort`)
 */
import type { MismatchSample } from '../async/mismatch-samples.ts'
import { CertificateStore } from '../certificates/certificate-store.ts'
import type { Clock } from '../clock.ts'
import { type Change, changeOf } from '../config/live-settings.ts'
import type { Settings } from '../config/settings.ts'
import type { ClientGroups, ClientSelection } from '../control/report.ts'
import type { EnvelopeRewrite } from '../cql/envelope-decoder.ts'
import { EventType } from '../cql/messages/event.ts'
import type { Logger, RootLogger } from '../log.ts'
import { type LogLevel, type LogLevels, logLevelsOf } from '../log-levels.ts'
import { type CertificateSeries, NO_CERTIFICATES } from '../metrics/certificate-series.ts'
import type { ControlConnectionSeries } from '../metrics/control-connection-series.ts'
import type { NodeLabels } from '../metrics/departed-nodes.ts'
import type { PlaneSeries } from '../metrics/plane-series.ts'
import type { TracingSeries } from '../metrics/tracing-series.ts'
import { Dialer, formatEndpoint } from '../net/dialer.ts'
import { tryConnect } from '../net/reach.ts'
import { plural } from '../plural.ts'
import type { Reach } from '../reach/connection-settings.ts'
import { describeTls, legSources, openAstraContacts, tlsMaterial } from '../reach/tls-legs.ts'
import { Cluster } from '../routing/cluster.ts'
import type { RoutingState } from '../routing/routing-state.ts'
import { statusChange } from '../session/client-events.ts'
import type { Quiescence } from '../session/quiescence.ts'
import type { OtlpExporter } from '../tracing/otlp-exporter.ts'
import { unlessAborted } from '../unless-aborted.ts'
import { type ClusterHealth, ControlPlane, type ControlPlaneSettings } from './control-plane.ts'
import { DataPlanes } from './data-planes.ts'
import {
  controlPlaneSettings,
  dataPlaneSettings,
  initialRouting,
  liveControlSettings,
  planeThreads,
} from './derived-settings.ts'
import type { NodeStatus } from './plane-messages.ts'
import { SiblingWatch, siblingAt } from './sibling-watch.ts'
import { type GivenUp, StartAttempts, type StartTrouble } from './start-attempts.ts'
import { makeExporter } from './tracing.ts'

/** For another instance to take a connection. */
const LOOK_TIMEOUT_MS = 1_000
/** For the last spans, at the end. */
const EXPORT_WITHIN_MS = 2_000
/** Several threads can listen on one port here (SO_REUSEPORT with load balancing). */
const CAN_SHARE_PORT = process.platform === 'linux'

export type InstancePhase = 'starting' | 'running' | 'draining' | 'stopped'

export type InstanceTools = {
  readonly clock: Clock
  readonly log: RootLogger
  /** At which the data planes' threads begin. */
  readonly logLevel: LogLevel | LogLevels
  /** In [0, 1). */
  readonly random: () => number
  /** A data plane thread died: the process should end, so that whoever watches it starts it anew. */
  onFault(error: Error): void
  /** For tests: what a data plane in this thread (`data_plane_threads: 1`) does to every envelope. */
  readonly rewriteEnvelope?: EnvelopeRewrite
}

type Service = {
  readonly control: ControlPlane
  readonly planes: DataPlanes
  readonly port: number
  /** By which clients reach every instance. */
  readonly advertisedPort: number
  readonly topology: ControlPlaneSettings['topology']
  /** Null where this is the only instance, or clients are told nothing of the others. */
  readonly siblings: SiblingWatch | null
  readonly certificates: CertificateStore
  readonly reach: Reach
}

export class ProxyInstance {
  #settings: Settings
  /** Those that the last start attempt began with. */
  #attempted: Settings
  readonly #tools: InstanceTools
  readonly #log: Logger
  readonly #attempts: StartAttempts<Service>
  #phase: InstancePhase = 'starting'
  #service: Service | null = null
  #starting: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | null = null
  #routing: RoutingState
  #logLevel: LogLevel | LogLevels
  /** Null where spans are not exported. */
  readonly #exporter: OtlpExporter | null
  /** Whatever attempt it was that warned. */
  readonly #certificatesWarnedAtMs = new Map<string, number>()
  /** Of planes that are gone. */
  #lastSeries: PlaneSeries[] | null = null

  /** `routing`: what it begins with, where that is not what the settings say. */
  constructor(settings: Settings, tools: InstanceTools, routing = initialRouting(settings)) {
    this.#settings = settings
    this.#attempted = settings
    this.#tools = tools
    this.#log = tools.log.child({ component: 'instance' })
    this.#routing = routing
    this.#logLevel = tools.logLevel
    this.#exporter = makeExporter(settings, { clock: tools.clock, log: this.#log })
    const { clock, random } = tools
    const attemptTools = { clock, random, log: this.#log, settings: () => this.#settings }
    this.#attempts = new StartAttempts(attemptTools, (signal) => this.#attempt(signal))
  }

  get phase(): InstancePhase {
    return this.#phase
  }

  /** Why the start was given up; null where it was not. */
  get givenUp(): GivenUp | null {
    return this.#attempts.givenUp
  }

  /** Of the start; null where no attempt has failed. */
  get startTrouble(): StartTrouble | null {
    return this.#attempts.trouble
  }

  /** How many of its threads do not answer: their clients wait. */
  get stuckThreads(): number {
    return this.#service?.planes.stuckThreads ?? 0
  }

  /** In effect now. */
  get settings(): Settings {
    return this.#settings
  }

  get routing(): RoutingState {
    return this.#routing
  }

  /**
   * Every request that starts after this has resolved is routed by it. Resolves when the last one that was
   * in flight before has been answered, or the wait was given up.
   */
  async setRouting(routing: RoutingState): Promise<Quiescence> {
    this.#routing = routing
    this.#service?.control.setRouting(routing)
    const nothing = { inFlight: 0, waitedMs: 0, remaining: 0 }
    return (await this.#service?.planes.setRouting(routing)) ?? nothing
  }

  /** The port that clients connect to, or null while none is bound. */
  get port(): number | null {
    return this.#service?.port ?? null
  }

  /** Client connections and their limit; null before the first start attempt has succeeded. */
  get clients(): { readonly count: number; readonly max: number } | null {
    if (this.#service === null) return null
    return { count: this.#service.planes.clients, max: this.#settings.proxyMaxClientConnections }
  }

  /** A cluster's health; null before the first start attempt has succeeded. */
  health(cluster: Cluster): ClusterHealth | null {
    return this.#service?.control.health(cluster) ?? null
  }

  /** The counters of all data planes; null before the first start attempt has succeeded. */
  series(): Promise<PlaneSeries[]> | null {
    if (this.#lastSeries !== null) return Promise.resolve(this.#lastSeries)
    return this.#service?.planes.series() ?? null
  }

  /** The last reads that the clusters have answered differently, the newest first. */
  async mismatches(): Promise<readonly MismatchSample[]> {
    return (await this.#service?.planes.mismatches()) ?? []
  }

  /** Who its clients are. */
  async clientGroups(): Promise<ClientGroups> {
    return (await this.#service?.planes.clientGroups()) ?? { groups: [], unlistedConnections: 0 }
  }

  /** Lets these clients go: what they have asked is answered first. Resolves with how many they are. */
  async closeClients(selection: ClientSelection): Promise<number> {
    return (await this.#service?.planes.closeClients(selection)) ?? 0
  }

  /** The validity of what secures the legs; none before the first start attempt has succeeded. */
  get certificates(): CertificateSeries {
    return this.#service?.certificates.series() ?? NO_CERTIFICATES
  }

  /** Of both clusters; none before the first start attempt has succeeded. */
  get controlConnections(): readonly ControlConnectionSeries[] {
    return this.#service?.control.series() ?? []
  }

  /** The labels of the nodes that the clusters have; null before the first start attempt has succeeded. */
  get nodeLabels(): NodeLabels | null {
    const control = this.#service?.control
    if (control === undefined) return null
    return {
      origin: control.nodeLabels(Cluster.ORIGIN),
      target: control.nodeLabels(Cluster.TARGET),
    }
  }

  /** What became of spans; null where none are exported. */
  get tracing(): TracingSeries | null {
    return this.#exporter?.series() ?? null
  }

  /** Looks now whether files of certificates have changed, and not only at the next regular look. */
  async lookAtCertificates(): Promise<void> {
    await this.#service?.certificates.look()
  }

  /**
   * Takes over what can change while it runs, and tells what else has changed (config/live-settings.ts).
   * Clients and connections that are there stay as they are.
   */
  reconfigure(next: Settings): Change {
    const change = changeOf(this.#settings, next)
    this.#settings = change.settings
    if (change.applied.some((key) => key === 'log_level' || key === 'log_levels')) {
      this.setLogLevels(logLevelsOf(next.logLevel, next.logLevels))
    }
    if (this.#service !== null && change.applied.length > 0) this.#applySettings(this.#service)
    return change
  }

  #applySettings({ planes, control, reach }: Service): void {
    planes.setSettings(dataPlaneSettings(this.#settings))
    control.setSettings(liveControlSettings(this.#settings, reach))
  }

  /** In effect now. */
  get logLevels(): LogLevels {
    return this.#tools.log.levels
  }

  /** Of every thread, from now on; until a changed setting or a restart sets them again. */
  setLogLevels(levels: LogLevels): void {
    this.#logLevel = levels
    this.#tools.log.setLevels(levels)
    this.#service?.planes.setLogLevels(levels)
  }

  /**
   * Tries to start until it succeeds, `stop` is called, or the settings say to give up (start-attempts.ts).
   * Resolves with whether the proxy runs.
   */
  async start(): Promise<boolean> {
    this.#starting = this.#startService()
    await this.#starting
    return this.#service !== null
  }

  async #startService(): Promise<void> {
    this.#service = await this.#attempts.run()
    if (this.#service === null) return
    // What may have been changed while the planes were being started.
    if (this.#settings !== this.#attempted) this.#applySettings(this.#service)
    this.#service.control.setRouting(this.#routing)
    await this.#service.planes.setRouting(this.#routing)
    this.#phase = 'running'
    this.#announce(this.#service)
  }

  /**
   * Stops accepting, lets requests in flight end within shutdown_timeout_ms, closes everything.
   * Aborting `force` ends the wait at once. Safe to call while starting; called again, it is the same stop.
   */
  stop(force: AbortSignal): Promise<void> {
    this.#stopped ??= this.#stop(force)
    return this.#stopped
  }

  async #stop(force: AbortSignal): Promise<void> {
    this.#attempts.stop()
    const forced = new Promise<boolean>((resolve) => {
      if (force.aborted) resolve(false)
      force.addEventListener('abort', () => resolve(false), { once: true })
    })
    await Promise.race([this.#starting, forced])
    const log = this.#log
    const service = this.#service
    this.#phase = 'draining'
    if (service !== null) {
      log.info({ code: 'SHUTDOWN_STARTED' }, 'shutting down: requests in flight may end')
      const announceMs = this.#announceLeave(service)
      const timeoutMs = this.#settings.shutdownTimeoutMs
      const isDrained = await Promise.race([service.planes.drain(announceMs, timeoutMs), forced])
      if (!isDrained) {
        const why = force.aborted ? 'told again to stop' : `${timeoutMs} ms are over`
        log.warn({ code: 'SHUTDOWN_CUT_SHORT' }, `closing with requests in flight: ${why}`)
      }
      this.#lastSeries = await service.planes.series().catch(() => null)
      service.certificates.close()
      await service.planes.close()
      service.control.close()
      await this.#exporter?.close(EXPORT_WITHIN_MS)
    }
    this.#phase = 'stopped'
    log.info({ code: 'SHUTDOWN_COMPLETE' }, 'shut down')
  }

  async #attempt(signal: AbortSignal): Promise<Service> {
    const { log, clock } = this.#tools
    this.#attempted = this.#settings
    const certificates = new CertificateStore(
      legSources(this.#settings),
      { clock, log },
      this.#certificatesWarnedAtMs,
    )
    await certificates.load()
    const tls = tlsMaterial(this.#settings, certificates)
    const astra = await openAstraContacts(this.#settings, certificates, clock, signal)
    const reach = { tls, astra }
    const controlSettings = await unlessAborted(controlPlaneSettings(this.#settings, reach), signal)
    const settings = dataPlaneSettings(this.#settings)
    let planes: DataPlanes | null = null
    const control = this.#makeControlPlane(controlSettings, () => planes)
    const closeControl = (): void => control.close()
    signal.addEventListener('abort', closeControl)
    try {
      const snapshot = await control.open()
      planes = new DataPlanes({
        threads: planeThreads(this.#settings, CAN_SHARE_PORT),
        settings,
        snapshot,
        routing: this.#routing,
        tls,
        log,
        logLevel: this.#logLevel,
        clock,
        rewriteEnvelope: this.#tools.rewriteEnvelope,
        schemaAgreement: (questions) => control.schemaAgreement(questions),
        onTraced: (requests) => this.#exporter?.add(requests),
        onDeath: (error) => this.#tools.onFault(error),
      })
      const port = await planes.listen(this.#settings.proxyListenPort)
      const advertisedPort = this.#settings.proxyAdvertisedPort || port
      control.setClientPort(advertisedPort)
      signal.throwIfAborted()
      this.#followCertificates(certificates, control, planes)
      const { topology } = controlSettings
      const siblings = this.#watchSiblings(topology, advertisedPort, planes)
      return { control, planes, port, advertisedPort, topology, siblings, certificates, reach }
    } catch (error) {
      control.close()
      await planes?.close()
      throw error
    } finally {
      signal.removeEventListener('abort', closeControl)
    }
  }

  #makeControlPlane(settings: ControlPlaneSettings, planes: () => DataPlanes | null): ControlPlane {
    const listener = {
      onSnapshot: (snapshot: Parameters<DataPlanes['setSnapshot']>[0]): void =>
        planes()?.setSnapshot(snapshot),
      onNodeStatus: (status: NodeStatus): void => planes()?.setNodeStatus(status),
      onSchemaChange: (body: Uint8Array): void =>
        planes()?.announce({ type: EventType.SCHEMA_CHANGE, body }),
    }
    const port = this.#settings.proxyAdvertisedPort || this.#settings.proxyListenPort
    return new ControlPlane(settings, port, listener, this.#tools)
  }

  #watchSiblings(
    { addresses, index }: ControlPlaneSettings['topology'],
    port: number,
    planes: DataPlanes,
  ): SiblingWatch | null {
    if (!this.#settings.proxyTopologyEvents || addresses === null || addresses.length < 2)
      return null
    const { clock } = this.#tools
    const dialer = new Dialer(clock)
    const siblings = addresses.map((_, i) => siblingAt(addresses, i, port))
    return new SiblingWatch(siblings.toSpliced(index, 1), {
      clock,
      log: this.#log,
      look: ({ address }) => tryConnect(dialer, { address, port, timeoutMs: LOOK_TIMEOUT_MS }),
      tell: ({ addressBytes }, isUp) => planes.announce(statusChange(addressBytes, port, isUp)),
    })
  }

  /**
   * Tells clients that this instance leaves, where there are others to go to; the others see it for
   * themselves. Returns for how long clients are to be served as before.
   */
  #announceLeave({ siblings, topology, advertisedPort: port, planes }: Service): number {
    if (siblings === null || topology.addresses === null) return 0
    siblings.close()
    const { addressBytes } = siblingAt(topology.addresses, topology.index, port)
    planes.announce(statusChange(addressBytes, port, false))
    const { shutdownAnnounceMs, shutdownTimeoutMs } = this.#settings
    return Math.min(shutdownAnnounceMs, Math.floor(shutdownTimeoutMs / 2))
  }

  /** Renewed files are for the connections that come; nobody is dropped. */
  #followCertificates(store: CertificateStore, control: ControlPlane, planes: DataPlanes): void {
    store.watch(() => {
      const tls = tlsMaterial(this.#settings, store)
      control.setTls(tls)
      planes.setTls(tls)
    })
  }

  #announce({ planes, port, advertisedPort, topology, certificates }: Service): void {
    describeTls(this.#settings, certificates, this.#log)
    const { addresses, index, implicitAddress, numTokens } = topology
    const shown = addresses ?? [implicitAddress]
    this.#log.info(
      { code: 'TOPOLOGY_ADVERTISED', addresses: shown, port: advertisedPort, index, numTokens },
      `drivers see ${plural(shown.length, 'instance')}: ${shown.join(', ')}, port ${advertisedPort}; this is number ${index}, with ${numTokens} tokens`,
    )
    const address = dataPlaneSettings(this.#settings).listenAddress
    this.#log.info(
      { code: 'PROXY_READY', address, port, threads: planes.threads },
      `Proxy connected and ready to accept queries on ${formatEndpoint(address, port)}`,
    )
    // Both lines are what people and scripts wait for with the Go proxy (operations §9).
    this.#log.info(
      { code: 'PROXY_STARTED' },
      'Proxy started. Waiting for SIGINT/SIGTERM to shutdown.',
    )
  }
}
