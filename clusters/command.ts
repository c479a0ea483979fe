/** Runs a short-lived program to its end: what it printed, or why it did not run. */
import { createInterface } from 'node:readline'
import {
  EXIT_NO_PROGRAM,
  type GuardedCommand,
  signalGroup,
  spawnGuarded,
} from './guarded-process.ts'

/** How long a program may take to end after it was asked to. */
const END_TIMEOUT_MS = 5000

export interface CommandResult {
  readonly exitCode: number | null
  /** Standard output and standard error, line by line as they came. */
  readonly lines: readonly string[]
}

export interface CommandOptions extends Omit<GuardedCommand, 'program' | 'args'> {
  /** Aborting it ends the program; the run rejects, once the program is gone, with the reason. */
  readonly signal?: AbortSignal
  readonly onLine?: (line: string) => void
}

/** Resolves to undefined if there is no such program. */
export const runCommand = async (
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult | undefined> => {
  const { signal, onLine, ...guarded } = options
  signal?.throwIfAborted()
  const lines: string[] = []
  const child = spawnGuarded({ program, args, ...guarded }, 'pipe')
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      onLine?.(line)
    })
  }
  let force: NodeJS.Timeout | undefined
  const end = () => {
    signalGroup(child, 'SIGTERM')
    force = setTimeout(() => signalGroup(child, 'SIGKILL'), END_TIMEOUT_MS)
  }
  signal?.addEventListener('abort', end)
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    signal?.throwIfAborted()
    return exitCode === EXIT_NO_PROGRAM ? undefined : { exitCode, lines }
  } finally {
    clearTimeout(force)
    signal?.removeEventListener('abort', end)
  }
}
