/**
 * The migration from its first phase to its last and once back, while an application works without a pause.
 * Each step has customers of its own: they begin before its change, and when they have ended, both clusters
 * must hold what they wrote, while the next step's customers are at work already.
 *
 *   customers of step n    ────change n────stay────┤ compared
 *   customers of step n+1                        ├────change n+1────stay────┤
 */
import { setTimeout as delay } from 'node:timers/promises'
import type cassandra from 'cassandra-driver'
import { type ClusterWord, PHASE_TABLE, type Phase } from '../src/control/phase.ts'
import type { ChangeReport, CheckResult } from '../src/control/report.ts'
import { plural } from '../src/plural.ts'
import { type Comparison, compareRows } from './comparison.ts'
import { commandLine, type Operator } from './operator.ts'
import { ServedReads } from './served-reads.ts'
import { readRowsOf } from './stored-rows.ts'
import { CUSTOMERS, Workload, writeMarkers } from './workload.ts'

interface Step {
  readonly phase: Phase
  /** The command that leads there; none where the proxies begin. */
  readonly command: readonly string[] | null
  /** What must have been recorded before. */
  readonly before?: readonly string[]
  /** It is advanced only once a dry run passes: some checks need reads to have been mirrored. */
  readonly isPlanned?: true
}

const advance = (phase: Phase): Step => ({ phase, command: ['advance', phase] })

export const STEPS: readonly Step[] = [
  { phase: 'connect', command: null },
  advance('migrate'),
  {
    ...advance('dual-read'),
    before: ['reconciled', '--since', 'now', '--reason', 'both began empty'],
  },
  { ...advance('target-reads'), isPlanned: true },
  { phase: 'rolled-back', command: ['rollback', '--reason', 'to show the way back'] },
  advance('target-reads'),
  advance('cut-over'),
]

export interface StepResult {
  readonly phase: Phase
  /** The cluster that serves reads there. */
  readonly cluster: ClusterWord
  readonly workload: Workload
  /** Null where nothing had to be changed. */
  readonly change: Changed | null
  /** Of what this step's customers wrote. */
  readonly comparison: Comparison
}

export interface Changed {
  readonly report: ChangeReport
  /** From Enter to the prompt. */
  readonly tookMs: number
  /** The last read that the cluster which served before has answered; null: none after Enter. */
  readonly lastFromOld: Lapse | null
}

export interface Lapse {
  readonly sinceEnterMs: number
  /** Since the proxy that `zdm` has asked began with it: without the start of `zdm` itself. */
  readonly sinceAskedMs: number
}

const failuresIn = (checks: readonly CheckResult[]): string =>
  checks
    .filter(({ outcome }) => outcome === 'fail')
    .map(({ id, evidence }) => `${id}: ${evidence}`)
    .join('; ')

/** Warnings apart: they are no obstacle, and no success. */
const countOutcomes = (checks: readonly CheckResult[]): string => {
  const warned = checks.filter(({ outcome }) => outcome === 'warn').length
  const passed = checks.filter(({ outcome }) => outcome === 'pass').length
  return `${plural(passed, 'check')} passed, ${plural(warned, 'warning')}`
}

/** From the reports of other processes, whose clock is the wall's. */
const lapse = (report: ChangeReport, enterAtMs: number, atMs: number): Lapse => {
  const askedAtMs = Date.parse(report.askedAt) - performance.timeOrigin
  return { sinceEnterMs: atMs - enterAtMs, sinceAskedMs: Math.max(0, atMs - askedAtMs) }
}

export interface WalkOptions {
  readonly operator: Operator
  /** Through the proxies. */
  readonly client: cassandra.Client
  /** Past them. */
  readonly origin: cassandra.Client
  readonly target: cassandra.Client
  /** How long to stay in each phase at least. */
  readonly stayMs: number
  readonly signal: AbortSignal
  onWork(workload: Workload): void
  onCommand(line: string): void
  /** What a command has said, in short. */
  onSaid(text: string): void
  onChanged(change: Changed, from: ClusterWord, to: ClusterWord): void
  onStep(result: StepResult): void
}

/** However short the stay: what fewer reads say of a phase is little. */
const READS_MIN = 100
const READS_EVERY_MS = 20

/** Mirrored reads come by the hundred; if they do not, something is wrong. */
const PLAN_TIMEOUT_MS = 60_000
const PLAN_EVERY_MS = 500

class Walk {
  readonly #options: WalkOptions
  #cluster: ClusterWord = PHASE_TABLE[STEPS[0]!.phase].routing.primary

