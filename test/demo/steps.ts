/** Steps of a walk that nobody has walked. */
import type cassandra from 'cassandra-driver'
import { ServedReads } from '../../demo/served-reads.ts'
import { type Changed, type Lapse, STEPS, type StepResult } from '../../demo/walk.ts'
import { Workload } from '../../demo/workload.ts'
import { type ClusterWord, PHASE_TABLE, type Phase } from '../../src/control/phase.ts'
import { reportOf } from '../cli/answers.ts'

export type StepOptions = {
  readonly phase?: Phase
  /** What the markers of its reads say; by default where they belong. */
  readonly markers?: readonly ClusterWord[]
  readonly failures?: readonly string[]
  readonly change?: Changed | null
  readonly differences?: readonly string[]
}

/** Nobody asks the driver anything. */
const NO_DRIVER = {} as cassandra.Client

export const stepOf = (options: StepOptions = {}): StepResult => {
  const { phase = 'connect', failures = [], change = null, differences = [] } = options
  const cluster = PHASE_TABLE[phase].routing.primary
  const served = new ServedReads(cluster)
  for (const marker of options.markers ?? [cluster, cluster]) served.note(marker, 1, 2)
  const workload = new Workload(NO_DRIVER, [1], served)
  workload.done.requests = 4021
  workload.done.failures.push(...failures)
  const counts = { originRows: 1100, targetRows: 1100, writtenRows: 1100, cells: 4400 }
  const comparison = { ...counts, differences, differenceCount: differences.length }
  return { phase, cluster, workload, change, comparison }
}

export const LAPSE: Lapse = { sinceEnterMs: 414.4, sinceAskedMs: 9.94 }

const [ONE] = reportOf().instances

export const changeOf = (lastFromOld: Lapse | null): Changed => ({
  report: reportOf({
    message: 'all 3 instances are there',
    instances: [ONE!, ONE!, ONE!],
    skewMs: 1.26,
  }),
  tookMs: 412.3,
  lastFromOld,
})

export const goodSteps = (): StepResult[] =>
  STEPS.map(({ phase, command }) => stepOf({ phase, change: command && changeOf(LAPSE) }))
