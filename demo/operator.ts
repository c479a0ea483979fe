/**
 * The operator: types `zdm` commands, each a process of its own as in a shell. They are shown as one would
 * type them and asked for JSON, so that the demo need not read what is written for people.
 */
import { join } from 'node:path'
import { runCommand } from '../clusters/command.ts'
import type { ChangeReport, Plan } from '../src/control/report.ts'
import type { Place } from './place.ts'
import { withoutSettings } from './proxy-process.ts'

const ZDM_MAIN = join(import.meta.dirname, '..', 'bin', 'zdm.js')

/** Where `zdm` finds the admin API of one instance; the others are found through it. */
export const adminVariables = ({ addresses, adminPort }: Place): Record<string, string> => ({
  ZDM_ADMIN_ADDRESS: addresses[0]!,
  ZDM_ADMIN_PORT: String(adminPort),
})

const quote = (word: string): string => (/^[\w./:-]+$/.test(word) ? word : `'${word}'`)

/** As typed in a shell. */
export const commandLine = (args: readonly string[]): string =>
  ['zdm', ...args.map(quote)].join(' ')

export interface Answer<T> {
  readonly exitCode: number | null
  readonly content: T
  /** By performance.now(): Enter, and the prompt again. */
  readonly startedAtMs: number
  readonly endedAtMs: number
}

export class Operator {
  readonly #environment: NodeJS.ProcessEnv
  readonly #signal: AbortSignal

  constructor(place: Place, signal: AbortSignal) {
    this.#environment = { ...withoutSettings(process.env), ...adminVariables(place) }
    this.#signal = signal
  }

  change(args: readonly string[]): Promise<Answer<ChangeReport>> {
    return this.run<ChangeReport>(args)
  }

  plan(args: readonly string[]): Promise<Answer<Plan>> {
    return this.run<Plan>(args)
  }

  /** Rejects where it answered no JSON: then it has said why not. */
  async run<T>(args: readonly string[]): Promise<Answer<T>> {
    const startedAtMs = performance.now()
    const options = { environment: this.#environment, signal: this.#signal }
    const ran = await runCommand(process.execPath, [ZDM_MAIN, '--json', ...args], options)
    const endedAtMs = performance.now()
    const text = ran?.lines.join('\n') ?? ''
    try {
      const content: T = JSON.parse(text)
      return { exitCode: ran?.exitCode ?? null, content, startedAtMs, endedAtMs }
    } catch (cause) {
      throw new Error(`${commandLine(args)} failed (${ran?.exitCode}): ${text}`, { cause })
    }
  }
}
