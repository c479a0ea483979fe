/** The HTTP server for health and metrics of one instance: it answers from the first moment on. */
import { createHealthApp } from '../admin/health-routes.ts'
import { type HttpServer, listenHttp } from '../admin/http-server.ts'
import type { CertificateStore } from '../certificates/certificate-store.ts'
import type { Clock } from '../clock.ts'
import { bindAddress } from '../config/address.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import type { CertificateSeries } from '../metrics/certificate-series.ts'
import type { ControlSeries } from '../metrics/control-series.ts'
import { MetricsExposition } from '../metrics/exposition.ts'
import { boundsInSeconds } from '../metrics/histogram.ts'
import type { PlaneSeries } from '../metrics/plane-series.ts'
import type { ReloadSeries } from '../metrics/reload-series.ts'
import { formatEndpoint } from '../net/dialer.ts'
import type { ProxyInstance } from './instance.ts'
import { readinessDetailsNow, readinessNow } from './readiness-view.ts'
import { serverCredentials } from './server-credentials.ts'

/**
 * Resolves with the server, or null where its address cannot be bound: that is said loudly, and clients
 * are served all the same (operations §1.3, metrics_address), unless `metrics_bind_required`.
 */
export const serveHealth = async (
  settings: Settings,
  version: string,
  instance: ProxyInstance,
  others: {
    readonly control: (planes: readonly PlaneSeries[]) => ControlSeries
    readonly reloads: () => ReloadSeries
  },
  tools: {
    readonly clock: Clock
    readonly log: Logger
    readonly serverStore: CertificateStore
  },
): Promise<HttpServer | null> => {
  const { clock, serverStore } = tools
  const log = tools.log.child({ component: 'http' })
  const exposition = new MetricsExposition({
    prefix: settings.metricsPrefix,
    version,
    originBoundsSeconds: boundsInSeconds(settings.metricsOriginLatencyBucketsMs),
    targetBoundsSeconds: boundsInSeconds(settings.metricsTargetLatencyBucketsMs),
    asyncBoundsSeconds: boundsInSeconds(settings.metricsAsyncReadLatencyBucketsMs),
    honoursTargetBuckets: settings.metricsHonourTargetBuckets,
    series: () => instance.series() ?? Promise.resolve([]),
    stuckThreads: () => instance.stuckThreads,
    ...others,
    certificates: () => bothSeries(instance.certificates, serverStore.series()),
    nodes: () => instance.nodeLabels,
    tracing: () => instance.tracing,
    controlConnections: () => instance.controlConnections,
    clock,
  })
  const views = {
    readiness: () => readinessNow(instance),
    readinessDetails: () => readinessDetailsNow(instance, clock),
    metrics: () => {
      if (!settings.metricsEnabled) return 'disabled' as const
      const isServing = instance.phase === 'running' || instance.phase === 'draining'
      return isServing ? exposition.exposition() : ('starting' as const)
    },
  }
  const address = bindAddress(settings.metricsAddress)
  const purpose = 'health and metrics (metrics_address, metrics_port)'
  try {
    const where = { address, port: settings.metricsPort, purpose }
    const credentials = () => serverCredentials(serverStore, 'metrics')
    const server = await listenHttp(createHealthApp(views, log, credentials), where, clock)
    const scheme = credentials().tls === null ? 'http' : 'https'
    log.info(
      { code: 'HTTP_LISTENING', address, port: server.port },
      `health and metrics on ${scheme}://${formatEndpoint(address, server.port)}`,
    )
    return server
  } catch (error) {
    const text = messageOf(error)
    const effect = settings.metricsBindRequired
      ? 'the process ends (metrics_bind_required)'
      : 'the proxy runs on without health and metrics'
    log.error(
      { code: 'HTTP_BIND_FAILED' },
      `${text}: ${effect}; free the port or change the settings, then restart`,
    )
    return null
  }
}

/** Of the legs and of the HTTP servers. */
const bothSeries = (legs: CertificateSeries, servers: CertificateSeries): CertificateSeries => ({
  expiries: [...legs.expiries, ...servers.expiries],
  crls: [...legs.crls, ...servers.crls],
  legs: [...legs.legs, ...servers.legs],
})
