/** The exporter of spans, by the settings. */
import { hostname } from 'node:os'
import type { Clock } from '../clock.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import { OtlpExporter } from '../tracing/otlp-exporter.ts'
import { readVersion } from '../version.ts'

/** Null where spans are not exported. */
export const makeExporter = (
  settings: Settings,
  tools: { readonly clock: Clock; readonly log: Logger },
): OtlpExporter | null => {
  const { tracingOtlpEndpoint, proxyTopologyAddresses, proxyTopologyIndex } = settings
  if (tracingOtlpEndpoint === '') return null
  // As drivers know it; a single instance without an address of its own is told by its machine.
  const instance = proxyTopologyAddresses[proxyTopologyIndex] ?? hostname()
  return new OtlpExporter({
    ...tools,
    endpoint: tracingOtlpEndpoint,
    resource: { version: readVersion(), instance },
  })
}
