/**
 * `npm run clusters`: starts Origin and Target and keeps them until Ctrl-C, for whoever develops against
 * real clusters: prints their addresses and the environment that lets tests use them instead of their own pair.
 */
import { once } from 'node:events'
import { ClusterError, type RunningCluster } from './cluster.ts'
import { StartProgress } from './progress.ts'
import { startPair } from './start.ts'
import { StatusLine, standardError } from './status-line.ts'

const describe = (cluster: RunningCluster): string =>
  `${cluster.contactPoints[0]?.address}:${cluster.contactPoints[0]?.port}`

const USAGE = `Usage: npm run clusters

Starts two Cassandra clusters, Origin and Target, prints where they are, and stops them at Ctrl-C.
ZDM_CLUSTERS=docker or jvm chooses what they run on. No options.`

const main = async (): Promise<number> => {
  const [first] = process.argv.slice(2)
  if (first !== undefined) {
    const isHelp = first === '--help' || first === '-h'
    console.error(isHelp ? USAGE : `There is no option ${first}.\n\n${USAGE}`)
    return isHelp ? 0 : 2
  }
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => interrupted.abort())
  }
  const { signal } = interrupted
  const progress = new StartProgress(new StatusLine(standardError()))
  let lost: ClusterError | undefined
  const onNodeLost = (error: ClusterError): void => {
    lost = error
    interrupted.abort()
  }
  try {
    const { origin, target } = await startPair({ onProgress: progress.update, signal, onNodeLost })
    progress.end()
    console.error('Both clusters are ready. Ctrl-C stops them and removes their data.')
    console.log(`export ZDM_TEST_ORIGIN=${describe(origin)}`)
    console.log(`export ZDM_TEST_TARGET=${describe(target)}`)
    // Nothing but the clusters' processes keeps us alive, and an engine's containers would not.
    const keepAlive = setInterval(() => undefined, 60_000)
    if (!signal.aborted) await once(signal, 'abort')
    clearInterval(keepAlive)
    await Promise.all([origin.stop(), target.stop()])
    if (lost !== undefined) throw lost
    return 0
  } catch (error) {
    progress.end()
    if (signal.aborted && lost === undefined) return 130
    console.error(error instanceof ClusterError ? `${error.code}: ${error.message}` : error)
    return 1
  }
}

process.exit(await main())
