/** Three instances as processes that are killed and started again: what of a migration survives. */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { ChangeReport } from '../../src/control/report.ts'
import { readStateFile } from '../../src/control/state-store.ts'
import { ErrorCode, Opcode } from '../../src/cql/protocol.ts'
import { afterTest } from '../support/after-test.ts'
import { respondError } from '../support/fake-cluster/script.ts'
import {
  type ProcessDeployment,
  type ProcessInstance,
  startDeployment,
} from '../support/process-deployment.ts'
import { RawClient } from '../support/raw-client.ts'

const TIMEOUT_MS = 300_000
const KILLS = 4
/** A change of three idle instances takes about as long. */
const KILL_WITHIN_MS = 60

type Change = 'migrate' | 'target-reads' | 'rolled-back'

/** Through any instance. Null where that one died, or could not say. */
const change = async (through: ProcessInstance, to: Change): Promise<ChangeReport | null> => {
  const path = to === 'rolled-back' ? '/v1/rollback' : '/v1/advance'
  // Nobody has reconciled and mirrored anything here.
  const forced = { by: 'test', force: true, reason: 'no data' }
  const body = to === 'rolled-back' ? { by: 'test' } : { ...forced, to }
  try {
    const { content } = await through.client.exchange('POST', path, body)
    return content as ChangeReport
  } catch {
    return null
  }
}

/** All three read from Target. */
const startOnTarget = async (): Promise<ProcessDeployment> => {
  const deployment = await startDeployment()
  for (const to of ['migrate', 'target-reads'] as const) {
    expect(await change(deployment.instances[0], to)).toMatchObject({ outcome: 'done' })
  }
  return deployment
}

const states = ({ instances }: ProcessDeployment): Promise<string[]> =>
  Promise.all(
    instances.map(async (instance) => {
      const { state } = await instance.status()
      return `${state.phase}@${state.revision}`
    }),
  )

/** As operators do: with the command of the report, or like one of those that are furthest. */
const align = async (
  { instances }: ProcessDeployment,
  report: ChangeReport | null,
): Promise<ChangeReport> => {
  const all = await Promise.all(instances.map((instance) => instance.status()))
  // What a coordinator that died has left prepared; it would expire after 30 s.
  for (const [i, { pending }] of all.entries()) {
    if (pending !== null) await instances[i]!.client.abort(pending.id)
  }
  const furthest = all.reduce((a, b) => (b.state.revision > a.state.revision ? b : a)).name
  const like = report?.finish?.split(' ').at(-1) ?? furthest
  return instances[0].client.ask('POST', '/v1/align', { like, by: 'test' })
}

test('kill -9 during changes: the old state or the new one, and never a refused start', {
  timeout: TIMEOUT_MS,
}, async () => {
  const deployment = await startOnTarget()
  const { instances } = deployment
  for (let kill = 0; kill < KILLS; kill++) {
    const before = (await states(deployment))[0]!
    const [phase, revision] = before.split('@')
    const to: Change = phase === 'rolled-back' ? 'target-reads' : 'rolled-back'
    const possible = [before, `${to}@${Number(revision) + 1}`]
    // Also the one that makes the change.
    const victim = instances[kill % 3]!
    const asked = change(instances[0], to)
    const killedAfterMs = Math.random() * KILL_WITHIN_MS
    await delay(killedAfterMs)
    await victim.end('SIGKILL')
    const report = await asked
    const where = `kill ${kill}, ${killedAfterMs.toFixed(1)} ms after the begin of ${to}`
    const kept = readStateFile(victim.statePath)!
    expect(possible, where).toContain(`${kept.phase}@${kept.revision}`)
    await victim.start()
    for (const state of await states(deployment)) expect(possible, where).toContain(state)
    if (new Set(await states(deployment)).size > 1) {
      expect(await align(deployment, report), where).toMatchObject({ outcome: 'done' })
    }
    expect(new Set(await states(deployment)).size, where).toBe(1)
  }
})

test('an instance that was down during a rollback does not come back reading from Target', {
  timeout: TIMEOUT_MS,
}, async () => {
  const deployment = await startOnTarget()
  const [, second, third] = deployment.instances
  await third.end('SIGKILL')
  const report = await change(second, 'rolled-back')
  expect(report).toMatchObject({ outcome: 'partial', finish: `zdm align --like ${second.name}` })
  expect(report?.message).toContain(`not: ${third.name} (unknown`)
  await third.start()
  expect(new Set(await states(deployment))).toEqual(new Set(['rolled-back@3']))
  expect(third.log).toContain('STATE_ADOPTED')
  expect(readStateFile(third.statePath)).toMatchObject({ phase: 'rolled-back', revision: 3 })
  const audit = await third.client.ask<object[]>('GET', '/v1/audit')
  expect(audit.at(-1)).toMatchObject({ event: 'adopted', by: 'test' })
  // Before it said that it serves: no read could have gone to Target.
  expect(third.log.indexOf('STATE_ADOPTED')).toBeLessThan(third.log.indexOf('PROXY_READY'))
})

test('failed writes are counted over a stop and a kill', { timeout: TIMEOUT_MS }, async () => {
  const { origin, instances, place } = await startDeployment()
  const [instance] = instances
  const insert = 'INSERT INTO shop.orders (k) VALUES (1)'
  origin.on({ opcode: Opcode.QUERY, text: /INSERT/ }, respondError(ErrorCode.OVERLOADED))
  const failOnOrigin = async (): Promise<void> => {
    const client = await RawClient.connect(place.port, { host: instance.address })
    afterTest(() => client.close())
    await client.handshake()
    const answer = await client.query(insert)
    expect(answer.opcode).toBe(Opcode.ERROR)
  }
  await failOnOrigin()
  await instance.end('SIGTERM')
  await instance.start()
  const { failedWrites } = await instance.status()
  expect(failedWrites).toMatchObject({ originOnly: 1, targetOnly: 0, gaps: [] })
  await failOnOrigin()
  const kept = `${instance.statePath}.failed-writes`
  await expect.poll(() => readFileSync(kept, 'utf8')).toContain('"originOnly": 2')
  await instance.end('SIGKILL')
  await instance.start()
  const report = await instance.client.ask<ChangeReport>('POST', '/v1/rollback', { leave: true })
  expect((await instance.status()).failedWrites.since).toBe(failedWrites.since)
  expect(report.leave).toMatchObject({ isOriginComplete: false })
  expect(report.leave?.missingOnOrigin).toMatchObject([
    { keyspace: 'shop', table: 'orders', originOnly: 2 },
  ])
  expect(report.leave?.gaps).toMatchObject([
    expect.stringContaining(`${instance.name}: up to the last 5 s before the instance was killed`),
  ])
})
