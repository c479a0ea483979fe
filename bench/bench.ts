/**
 * A whole bench: starts the two fake clusters, the load generator and the variants, measures the
 * variants in turns, and checks after each run that the clusters were sent what they should have been.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf } from '../src/message-of.ts'
import { type Child, canPin } from './child.ts'
import type { ClusterReply, ClusterRequest } from './fake-cluster.ts'
import type { NodeCounts } from './fake-node.ts'
import type { LoadJob, LoadResult } from './load.ts'
import type { BenchOptions } from './options.ts'
import { describeMachine, type Report, roundOf, variantReport } from './report.ts'
import { ORIGIN_MARK, TARGET_MARK } from './statements.ts'
import {
  directVariant,
  type Ports,
  startForwarder,
  startModule,
  startPeer,
  startProxy,
  type Variant,
} from './variants.ts'

/** How long a dying process has to say why before the load's error is reported without it. */
const LAST_WORDS_MS = 500

type Cores = { readonly proxy: string | null; readonly load: string | null }

type Stage = {
  readonly origin: Child
  readonly target: Child
  readonly load: Child
  readonly variants: readonly Variant[]
}

type Counts = { readonly origin: NodeCounts; readonly target: NodeCounts }

/** Runs everything and stops all processes again, whatever happens. `log` is told of the progress. */
export const runBench = async (
  options: BenchOptions,
  log: (line: string) => void,
): Promise<Report> => {
  const isPinned = options.pin !== null && canPin()
  if (options.pin !== null && !isPinned) log('taskset is not there: nothing is pinned')
  const cores: Cores = isPinned
    ? { proxy: options.pin.proxyCores, load: options.pin.loadCores }
    : { proxy: null, load: null }
  const children: Child[] = []
  const keep = (child: Child): Child => {
    children.push(child)
    return child
  }
  try {
    const machine = describeMachine(isPinned)
    const stage = await setUp(options, cores, keep)
    return { options, machine, variants: await measure(options, stage, log) }
  } finally {
    await Promise.all(children.map((child) => child.stop()))
  }
}

const setUp = async (
  options: BenchOptions,
  cores: Cores,
  keep: (child: Child) => Child,
): Promise<Stage> => {
  const cluster = async (name: string, mark: string): Promise<{ child: Child; port: number }> => {
    const child = keep(startModule(`fake ${name}`, './fake-cluster.ts', cores.load))
    const { valueLength } = options
    const request: ClusterRequest = {
      kind: 'start',
      options: { clusterName: `bench ${name}`, mark, valueLength, port: 0 },
    }
    const { port } = (await child.request(request)) as ClusterReply
    return { child, port }
  }
  const origin = await cluster('origin', ORIGIN_MARK)
  const target = await cluster('target', TARGET_MARK)
  const load = keep(startModule('load generator', './load-process.ts', cores.load))
  const ports: Ports = { originPort: origin.port, targetPort: target.port }
  const variants: Variant[] = []
  const isWanted = (name: 'direct' | 'forwarder' | 'proxy'): boolean =>
    !options.without.includes(name)
  if (isWanted('direct')) variants.push(directVariant(ports))
  if (isWanted('forwarder')) variants.push(await startForwarder(ports, cores.proxy, keep))
  if (isWanted('proxy')) variants.push(await startProxy(options, ports, cores.proxy, keep))
  for (const peer of options.peers) {
    variants.push(await startPeer(peer, options, ports, cores.proxy, keep))
  }
  if (variants.length === 0) throw new Error('nothing is left to measure: see --without')
  return { origin: origin.child, target: target.child, load, variants }
}

const measure = async (
  options: BenchOptions,
  stage: Stage,
  log: (line: string) => void,
): Promise<Report['variants']> => {
  // A first run of each that does not count: code is compiled, connections to the clusters open.
  for (const variant of stage.variants) {
    log(`warming up ${variant.name}`)
    await runOnce(options, stage, variant)
  }
  const results = stage.variants.map((): LoadResult[] => [])
  for (let round = 0; round < options.rounds; round++) {
    log(`round ${round + 1} of ${options.rounds}`)
    for (const [at, variant] of stage.variants.entries()) {
      results[at]!.push(await runOnce(options, stage, variant))
    }
  }
  const forwarderAt = stage.variants.findIndex(({ name }) => name === 'forwarder')
  const floor = results[forwarderAt]
  return stage.variants.map(({ name }, at) =>
    variantReport(
      name,
      results[at]!.map((result, round) => roundOf(result, floor?.[round] ?? null)),
    ),
  )
}

const runOnce = async (
  options: BenchOptions,
  stage: Stage,
  variant: Variant,
): Promise<LoadResult> => {
  const job: LoadJob = {
    port: variant.port,
    version: options.version,
    mix: options.mix,
    valueLength: options.valueLength,
    connections: options.connections,
    inFlight: options.inFlight,
    ratePerSecond: options.ratePerSecond,
    warmUpMs: options.warmUpSeconds * 1000,
    durationMs: options.seconds * 1000,
    groupId: variant.child?.groupId ?? null,
  }
  try {
    const before = await readCounts(stage)
    const { load, origin, target } = stage
    const result = (await Promise.race([
      load.request(job),
      load.death,
      origin.death,
      target.death,
    ])) as LoadResult
    const faults = findFaults(variant, result, before, await readCounts(stage))
    if (faults.length > 0) throw new Error(faults.join('; '))
    return result
  } catch (error) {
    // A lost connection is mostly the process's death, and only that tells the cause.
    const silence = delay(LAST_WORDS_MS)
    await Promise.race([variant.child?.death ?? silence, silence])
    const text = messageOf(error)
    throw new Error(`${variant.name}: ${text}${variant.child?.shownOutput() ?? ''}`)
  }
}

const readCounts = async ({ origin, target }: Stage): Promise<Counts> => {
  const ask = async (child: Child): Promise<NodeCounts> => {
    const request: ClusterRequest = { kind: 'counts' }
    return ((await child.request(request)) as ClusterReply).counts
  }
  return { origin: await ask(origin), target: await ask(target) }
}

/**
 * What the clusters were sent that does not fit what the load was told. An acknowledged write that did
 * not reach both clusters is the worst that a proxy can do, however fast it was.
 */
export const findFaults = (
  variant: Pick<Variant, 'target'>,
  { reads, writes }: Pick<LoadResult, 'reads' | 'writes'>,
  before: Counts,
  after: Counts,
): string[] => {
  const faults: string[] = []
  const compare = (cluster: 'origin' | 'target', readsDue: number, writesDue: number): void => {
    const sent = (key: keyof NodeCounts): number => after[cluster][key] - before[cluster][key]
    const writesSent = sent('writes') + sent('batches')
    if (sent('reads') !== readsDue) {
      faults.push(`${cluster} was sent ${sent('reads')} reads instead of ${readsDue}`)
    }
    if (writesSent !== writesDue) {
      faults.push(`${cluster} was sent ${writesSent} writes instead of ${writesDue}`)
    }
    if (sent('unprepared') > 0) {
      faults.push(`${cluster} was sent ${sent('unprepared')} requests with ids it does not know`)
    }
  }
  compare('origin', reads, writes)
  if (variant.target !== 'anything') compare('target', 0, variant.target === 'copied' ? writes : 0)
  return faults
}
