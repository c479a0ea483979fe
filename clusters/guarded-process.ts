/**
 * Child processes that never outlive us, however we end: a watcher in the child's own process group
 * notices that our end of a pipe is gone. Used for the JVMs and Maven, and by the demo for the proxy.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { Socket } from 'node:net'

/**
 * The shell becomes the program (so our child's id is the program's), after it has left a watcher
 * behind that reads the pipe, descriptor 3. A line says that the program is over; the end of the pipe says that we
 * are, and then the program, what it started and its remains go too. `$1` is the directory to remove
 * then, or empty; `$2…` the command.
 */
const WATCHDOG = `
remains=$1; shift
program=$$
(
  trap '' HUP INT TERM
  read -r line <&3 && exit
  kill -s KILL "$program"
  kill -s TERM -- "-$program"
  sleep 1
  test -n "$remains" && rm -rf "$remains"
  kill -s KILL -- "-$program"
) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
`

const WATCHER_PIPE = 3

/** What the shell exits with when there is no such program. */
export const EXIT_NO_PROGRAM = 127

export interface GuardedCommand {
  readonly program: string
  readonly args: readonly string[]
  /** Where it runs. */
  readonly directory?: string
  /** A directory that is removed if we die before the program ends. */
  readonly remains?: string
  readonly environment?: NodeJS.ProcessEnv
}

/**
 * Starts it, with what it prints going to pipes or to an open file. It leads a process group of its
 * own, so a Ctrl-C at the terminal reaches us alone, and we end things in their order.
 */
export const spawnGuarded = (command: GuardedCommand, output: 'pipe' | number): ChildProcess => {
  const { program, args, directory, remains, environment } = command
  const child = spawn('sh', ['-c', WATCHDOG, 'sh', remains ?? '', program, ...args], {
    ...(directory === undefined ? {} : { cwd: directory }),
    env: environment ?? process.env,
    // Not standard input: Node closes that before it tells us of the exit.
    stdio: ['ignore', output, output, 'pipe'],
    detached: true,
  })
  const pipe = child.stdio[WATCHER_PIPE]
  if (pipe instanceof Socket) {
    // A watcher that is gone cannot read the line, and need not.
    pipe.on('error', () => undefined)
    child.once('exit', () => pipe.end('over\n'))
  }
  return child
}

/** Signals it and whatever it started; nothing happens once it has ended. */
export const signalGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  const { pid, exitCode, signalCode } = child
  if (pid === undefined || exitCode !== null || signalCode !== null) return
  try {
    process.kill(-pid, signal)
  } catch {
    // It ended a moment ago, and we have not been told yet.
  }
}

const LOG_TAIL_LINES = 30

export interface GuardedOptions extends GuardedCommand {
  readonly directory: string
  /** What it prints is appended here. */
  readonly logPath: string
}

/** A long-lived program whose output goes to a file. */
export class GuardedProcess {
  /** Resolves when it and its watcher have ended, for whatever reason; never rejects. */
  readonly exited: Promise<void>
  readonly #child: ChildProcess
  #isOver = false

  constructor(options: GuardedOptions) {
    const log = openSync(options.logPath, 'a')
    try {
      this.#child = spawnGuarded(options, log)
    } finally {
      closeSync(log)
    }
    this.exited = new Promise((resolve) => {
      const end = () => {
        this.#isOver = true
        resolve()
      }
      this.#child.once('close', end)
      this.#child.once('error', end)
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** How it ended, e.g. `exit code 3`; meaningful once it has. */
  get ending(): string {
    const { exitCode, signalCode } = this.#child
    return signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`
  }

  /** Asks it to end, and makes it after `timeoutMs`. */
  async terminate(timeoutMs: number): Promise<void> {
    signalGroup(this.#child, 'SIGTERM')
    const force = setTimeout(() => signalGroup(this.#child, 'SIGKILL'), timeoutMs)
    await this.exited
    clearTimeout(force)
  }

  async kill(): Promise<void> {
    signalGroup(this.#child, 'SIGKILL')
    await this.exited
  }
}

export const logTail = async (path: string): Promise<string> => {
  const log = await readFile(path, 'utf8').catch(() => '(it wrote no log)')
  return log.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')
}
