/**
 * The demo: two real clusters, three proxies between them, a driver at work, a migration from its first phase
 * to its last, and the proof that both clusters hold the same. This file is its course from beginning to end;
 * whatever way it ends, everything that was started is stopped in reverse order.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { styleText } from 'node:util'
import type cassandra from 'cassandra-driver'
import { ClusterError, type RunningCluster } from '../clusters/cluster.ts'
import { StartProgress } from '../clusters/progress.ts'
import { type ClusterPair, startPair } from '../clusters/start.ts'
import { StatusLine, standardOutput } from '../clusters/status-line.ts'
import { unlessAborted } from '../src/unless-aborted.ts'
import { parseArguments, USAGE } from './arguments.ts'
import { type Comparison, compareRows } from './comparison.ts'
import { exportLine, renderAddresses } from './keep.ts'
import { LiveReport } from './live-line.ts'
import { latenciesDelta, scrapeLatencies } from './metrics-scrape.ts'
import { Operator } from './operator.ts'
import type { Place } from './place.ts'
import { ProxyError, type RunningProxies, startProxies } from './proxy-process.ts'
import { isGoodStep, renderChanged, renderStep, WALK_HEADER } from './render-walk.ts'
import { createClient, readAllRows, readReleaseVersion } from './stored-rows.ts'
import { type Findings, isPass, renderFindings } from './verdict.ts'
import { STEPS, walk } from './walk.ts'
import { addWork, createSchema, type Workload } from './workload.ts'

const EXIT_PASS = 0
const EXIT_FAIL = 1
const EXIT_USAGE = 2
const EXIT_INTERRUPTED = 130

/** How long clients may take to say good-bye, and news of the proxy's end to arrive. */
const PATIENCE_MS = 1000

interface Run {
  readonly seconds: number
  readonly keep: boolean
  readonly line: StatusLine
  /** Aborted by Ctrl-C, or by the end of something that the demo cannot do without. */
  readonly stopper: AbortController
  /** Undone in reverse order, whatever happens. */
  readonly cleanup: AsyncDisposableStack
}

type Style = Parameters<typeof styleText>[0]

const styled = ({ line }: Run, style: Style, text: string): string =>
  line.output.hasColours ? styleText(style, text, { validateStream: false }) : text

const say = (run: Run, mark: string, text: string): void => {
  run.line.print(`${styled(run, 'green', mark)} ${text}`)
}

/** The driver does not know our signal: what it still does when the demo stops is let go. */
const unlessStopped = <T>({ stopper }: Run, work: Promise<T>): Promise<T> =>
  unlessAborted(work, stopper.signal)

const contactPoint = (cluster: RunningCluster) => cluster.contactPoints[0]!

const startClusters = async (run: Run): Promise<ClusterPair> => {
  const { line, stopper, cleanup } = run
  const progress = new StartProgress(line)
  const onNodeLost = (error: ClusterError): void => stopper.abort(error)
  const options = { onProgress: progress.update, signal: stopper.signal, onNodeLost }
  const pair = await startPair(options).finally(progress.end)
  cleanup.defer(async () => {
    await Promise.all([pair.origin.stop(), pair.target.stop()])
  })
  return pair
}

const startProxiesBetween = async (run: Run, pair: ClusterPair): Promise<RunningProxies> => {
  const { line, stopper, cleanup } = run
  const directory = await mkdtemp(join(tmpdir(), 'zdm-demo-'))
  cleanup.defer(() => rm(directory, { recursive: true, force: true }))
  line.show('starting the proxies')
  const contactPoints = { origin: contactPoint(pair.origin), target: contactPoint(pair.target) }
  const proxies = await startProxies(contactPoints, directory, stopper.signal)
  line.clear()
  let areWanted = true
  cleanup.defer(async () => {
    areWanted = false
    await proxies.stop()
  })
  void proxies.exited.then(async () => {
    if (areWanted) stopper.abort(await proxies.describeEnd())
  })
  return proxies
}

