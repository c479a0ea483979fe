/**
 * The bench's processes: started in a process group of their own, pinned to cores where the platform
 * can, asked over the IPC channel (its own modules) or watched from outside (proxies), and ended with
 * all that they started.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { spawnGuarded } from '../clusters/guarded-process.ts'
import { messageOf } from '../src/message-of.ts'

/** How long a process may take to end by itself. */
const STOP_TIMEOUT_MS = 5_000
/** What is kept of a process's output, to be shown when it fails. */
const OUTPUT_LENGTH_MAX = 4_000

export type ChildOptions = {
  /** For messages. */
  readonly name: string
  readonly command: readonly [string, ...string[]]
  /** A list of cores as `taskset -c` takes it; null for any. */
  readonly cores: string | null
  readonly environment: Readonly<Record<string, string>>
  readonly hasChannel: boolean
}

type Reply = { readonly id: number; readonly value?: unknown; readonly error?: string }
type PendingReply = { resolve(value: unknown): void; reject(error: Error): void }

const living = new Set<Child>()

/** For the last moment of this process, when nothing can be awaited any more. */
export const killAllChildren = (): void => {
  for (const child of living) child.signal('SIGKILL')
}

/** Whether processes can be bound to cores here. */
export const canPin = (): boolean => spawnSync('taskset', ['--version']).status === 0

export class Child {
  readonly name: string
  /** Rejects when the process ends before `stop`; never resolves. */
  readonly death: Promise<never>
  readonly #process: ChildProcess
  readonly #pending = new Map<number, PendingReply>()
  readonly #closed: Promise<void>
  #nextId = 1
  #output = ''
  #isStopping = false

  constructor(options: ChildOptions) {
    this.name = options.name
    this.#process = start(options)
    living.add(this)
    this.#process.stdout?.on('data', (chunk: Buffer) => this.#keepOutput(chunk))
    this.#process.stderr?.on('data', (chunk: Buffer) => this.#keepOutput(chunk))
    this.#process.on('message', (message) => this.#onReply(message as Reply))
    let markClosed = (): void => {}
    this.#closed = new Promise((resolve) => {
      markClosed = resolve
    })
    this.death = new Promise((_resolve, reject) => {
      const end = (reason: string): void => {
        markClosed()
        const error = new Error(`${this.name} ${reason}${this.shownOutput()}`)
        for (const pending of this.#pending.values()) pending.reject(error)
        this.#pending.clear()
        if (!this.#isStopping) reject(error)
      }
      this.#process.once('error', (error) => end(`cannot be started: ${error.message}`))
      this.#process.once('close', (code, signal) => end(`has ended (${signal ?? code})`))
    })
    // Whoever waits for it gets it; nobody has to.
    this.death.catch(() => {})
  }

  /** The id of its process group, which is that of its first process too. */
  get groupId(): number {
    return this.#process.pid ?? -1
  }

  /** Sends a request to the module's `serveRequests` and resolves with what it returns. */
  request(body: unknown): Promise<unknown> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      this.#process.send({ id, body }, (error) => {
        if (error === null) return
        this.#pending.delete(id)
        reject(new Error(`${this.name} cannot be asked: ${error.message}${this.shownOutput()}`))
      })
    })
  }

  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#process.pid === undefined) return
    try {
      process.kill(-this.#process.pid, signal)
    } catch {
      // The group has ended already.
    }
  }

  /** Ends the whole group, by force when it does not end by itself in time. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.signal('SIGTERM')
    const timeout = new AbortController()
    const late = delay(STOP_TIMEOUT_MS, null, { signal: timeout.signal }).catch(() => null)
    await Promise.race([this.#closed, late])
    timeout.abort()
    // Also after an orderly end: what the first process started may have stayed.
    this.signal('SIGKILL')
    living.delete(this)
  }

  #keepOutput(chunk: Buffer): void {
    this.#output = (this.#output + chunk.toString('utf8')).slice(-OUTPUT_LENGTH_MAX)
  }

  /** What it printed last, to be put behind an error. */
  shownOutput(): string {
    const output = this.#output.trim()
    return output === '' ? '' : `; its last output:\n${output}`
  }

  #onReply({ id, value, error }: Reply): void {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (error === undefined) pending?.resolve(value)
    else pending?.reject(new Error(error))
  }
}

/** With a channel it ends when we do; without one a watcher sees to that. */
const start = ({ command, cores, environment, hasChannel }: ChildOptions): ChildProcess => {
  const [program, ...args] =
    cores === null ? command : (['taskset', '-c', cores, ...command] as const)
  const env = { ...process.env, ...environment }
  if (!hasChannel) return spawnGuarded({ program, args, environment: env }, 'pipe')
  return spawn(program, args, { detached: true, env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
}

/** The other end of `Child.request`: answers over the channel, and ends when the channel does. */
export const serveRequests = (answer: (body: unknown) => Promise<unknown>): void => {
  process.on('message', (message) => {
    const { id, body } = message as { readonly id: number; readonly body: unknown }
    answer(body).then(
      (value) => process.send?.({ id, value }),
      (error: unknown) => process.send?.({ id, error: messageOf(error) }),
    )
  })
  process.on('disconnect', () => process.exit(0))
}
