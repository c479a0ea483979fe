/** What a bench has found: figures per round, their spread, and the table that people read. */
import { arch, cpus, loadavg, platform, release } from 'node:os'
import type { LoadResult } from './load.ts'
import { type BenchOptions, describeOptions } from './options.ts'
import { formatNumber, formatSpread, formatTable, type Spread, spreadOf } from './statistics.ts'

export type Round = {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly answersPerRead: number
  /** User and system time of the proxy's process group per answered request. */
  readonly cpuUsPerRequest: number | null
  /** To the forwarder's figure of the same round. */
  readonly cpuRatioToForwarder: number | null
  readonly rssMib: number | null
}

export type VariantReport = {
  readonly name: string
  readonly rounds: readonly Round[]
  readonly summary: Readonly<Record<keyof Round, Spread | null>>
}

export type Report = {
  readonly options: BenchOptions
  readonly machine: Readonly<Record<string, unknown>>
  readonly variants: readonly VariantReport[]
}

const MIB = 1024 * 1024

export const cpuUsPerRequest = ({ cpuMs, requests }: LoadResult): number | null =>
  cpuMs === null ? null : (cpuMs * 1000) / requests

/** `forwarder` is the forwarder's result of the same round. */
export const roundOf = (result: LoadResult, forwarder: LoadResult | null): Round => {
  const cpu = cpuUsPerRequest(result)
  const floor = forwarder === null ? null : cpuUsPerRequest(forwarder)
  return {
    requestsPerSecond: (result.requests * 1000) / result.durationMs,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    answersPerRead: result.answersPerRead,
    cpuUsPerRequest: cpu,
    cpuRatioToForwarder: cpu === null || !floor ? null : cpu / floor,
    rssMib: result.rssBytes === null ? null : result.rssBytes / MIB,
  }
}

export const variantReport = (name: string, rounds: readonly Round[]): VariantReport => {
  const spread = (key: keyof Round): Spread | null =>
    spreadOf(rounds.map((round) => round[key]).filter((value) => value !== null))
  return {
    name,
    rounds,
    summary: {
      requestsPerSecond: spread('requestsPerSecond'),
      p50Ms: spread('p50Ms'),
      p99Ms: spread('p99Ms'),
      answersPerRead: spread('answersPerRead'),
      cpuUsPerRequest: spread('cpuUsPerRequest'),
      cpuRatioToForwarder: spread('cpuRatioToForwarder'),
      rssMib: spread('rssMib'),
    },
  }
}

export const describeMachine = (isPinned: boolean): Record<string, unknown> => ({
  platform: `${platform()} ${release()} ${arch()}`,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  node: process.version,
  loadAverage: loadavg(),
  isPinned,
})

const COLUMNS: readonly (readonly [title: string, key: keyof Round])[] = [
  ['requests/s', 'requestsPerSecond'],
  ['p50 ms', 'p50Ms'],
  ['p99 ms', 'p99Ms'],
  ['CPU µs/request', 'cpuUsPerRequest'],
  ['× forwarder', 'cpuRatioToForwarder'],
  ['answers/read', 'answersPerRead'],
  ['RSS MiB', 'rssMib'],
]

export const formatReport = ({ options, machine, variants }: Report): string => {
  const table = formatTable([
    ['', ...COLUMNS.map(([title]) => title)],
    ...variants.map(({ name, summary }) => [
      name,
      ...COLUMNS.map(([, key]) => formatSpread(summary[key], formatNumber)),
    ]),
  ])
  const pinning =
    machine['isPinned'] === true && options.pin !== null
      ? `proxies on core ${options.pin.proxyCores}, load and clusters on ${options.pin.loadCores}`
      : 'not pinned'
  return [
    describeOptions(options),
    `${machine['cores']} cores, ${pinning}; Node.js ${machine['node']}; median [min–max] of the rounds`,
    '',
    table,
  ].join('\n')
}

/** Which limits of the command line the proxy misses. */
export const missedLimits = ({ options, variants }: Report): string[] => {
  const summary = variants.find(({ name }) => name === 'proxy')?.summary
  const limits = [
    ['--max-cpu', options.cpuMaxUs, summary?.cpuUsPerRequest],
    ['--max-ratio', options.ratioMax, summary?.cpuRatioToForwarder],
  ] as const
  return limits.flatMap(([name, limit, spread]) => {
    if (limit === null) return []
    if (!spread) return [`${name} ${limit}: the proxy (or the forwarder) was not measured`]
    const { median } = spread
    return median <= limit ? [] : [`${name} ${limit}: the proxy has ${formatNumber(median)}`]
  })
}
