/**
 * Runs one of the sources, which are TypeScript that Node runs as it is from version 22.18 on; an older
 * one has the Node that came with the package do the same and becomes its shadow. What Node has compiled is kept: the next
 * start takes a third of the CPU, and a rollback waits for `zdm` to start.
 */
import { spawn } from 'node:child_process'
import { readFileSync, realpathSync } from 'node:fs'
import module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** For a Node to start, on a busy machine; `zdm` never handles SIGHUP and is ended by it then. */
const HANGUP_WAIT_MS = 50
const HANGUP_WAITS_MAX = 40

/** Of this user alone: code comes from there. A directory that cannot be written makes no difference but time. */
const compiledCode = () =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'zdm-proxy', 'compiled')

/** That of the package `node`. */
const bundledNode = () =>
  realpathSync(module.createRequire(import.meta.url).resolve('node/bin/node'))

/** Whether it has got so far that SIGHUP does not end it; where the system does not tell: yes. */
const handlesHangup = ({ pid }) => {
  try {
    // Signal 1 is the lowest bit of what a process catches.
    return /^SigCgt:\s*[0-9a-f]*[13579bdf]$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return true
  }
}

const passHangup = (child, waits = HANGUP_WAITS_MAX) => {
  if (waits === 0 || handlesHangup(child)) child.kill('SIGHUP')
  else setTimeout(passHangup, HANGUP_WAIT_MS, child, waits - 1)
}

/** `source` is relative to the package's root. */
export const launch = async (source) => {
  const main = fileURLToPath(new URL(`../${source}`, import.meta.url))
  // For threads and children too, which read the environment.
  process.env.NODE_COMPILE_CACHE ||= compiledCode()
  // A Node that was told not to run TypeScript must say so itself, not start itself for ever.
  if (process.features.typescript || process.execPath === bundledNode()) {
    module.enableCompileCache(process.env.NODE_COMPILE_CACHE)
    process.argv[1] = main
    await import(main)
    return
  }
  const node = bundledNode()
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  process.on('SIGHUP', () => passHangup(child))
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
