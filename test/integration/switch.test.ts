import type { Client } from 'cassandra-driver'
import { beforeAll, expect, inject, test } from 'vitest'
import { Operator } from '../../demo/operator.ts'
import { type RunningProxies, startProxies, statePath } from '../../demo/proxy-process.ts'
import { renderRollback } from '../../demo/render-walk.ts'
import { KEYSPACE } from '../../demo/schema.ts'
import { createClient } from '../../demo/stored-rows.ts'
import { STEPS, type StepResult, walk } from '../../demo/walk.ts'
import { createSchema } from '../../demo/workload.ts'
import { PHASE_TABLE } from '../../src/control/phase.ts'
import type { ChangeReport } from '../../src/control/report.ts'
import { readStateFile } from '../../src/control/state-store.ts'
import { afterFile } from '../support/after-test.ts'
import { connectDirect } from '../support/real-instance.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const STAY_MS = 1000

let proxies: RunningProxies
let operator: Operator
let client: Client
let direct: { readonly origin: Client; readonly target: Client }
const stopper = new AbortController()

beforeAll(async () => {
  const { origin, target } = inject('clusters')
  direct = await connectDirect()
  const dropRows = async () => {
    for (const one of [direct.origin, direct.target]) {
      await one.execute(`DROP KEYSPACE IF EXISTS ${KEYSPACE}`)
    }
  }
  await dropRows()
  afterFile(dropRows)
  const directory = temporaryDirectory(afterFile)
  const clusters = { origin: origin.contactPoints[0]!, target: target.contactPoints[0]! }
  proxies = await startProxies(clusters, directory, stopper.signal)
  afterFile(() => proxies.stop())
  operator = new Operator(proxies.place, stopper.signal)
  client = createClient(proxies.contactPoint, origin.localDatacenter)
  afterFile(() => client.shutdown())
  await createSchema(client)
})

test('three instances refuse to mirror reads before a reconciliation was recorded', async () => {
  await operator.change(['advance', 'migrate'])
  const { exitCode, content } = await operator.change(['advance', 'dual-read'])
  expect(exitCode).toBe(3)
  expect(content).toMatchObject({ outcome: 'refused' } satisfies Partial<ChangeReport>)
  expect(content.message).toContain('reconciled')
  await operator.change(['rollback', '--reason', 'the walk begins at the beginning'])
})

test('connect → migrate → dual-read → target-reads → rollback → target-reads → cut-over', async () => {
  const steps: StepResult[] = []
  const kept: (string | undefined)[][] = []
  await walk({
    operator,
    client,
    ...direct,
    stayMs: STAY_MS,
    signal: stopper.signal,
    onWork: () => undefined,
    onCommand: () => undefined,
    onSaid: () => undefined,
    onChanged: () => undefined,
    onStep: (step) => {
      steps.push(step)
      const { directory, place } = proxies
      kept.push(place.addresses.map((_, i) => readStateFile(statePath(directory, i))?.phase))
    },
  })
  expect(steps.map(({ phase }) => phase)).toEqual(STEPS.map(({ phase }) => phase))
  for (const [at, { phase, cluster, workload, comparison, change }] of steps.entries()) {
    expect(workload.done, phase).toMatchObject({ failures: [], wrongReads: [] })
    expect(workload.served.misplaced, phase).toEqual([])
    expect(cluster).toBe(PHASE_TABLE[phase].routing.primary)
    // Of the reads that began after the command had returned, each one.
    expect(workload.served.settled, phase).toBeGreaterThanOrEqual(100)
    expect(comparison, phase).toMatchObject({ differences: [], differenceCount: 0 })
    expect(comparison.writtenRows, phase).toBeGreaterThan(0)
    if (at === 0) continue
    expect(change?.report.instances.map(({ outcome }) => outcome)).toEqual(Array(3).fill('changed'))
    expect(kept[at]).toEqual(Array(3).fill(phase))
  }
  process.stderr.write(`Rollback under load: ${renderRollback(steps)}\n`)
}, 120_000)