  constructor(options: WalkOptions) {
    this.#options = options
  }

  async run(): Promise<StepResult[]> {
    const results: StepResult[] = []
    const { onStep } = this.#options
    let current = await this.#begin(0)
    for (const [at, step] of STEPS.entries()) {
      const change = await this.#change(step, current.workload)
      await this.#stay(current)
      const isLast = at === STEPS.length - 1
      const next = isLast ? null : await this.#begin(at + 1)
      const result = await this.#end(step, change, current)
      results.push(result)
      onStep(result)
      if (next !== null) current = next
    }
    return results
  }

  async #begin(at: number): Promise<AtWork> {
    const { client, origin, target, signal, onWork } = this.#options
    const customers = Array.from({ length: CUSTOMERS }, (_, i) => at * CUSTOMERS + i + 1)
    await writeMarkers(origin, 'ORIGIN', customers)
    await writeMarkers(target, 'TARGET', customers)
    const workload = new Workload(client, customers, new ServedReads(this.#cluster))
    onWork(workload)
    const enough = new AbortController()
    return { workload, enough, ended: workload.run(AbortSignal.any([signal, enough.signal])) }
  }

  async #stay({ workload, ended }: AtWork): Promise<void> {
    const { stayMs, signal } = this.#options
    let isOver = false
    // It ends by itself where requests fail.
    void ended.then(() => {
      isOver = true
    })
    await delay(stayMs, undefined, { signal })
    while (!isOver && workload.served.settled < READS_MIN) {
      await delay(READS_EVERY_MS, undefined, { signal })
    }
  }

  async #end(step: Step, change: Changed | null, atWork: AtWork): Promise<StepResult> {
    const { origin, target, signal } = this.#options
    const { workload, enough, ended } = atWork
    enough.abort()
    await ended
    const { customers } = workload
    const [inOrigin, inTarget] = await Promise.all([
      readRowsOf(origin, customers, signal),
      readRowsOf(target, customers, signal),
    ])
    const comparison = compareRows(inOrigin, inTarget, workload.written())
    return { phase: step.phase, cluster: this.#cluster, workload, change, comparison }
  }

  async #change(step: Step, { served }: Workload): Promise<Changed | null> {
    const { operator, onCommand, onChanged } = this.#options
    const { command, phase, before, isPlanned } = step
    if (command === null) return null
    if (before !== undefined) await this.#record(before)
    if (isPlanned === true) await this.#untilPlanned(['plan', ...command.slice(0, 1)])
    const [from, to] = [this.#cluster, PHASE_TABLE[phase].routing.primary]
    onCommand(commandLine(command))
    served.changeBegins(to)
    const { content: report, startedAtMs, endedAtMs } = await operator.change(command)
    served.changeIsDone(endedAtMs)
    if (report.outcome !== 'done') {
      const why = [report.message, failuresIn(report.checks)].join('; ')
      throw new Error(`${commandLine(command)}: ${report.outcome}: ${why}`)
    }
    this.#cluster = to
    const { lastFromOldAtMs: lastAtMs } = served
    const lastFromOld = lastAtMs === null ? null : lapse(report, startedAtMs, lastAtMs)
    const change = { report, tookMs: endedAtMs - startedAtMs, lastFromOld }
    onChanged(change, from, to)
    return change
  }

  async #record(command: readonly string[]): Promise<void> {
    const { operator, onCommand, onSaid } = this.#options
    onCommand(commandLine(command))
    const { content } = await operator.run<{ instances: readonly string[] }>(command)
    onSaid(
      `recorded by ${plural(content.instances.length, 'instance')}: failed writes are counted anew`,
    )
  }

  async #untilPlanned(command: readonly string[]): Promise<void> {
    const { operator, signal, onCommand, onSaid } = this.#options
    onCommand(commandLine(command))
    const deadlineMs = performance.now() + PLAN_TIMEOUT_MS
    for (;;) {
      const { content: plan } = await operator.plan(command)
      if (plan.isAllowed) {
        onSaid(`${plan.from} → ${plan.to} ${plan.message}: ${countOutcomes(plan.checks)}`)
        return
      }
      if (performance.now() > deadlineMs) {
        throw new Error(failuresIn(plan.checks))
      }
      await delay(PLAN_EVERY_MS, undefined, { signal })
    }
  }
}

interface AtWork {
  readonly workload: Workload
  readonly enough: AbortController
  readonly ended: Promise<void>
}

/** Rejects where a change is refused, or the signal says so. */
export const walk = (options: WalkOptions): Promise<StepResult[]> => new Walk(options).run()
