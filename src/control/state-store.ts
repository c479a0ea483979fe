/**
 * The state file: the migration's state over restarts (architecture §2.5). A file that says nothing sound
 * stops the start; an older state is never made up in its place.
 */
import { readFileSync } from 'node:fs'
import { messageOf } from '../message-of.ts'
import { type Fields, isFields, parseChecked, renderChecked } from './checked-file.ts'
import { commitFile, discardStaged, stageFile, writeFault } from './durable-file.ts'
import { ControlError, ControlErrorCode } from './errors.ts'
import { completed, type Memory, type MigrationState } from './migration-state.ts'
import { PHASES } from './phase.ts'
import { checkStateFileOwner } from './state-owner.ts'

export interface StateStore {
  /** Whether what is committed outlives a restart. */
  readonly isKept: boolean
  /** Makes a state ready. Throws a ControlError where it cannot be written. */
  stage(state: MigrationState): void
  /** What was staged is the state from now on. */
  commit(): void
  /** Forgets what was staged. */
  discard(): void
  /** Why nothing can be staged now, as far as can be told without writing; else null. Never rejects. */
  writeFault(): Promise<string | null>
}

/** Where no path is set. */
export const FORGETFUL_STORE: StateStore = {
  isKept: false,
  stage: () => undefined,
  commit: () => undefined,
  discard: () => undefined,
  writeFault: () => Promise.resolve(null),
}

/** The state's compact JSON is what its checksum is over. */
export const renderStateFile = (state: MigrationState): string => renderChecked('state', state)

const isOneOf = (value: unknown, words: readonly unknown[]): boolean => words.includes(value)

const isRouting = (value: unknown): boolean =>
  isFields(value) &&
  isOneOf(value['primary'], ['ORIGIN', 'TARGET']) &&
  isOneOf(value['readMode'], ['PRIMARY_ONLY', 'DUAL_ASYNC_ON_SECONDARY']) &&
  isOneOf(value['writeMode'], ['both', 'origin_only', 'target_only'])

const isTime = (value: unknown): boolean =>
  typeof value === 'string' && !Number.isNaN(Date.parse(value))

const isLack = (value: unknown): boolean =>
  isFields(value) && isTime(value['since']) && (value['until'] === null || isTime(value['until']))

/** What releases before 0.2 did not keep may be absent. */
const isMemory = (value: Fields): boolean =>
  [value['comparisonBegunAt'], value['cutOverAt']].every((time) => time == null || isTime(time)) &&
  [value['originLacks'], value['targetLacks']].every((lack) => lack == null || isLack(lack))

type Kept = Omit<MigrationState, keyof Memory> & Partial<Memory>

const isState = (value: unknown): value is Kept =>
  isFields(value) &&
  isMemory(value) &&
  Number.isSafeInteger(value['revision']) &&
  isOneOf(value['phase'], PHASES) &&
  isOneOf(value['rolledBackFrom'], [...PHASES, null]) &&
  isRouting(value['routing']) &&
  ['changedAt', 'changedBy', 'reason'].every((name) => typeof value[name] === 'string') &&
  (value['reconciledAt'] === null || typeof value['reconciledAt'] === 'string')

/** The state that a file's text holds, or what is wrong with it. */
export const parseStateFile = (text: string): MigrationState | { readonly fault: string } => {
  const state = parseChecked(text, 'state', isState)
  return 'fault' in state ? state : completed(state)
}

/** Null where there is no file. */
const textOf = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** What was committed last, or null where there is no file yet. Throws STATE_UNREADABLE. */
export const readStateFile = (path: string): MigrationState | null => {
  let text: string | null
  try {
    text = textOf(path)
  } catch (error) {
    throw unreadable(path, messageOf(error), error)
  }
  if (text === null) return null
  const state = parseStateFile(text)
  if ('fault' in state) throw unreadable(path, state.fault, null)
  return state
}

const unreadable = (path: string, why: string, cause: unknown): ControlError =>
  new ControlError(
    ControlErrorCode.STATE_UNREADABLE,
    `${path} (routing_state_path) cannot be used: ${why}. The proxy does not start, because it would have to guess which cluster serves reads. Restore the file from a backup or from another instance of the deployment (their files are alike); or move it away to start from the settings, after setting primary_cluster and read_mode to what the other instances show in "zdm status"`,
    { cause },
  )

export class FileStateStore implements StateStore {
  readonly isKept = true
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  stage(state: MigrationState): void {
    checkStateFileOwner(this.#path)
    this.#orThrow(() => {
      // Put in its own place first: a file that cannot be replaced is found out before anything has changed.
      const kept = textOf(this.#path)
      if (kept !== null) {
        stageFile(this.#path, kept)
        commitFile(this.#path)
      }
      stageFile(this.#path, renderStateFile(state))
    })
  }

  commit(): void {
    this.#orThrow(() => commitFile(this.#path))
  }

  discard(): void {
    discardStaged(this.#path)
  }

  async writeFault(): Promise<string | null> {
    const why = await writeFault(this.#path, 'replace')
    return why && notWritten(this.#path, why)
  }

  #orThrow(work: () => void): void {
    try {
      work()
    } catch (cause) {
      const why = messageOf(cause)
      const text = notWritten(this.#path, why)
      throw new ControlError(ControlErrorCode.STATE_NOT_WRITTEN, text, { cause })
    }
  }
}

const notWritten = (path: string, why: string): string =>
  `the state file ${path} (routing_state_path) cannot be written: ${why}`
