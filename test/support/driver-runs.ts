/** Runs the suite's programs and tells what their cases came to, in a form that can be compared. */
import { runCommand } from '../../clusters/command.ts'
import type { DriverProgram } from './driver-programs.ts'

/** What a program is told about one run of the suite. */
export type SuiteRun = {
  readonly label: string
  /** Path of the suite's file: the types and the cases. */
  readonly suite: string
  readonly host: string
  readonly port: number
  readonly version: number
  readonly compression: string | null
  readonly keyspace: string
}

export type CaseResult = {
  readonly run: string
  readonly case: string
  /** False where a value came back other than it had been written. */
  readonly ok: boolean
  /** One per step of the case; where `ok` is false, what was wrong. */
  readonly outcome: readonly unknown[] | string
  readonly ms: number
}

const LINES_SHOWN = 40

/** Results by the label of their run. Rejects if the program did not come to its end. */
export const runSuite = async (
  { program, args, environment }: DriverProgram,
  runs: readonly SuiteRun[],
): Promise<ReadonlyMap<string, readonly CaseResult[]>> => {
  const finished = await runCommand(program, [...args, JSON.stringify(runs)], {
    environment: { ...process.env, ...environment },
  })
  const results = new Map<string, CaseResult[]>(runs.map(({ label }) => [label, []]))
  const other: string[] = []
  for (const line of finished?.lines ?? []) {
    if (!line.startsWith('{"run":')) other.push(line)
    else {
      const result: CaseResult = JSON.parse(line)
      results.get(result.run)?.push(result)
    }
  }
  if (finished?.exitCode !== 0) {
    const said = other.slice(-LINES_SHOWN).join('\n')
    throw new Error(`${program} ended with ${finished?.exitCode ?? 'nothing'}:\n${said}`)
  }
  return results
}

/** Cassandra counts the tables of all runs, which are more with each. */
const COUNTS_TABLES = /^Cluster already contains \d+ (tables|keyspaces)/

const withoutTableCounts = (key: string, value: unknown): unknown =>
  key === 'warnings' && Array.isArray(value)
    ? value.filter((text) => !COUNTS_TABLES.test(String(text)))
    : value

/**
 * The parts of a result that are compared one by one, by their place: `topology[0].cluster` is what
 * the first step of the case `topology` told as `cluster`. The run's own keyspace is called `ks`, and
 * the address that it connected to `node`.
 */
export const comparableParts = (result: CaseResult, run: SuiteRun): Map<string, unknown> => {
  const parts = new Map<string, unknown>()
  const add = (place: string, given: unknown, key = ''): void => {
    const value = withoutTableCounts(key, given)
    if (key === 'warnings' && Array.isArray(value) && value.length === 0) return
    const text = JSON.stringify(value)
      .replaceAll(run.keyspace, 'ks')
      .replaceAll(`${run.host}:${run.port}`, 'node')
    parts.set(place, JSON.parse(text))
  }
  if (typeof result.outcome === 'string') add(result.case, result.outcome)
  else {
    result.outcome.forEach((step, index) => {
      const place = `${result.case}[${index}]`
      if (step === null || typeof step !== 'object' || Array.isArray(step)) add(place, step)
      else for (const [key, value] of Object.entries(step)) add(`${place}.${key}`, value, key)
    })
  }
  return parts
}

export type RunResults = { readonly run: SuiteRun; readonly results: readonly CaseResult[] }

type Unequal = { readonly where: string; readonly direct: unknown; readonly through: unknown }

/** All that is not equal, by place. */
export const differences = (direct: RunResults, through: RunResults): Unequal[] => {
  const partsOf = ({ run, results }: RunResults) =>
    new Map(results.flatMap((result) => [...comparableParts(result, run)]))
  const expected = partsOf(direct)
  const found = partsOf(through)
  return [...new Set([...expected.keys(), ...found.keys()])]
    .map((where) => ({ where, direct: expected.get(where), through: found.get(where) }))
    .filter((part) => JSON.stringify(part.direct) !== JSON.stringify(part.through))
}