const connect = async (
  run: Run,
  ...where: Parameters<typeof createClient>
): Promise<cassandra.Client> => {
  const client = createClient(...where)
  run.cleanup.defer(async () => {
    await Promise.race([client.shutdown(), delay(PATIENCE_MS, undefined, { ref: false })])
  })
  await unlessStopped(run, client.connect())
  return client
}

interface DirectClients {
  readonly origin: cassandra.Client
  readonly target: cassandra.Client
}

/** The walk with its lines and the live line; rejects if the demo is stopped meanwhile. */
const work = async (
  run: Run,
  proxies: RunningProxies,
  client: cassandra.Client,
  direct: DirectClients,
) => {
  const { line, seconds, stopper } = run
  const { metrics, place } = proxies
  const before = await scrapeLatencies(metrics)
  const startedAtMs = performance.now()
  const workloads: Workload[] = []
  const countRequests = () => workloads.reduce((sum, { done }) => sum + done.requests, 0)
  const report = await LiveReport.start({ line, metrics, countRequests })
  const walking = walk({
    operator: new Operator(place, stopper.signal),
    client,
    ...direct,
    stayMs: (seconds * 1000) / STEPS.length,
    signal: stopper.signal,
    onWork: (workload) => workloads.push(workload),
    onCommand: (text) => line.print(`${styled(run, 'dim', '$')} ${styled(run, 'bold', text)}`),
    onSaid: (text) => line.print(styled(run, 'dim', `  ${text}`)),
    onChanged: (...changed) => {
      for (const text of renderChanged(...changed)) line.print(styled(run, 'dim', `  ${text}`))
    },
    onStep: (step) => {
      const [mark, colour] = isGoodStep(step) ? (['✔', 'green'] as const) : (['✘', 'red'] as const)
      line.print(`${styled(run, colour, mark)} ${renderStep(step)}`)
    },
  })
  try {
    const steps = await unlessStopped(run, walking)
    const durationMs = performance.now() - startedAtMs
    const after = await scrapeLatencies(metrics)
    return { steps, durationMs, latencies: latenciesDelta(before, after) }
  } catch (error) {
    // If a proxy ended, that is what to tell, and it comes a little later than broken connections.
    if (!stopper.signal.aborted) await Promise.race([proxies.exited, delay(PATIENCE_MS)])
    throw proxies.isOver() ? await proxies.describeEnd() : error
  } finally {
    report.stop()
  }
}

const compareClusters = async (
  run: Run,
  clients: DirectClients,
  workloads: readonly Workload[],
): Promise<Comparison> => {
  run.line.show('reading every row of both clusters')
  const { signal } = run.stopper
  const reading = [
    readAllRows(clients.origin, signal),
    readAllRows(clients.target, signal),
  ] as const
  const [origin, target] = await unlessStopped(run, Promise.all(reading))
  run.line.clear()
  const written = new Map(workloads.flatMap((workload) => [...workload.written()]))
  return compareRows(origin, target, written)
}

const printVerdict = (run: Run, findings: Findings): void => {
  const { line } = run
  line.print()
  for (const text of renderFindings(findings)) line.print(text)
  line.print()
  line.print(
    isPass(findings)
      ? styled(run, ['bold', 'green'], 'PASS')
      : styled(run, ['bold', 'red'], 'FAIL'),
  )
}

const keepRunning = async (run: Run, pair: ClusterPair, proxies: RunningProxies): Promise<void> => {
  const addresses = {
    proxies,
    origin: contactPoint(pair.origin),
    target: contactPoint(pair.target),
    localDatacenter: pair.origin.localDatacenter,
  }
  run.line.print()
  for (const text of renderAddresses(addresses)) run.line.print(text)
  const { signal } = run.stopper
  // Containers of an engine would not keep us alive.
  const keepAlive = setInterval(() => undefined, 60_000)
  if (!signal.aborted) await once(signal, 'abort')
  clearInterval(keepAlive)
  const { reason } = signal
  if (reason instanceof ProxyError || reason instanceof ClusterError) throw reason
}

