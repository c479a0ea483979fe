/**
 * The demo: two real clusters, the proxy between them, a driver at work, and the proof that both
 * clusters hold the same. This file is its course from beginning to end; whatever way it ends,
 * everything that was started is stopped in reverse order.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { styleText } from 'node:util'
import type cassandra from 'cassandra-driver'
import { ClusterStartError, type RunningCluster } from '../clusters/cluster.ts'
import { StartProgress } from '../clusters/progress.ts'
import { type ClusterPair, startPair } from '../clusters/start.ts'
import { StatusLine, standardOutput } from '../clusters/status-line.ts'
import { unlessAborted } from '../clusters/unless-aborted.ts'
import { parseArguments, USAGE } from './arguments.ts'
import { type Comparison, compareRows } from './comparison.ts'
import { renderAddresses } from './keep.ts'
import { LiveReport } from './live-line.ts'
import { latenciesDelta, scrapeLatencies } from './metrics-scrape.ts'
import { ProxyError, type RunningProxy, startProxy } from './proxy-process.ts'
import { createClient, readAllRows, readReleaseVersion } from './stored-rows.ts'
import { type Findings, isPass, renderFindings } from './verdict.ts'
import { createSchema, Workload } from './workload.ts'

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

const say = ({ line }: Run, mark: string, text: string): void => {
  const { hasColours } = line.output
  line.print(`${hasColours ? styleText('green', mark, { validateStream: false }) : mark} ${text}`)
}

/** The driver does not know our signal: what it still does when the demo stops is let go. */
const unlessStopped = <T>({ stopper }: Run, work: Promise<T>): Promise<T> =>
  unlessAborted(work, stopper.signal)

const contactPoint = (cluster: RunningCluster) => cluster.contactPoints[0]!

const startClusters = async (run: Run): Promise<ClusterPair> => {
  const { line, stopper, cleanup } = run
  const progress = new StartProgress(line)
  const options = { onProgress: progress.update, signal: stopper.signal }
  const pair = await startPair(options).finally(progress.end)
  cleanup.defer(async () => {
    await Promise.all([pair.origin.stop(), pair.target.stop()])
  })
  return pair
}

const startProxyBetween = async (run: Run, pair: ClusterPair): Promise<RunningProxy> => {
  const { line, stopper, cleanup } = run
  const directory = await mkdtemp(join(tmpdir(), 'zdm-demo-'))
  cleanup.defer(() => rm(directory, { recursive: true, force: true }))
  line.show('starting the proxy')
  const contactPoints = { origin: contactPoint(pair.origin), target: contactPoint(pair.target) }
  const proxy = await startProxy(contactPoints, directory, stopper.signal)
  line.clear()
  let isWanted = true
  cleanup.defer(async () => {
    isWanted = false
    await proxy.stop()
  })
  void proxy.exited.then(async () => {
    if (isWanted) stopper.abort(await proxy.describeEnd())
  })
  return proxy
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

/** The workload for its time, with the live line; rejects if the demo is stopped meanwhile. */
const work = async (run: Run, proxy: RunningProxy, workload: Workload) => {
  const { line, seconds, stopper } = run
  const before = await scrapeLatencies(proxy.httpPort)
  const startedAtMs = performance.now()
  const countRequests = () => workload.done.requests
  const report = await LiveReport.start({ line, httpPort: proxy.httpPort, countRequests })
  try {
    const timeIsUp = AbortSignal.any([stopper.signal, AbortSignal.timeout(seconds * 1000)])
    await unlessStopped(run, workload.run(timeIsUp))
    const durationMs = performance.now() - startedAtMs
    const after = await scrapeLatencies(proxy.httpPort)
    return { durationMs, latencies: latenciesDelta(before, after) }
  } catch (error) {
    // If the proxy ended, that is what to tell, and it comes a little later than broken connections.
    if (!stopper.signal.aborted) await Promise.race([proxy.exited, delay(PATIENCE_MS)])
    throw proxy.isOver() ? await proxy.describeEnd() : error
  } finally {
    report.stop()
  }
}

interface DirectClients {
  readonly origin: cassandra.Client
  readonly target: cassandra.Client
}

const compareClusters = async (
  run: Run,
  clients: DirectClients,
  workload: Workload,
): Promise<Comparison> => {
  run.line.show('reading every row of both clusters')
  const { signal } = run.stopper
  const reading = [
    readAllRows(clients.origin, signal),
    readAllRows(clients.target, signal),
  ] as const
  const [origin, target] = await unlessStopped(run, Promise.all(reading))
  run.line.clear()
  return compareRows(origin, target, workload.written())
}

const printVerdict = ({ line }: Run, findings: Findings): void => {
  const { hasColours } = line.output
  line.print()
  for (const text of renderFindings(findings)) line.print(text)
  line.print()
  const [word, colour] = isPass(findings)
    ? (['PASS', 'green'] as const)
    : (['FAIL', 'red'] as const)
  line.print(hasColours ? styleText(['bold', colour], word, { validateStream: false }) : word)
}

const keepRunning = async (run: Run, pair: ClusterPair, proxy: RunningProxy): Promise<void> => {
  const addresses = {
    proxy,
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
  if (signal.reason instanceof ProxyError) throw signal.reason
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
  const proxy = await startProxyBetween(run, pair)
  say(run, '✔', `Proxy on ${proxy.address}:${proxy.port}, between the two`)
  const throughProxy = await connect(run, proxy, localDatacenter)
  await unlessStopped(run, createSchema(throughProxy))
  say(run, '✔', 'Keyspace and table created through the proxy')
  say(run, '✔', `A driver works through the proxy for ${run.seconds} s`)
  const workload = new Workload(throughProxy)
  const { durationMs, latencies } = await work(run, proxy, workload)
  const comparison = await compareClusters(run, { origin, target }, workload)
  const { done } = workload
  const findings = { originVersion, targetVersion, durationMs, done, comparison, latencies }
  printVerdict(run, findings)
  if (run.keep) await keepRunning(run, pair, proxy)
  return isPass(findings) ? EXIT_PASS : EXIT_FAIL
}

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
  if (error instanceof ClusterStartError || error instanceof ProxyError) {
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
