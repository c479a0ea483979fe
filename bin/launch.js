/**
 * Runs one of the sources, which are TypeScript that Node runs as it is from version 22.18 on; an older
 * one starts the Node that came with the package and becomes its shadow.
 */
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** `source` is relative to the package's root. */
export const launch = async (source) => {
  const main = fileURLToPath(new URL(`../${source}`, import.meta.url))
  if (process.features.typescript) {
    process.argv[1] = main
    await import(main)
    return
  }
  const node = createRequire(import.meta.url).resolve('node/bin/node')
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => child.kill(signal))
  }
  child.on('error', (error) => {
    console.error(
      `Cannot start ${node}: ${error.message}. Install Node 24 or later, or run npm ci.`,
    )
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