const perform = async (run: Run): Promise<number> => {
  const pair = await startClusters(run)
  const { localDatacenter } = pair.origin
  const [originAt, targetAt] = [contactPoint(pair.origin), contactPoint(pair.target)]
  const origin = await connect(run, originAt, localDatacenter)
  const target = await connect(run, targetAt, pair.target.localDatacenter)
  const originVersion = await readReleaseVersion(origin)
  const targetVersion = await readReleaseVersion(target)
  say(run, '✔', `Origin: Cassandra ${originVersion} on ${originAt.address}:${originAt.port}`)
  say(run, '✔', `Target: Cassandra ${targetVersion} on ${targetAt.address}:${targetAt.port}`)
  const proxies = await startProxiesBetween(run, pair)
  const { place } = proxies
  say(run, '✔', `Between them ${describePlace(place)}`)
  const throughProxies = await connect(run, proxies.contactPoint, localDatacenter)
  await unlessStopped(run, createSchema(throughProxies))
  say(
    run,
    '✔',
    'Keyspace and table created through the proxies; a marker of its own in each cluster',
  )
  say(run, '✔', `A driver works through the proxies from now on, for about ${run.seconds} s`)
  run.line.print()
  run.line.print(`${styled(run, 'dim', '$')} ${styled(run, 'bold', exportLine(place))}`)
  run.line.print(styled(run, 'dim', `  ${WALK_HEADER}`))
  const direct = { origin, target }
  const { steps, durationMs, latencies } = await work(run, proxies, throughProxies, direct)
  const workloads = steps.map(({ workload }) => workload)
  const comparison = await compareClusters(run, direct, workloads)
  const done = addWork(workloads.map((workload) => workload.done))
  const versions = { originVersion, targetVersion }
  const findings = { ...versions, durationMs, done, steps, comparison, latencies }
  printVerdict(run, findings)
  if (run.keep) await keepRunning(run, pair, proxies)
  return isPass(findings) ? EXIT_PASS : EXIT_FAIL
}

const describePlace = ({ addresses, port }: Place): string =>
  addresses.length === 1
    ? `one proxy on ${addresses[0]}:${port}: this machine has no other loopback addresses`
    : `${addresses.length} proxies on ${addresses.join(', ')}, port ${port}`

/** The second Ctrl-C does not wait: the guards of the processes end them. */
const stopOnSignals = (stopper: AbortController): (() => boolean) => {
  let isInterrupted = false
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (isInterrupted) process.exit(EXIT_INTERRUPTED)
      isInterrupted = true
      stopper.abort(new Error(name))
    })
  }
  // Whoever reads our output is gone (`npm run demo | head`).
  process.stdout.on('error', () => stopper.abort())
  return () => isInterrupted
}

const describeError = (error: unknown): string => {
  if (error instanceof ClusterError || error instanceof ProxyError) {
    return `${error.code}: ${error.message}`
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

const demo = async (seconds: number, keep: boolean): Promise<number> => {
  const stopper = new AbortController()
  const isInterrupted = stopOnSignals(stopper)
  const line = new StatusLine(standardOutput())
  let hasVerdict = false
  try {
    await using cleanup = new AsyncDisposableStack()
    const exitCode = await perform({ seconds, keep, line, stopper, cleanup })
    hasVerdict = true
    if (keep) line.print('Stopping everything.')
    return exitCode
  } catch (error) {
    line.clear()
    if (isInterrupted() && !hasVerdict) {
      line.print('Stopped; nothing is left running.')
      return EXIT_INTERRUPTED
    }
    // What ended the demo is the cause of whatever failed after it.
    const cause = stopper.signal.aborted ? stopper.signal.reason : error
    console.error(describeError(cause))
    return EXIT_FAIL
  }
}

const main = async (): Promise<number> => {
  const args = parseArguments(process.argv.slice(2))
  switch (args.kind) {
    case 'help':
      process.stdout.write(USAGE)
      return EXIT_PASS
    case 'wrong':
      process.stderr.write(`${args.message}\n\n${USAGE}`)
      return EXIT_USAGE
    case 'run':
      return await demo(args.seconds, args.keep)
  }
}

process.exit(await main())
