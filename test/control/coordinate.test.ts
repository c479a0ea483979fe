/** Three instances changed as one, with each of them failing at each step. */
import { describe, expect, test } from 'vitest'
import { checkEverywhere } from '../../src/control/check-everywhere.ts'
import { coordinateChange, deploymentStatus } from '../../src/control/coordinate.ts'
import { ControlError } from '../../src/control/errors.ts'
import type { Phase } from '../../src/control/phase.ts'
import { planChange } from '../../src/control/plan.ts'
import { FORGETFUL_STORE } from '../../src/control/state-store.ts'
import type { Wish } from '../../src/control/wish.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { eventually } from '../support/plane.ts'
import {
  checkOf,
  type FakeInstance,
  failuresOf,
  fakeInstance,
  noFailures,
  START,
  stateIn,
} from './instances.ts'

const clock = new FakeClock()
const WHO = { by: 'ada', reason: 'as planned', force: false }
const FORCED = { ...WHO, force: true }
const TO_TARGET = { verb: 'advance', to: 'target-reads' } as const
const BACK: Wish = { verb: 'rollback', leave: false }

const three = (phase: Phase = 'dual-read'): FakeInstance[] =>
  ['a', 'b', 'c'].map((name) => fakeInstance(name, { state: stateIn(phase, { revision: 4 }) }))

const where = (instances: readonly FakeInstance[]): string =>
  instances.map((i) => `${i.name}:${i.switch.state.phase}@${i.switch.state.revision}`).join(' ')

const WAS = 'a:dual-read@4 b:dual-read@4 c:dual-read@4'
const IS = 'a:target-reads@5 b:target-reads@5 c:target-reads@5'

describe('three instances', () => {
  test('change as one', async () => {
    const all = three()
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report).toMatchObject({
      outcome: 'done',
      from: 'dual-read',
      to: 'target-reads',
      revision: 5,
    })
    expect(where(all)).toBe(IS)
    expect(report.skewMs).toBeGreaterThanOrEqual(0)
    expect(report.finish).toBeNull()
    for (const instance of all) {
      expect(instance.switch.pending).toBeNull()
      expect(instance.applied.map(({ routing }) => routing.primary)).toEqual(['TARGET'])
      expect(instance.audit.latest(10).map(({ event }) => event)).toEqual(['begun', 'committed'])
    }
  })

  test('have one time of a change, whatever their clocks say, and one of the cut-over', async () => {
    const all = [0, 10_000, 20_000].map((ms) =>
      fakeInstance(`at ${ms}`, { state: stateIn('target-reads'), clock: new FakeClock(ms) }),
    )
    const wish = { verb: 'advance', to: 'cut-over' } as const
    const { askedAt } = await coordinateChange(all, wish, WHO, clock)
    const times = all.flatMap(({ switch: { state } }) => [state.changedAt, state.cutOverAt])
    expect([...new Set(times)]).toEqual([askedAt])
  })

  test('told twice change once', async () => {
    const all = three()
    await coordinateChange(all, TO_TARGET, WHO, clock)
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report.outcome).toBe('unchanged')
    expect(where(all)).toBe(IS)
  })

  test.each(['a', 'b', 'c'])('stay as they are when %s is not to be reached', async (name) => {
    const all = three()
    all.find((instance) => instance.name === name)!.faults = { status: 'refuse' }
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report.outcome).toBe('refused')
    expect(report.message).toContain(`${name}: connection refused`)
    expect(where(all)).toBe(WAS)
  })

  test.each(['a', 'b', 'c'])('stay as they are when %s fails to prepare', async (name) => {
    const all = three()
    all.find((instance) => instance.name === name)!.faults = { prepare: 'refuse' }
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report.outcome).toBe('refused')
    expect(where(all)).toBe(WAS)
    // Nobody waits for a commit that will not come.
    expect(all.map(({ switch: { pending } }) => pending)).toEqual([null, null, null])
  })

  test.each(['a', 'b', 'c'])(
    'are partly changed when %s fails to commit; it can be finished or reverted',
    async (name) => {
      for (const end of ['finish', 'revert'] as const) {
        const all = three()
        const failing = all.find((instance) => instance.name === name)!
        failing.faults = { commit: 'refuse' }
        const report = await coordinateChange(all, TO_TARGET, WHO, clock)
        expect(report.outcome).toBe('partial')
        expect(report.instances.find((i) => i.name === name)).toMatchObject({
          outcome: 'failed',
          phase: 'dual-read',
          revision: 4,
        })
        expect(report.revert).toBe(`zdm align --like ${name}`)
        failing.faults = {}
        const like = report[end]!.split(' ').at(-1)!
        const repaired = await coordinateChange(all, { verb: 'align', like }, WHO, clock)
        expect(repaired.outcome).toBe('done')
        const phase = end === 'finish' ? 'target-reads' : 'dual-read'
        expect(where(all)).toBe(`a:${phase}@6 b:${phase}@6 c:${phase}@6`)
      }
    },
  )

  test('of which a thread does not follow has changed, and says so', async () => {
    const all = three()
    const state = stateIn('dual-read', { revision: 4 })
    all[1] = fakeInstance('b', { state, applyFault: 'data plane thread 1 is stuck' })
    const { outcome, message } = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(outcome).toBe('done')
    expect(where(all)).toBe(IS)
    expect(message).toContain('But b: target-reads, revision 5, is in effect, but not on every')
  })

  test('whose commit was carried out but whose answer was lost counts as changed', async () => {
    const all = three()
    all[1]!.faults = { commit: 'lost answer' }
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report.outcome).toBe('done')
    expect(where(all)).toBe(IS)
  })

  test('stay as they are when one has seen what the others have not', async () => {
    const all = three()
    all[2]!.evidence = { failedWrites: failuresOf(0, 7) }
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report.outcome).toBe('refused')
    const failed = report.checks.filter(({ outcome }) => outcome === 'fail')
    expect(failed).toMatchObject([{ id: 'failed-writes', instance: 'c' }])
    expect(failed[0]!.evidence).toContain('ks.t')
    expect(where(all)).toBe(WAS)
    const forced = await coordinateChange(all, TO_TARGET, FORCED, clock)
    expect(forced.outcome).toBe('done')
    expect(all[2]!.audit.latest(1)[0]).toMatchObject({
      event: 'committed',
      isForced: true,
      by: 'ada',
      reason: 'as planned',
      via: 'test',
    })
    expect(
      all[2]!.audit.latest(1)[0]!.checks.filter(({ outcome }) => outcome === 'fail').length,
    ).toBe(1)
  })

  test.each([
    [['a', 'b', 'c'], 'refused by all 3: serving, failed-writes'],
    [['a', 'c'], 'refused by a, c: serving, failed-writes'],
  ] as const)('%j that refuse alike are told once', async (names, message) => {
    const all = three()
    for (const instance of all.filter(({ name }) => names.some((one) => one === name))) {
      instance.evidence = { serving: 'stuck', failedWrites: failuresOf(0, 7) }
    }
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report.message).toBe(`${message} (nothing was changed)`)
    // The reasons are where the checks are.
    expect(JSON.stringify(report.checks)).toContain('7 on Target only')
  })

  test('that have no such way say so once', async () => {
    const wish = { verb: 'advance', to: 'connect' } as const
    const { message } = await coordinateChange(three(), wish, WHO, clock)
    expect(message).toMatch(/^all 3: there is no way from dual-read to connect.*changed\)$/)
    const one = three().slice(0, 1)
    expect((await coordinateChange(one, wish, WHO, clock)).message).toMatch(/^there is no way/)
  })

  test('do not go on from where nobody has planned it', async () => {
    const all = three('target-reads')
    const wish: Wish = { verb: 'advance', to: 'cut-over', from: 'dual-read' }
    for (const who of [WHO, FORCED]) {
      const report = await coordinateChange(all, wish, who, clock)
      expect(report.outcome).toBe('refused')
      expect(report.message).toContain('planned from dual-read')
    }
    // Asked again for what is done already, it is done.
    const again = await coordinateChange(all, { ...TO_TARGET, from: 'dual-read' }, WHO, clock)
    expect(again.outcome).toBe('unchanged')
    const known = await coordinateChange(all, { ...wish, from: 'target-reads' }, WHO, clock)
    expect(known.outcome).toBe('done')
  })

  test('configured differently are told apart by the setting, and do not go on', async () => {
    const all = three()
    all[1]!.configuration = [
      { key: 'read_mode', value: 'DUAL_ASYNC_ON_SECONDARY', source: 'file', path: null },
    ]
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report.outcome).toBe('refused')
    expect(report.message).toContain('configuration-equal: different: read_mode')
  })

  test.each([
    ['/etc/zdm/a.crt', '/etc/zdm/b.crt', 'done'],
    ['/etc/zdm/a.crt', '', 'refused'],
  ] as const)('with files at %j and %j: %s', async (path, other, outcome) => {
    const all = three()
    for (const [i, value] of [path, path, other].entries()) {
      all[i]!.configuration = [{ key: 'admin_tls_cert_path', value, source: 'file', path: null }]
    }
    expect(await coordinateChange(all, TO_TARGET, WHO, clock)).toMatchObject({ outcome })
  })

  test('with a secret as a value here and in a file there go on: the values are what counts', async () => {
    const all = three()
    for (const [i, path] of ['', '/run/secrets/word', ''].entries()) {
      all[i]!.configuration = [
        { key: 'origin_password_path', value: path, source: 'file', path: null },
        { key: 'origin_password', value: '(hidden)', source: 'file', path: null },
      ]
    }
    expect(await coordinateChange(all, TO_TARGET, WHO, clock)).toMatchObject({ outcome: 'done' })
  })

  test('at different revisions do not go on', async () => {
    const all = [...three(), fakeInstance('d', { state: stateIn('dual-read', { revision: 3 }) })]
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report).toMatchObject({ outcome: 'refused' })
    expect(report.message).toContain('instances-agree')
  })

  test('changed by two at the same time change once', async () => {
    const all = three()
    const reports = await Promise.all([
      coordinateChange(all, TO_TARGET, WHO, clock),
      coordinateChange(all, TO_TARGET, { ...WHO, by: 'bob' }, clock),
    ])
    expect(reports.map(({ outcome }) => outcome).sort()).toEqual(['done', 'refused'])
    expect(where(all)).toBe(IS)
  })
})

describe('rollback', () => {
  test('reaches everyone from wherever they are', async () => {
    const all = [
      fakeInstance('a', { state: stateIn('target-reads', { revision: 7 }) }),
      fakeInstance('b', { state: stateIn('dual-read', { revision: 6 }) }),
      fakeInstance('c', {
        state: stateIn('rolled-back', { revision: 5, rolledBackFrom: 'dual-read' }),
      }),
    ]
    const report = await coordinateChange(all, BACK, WHO, clock)
    expect(report.outcome).toBe('done')
    expect(where(all)).toBe('a:rolled-back@8 b:rolled-back@8 c:rolled-back@8')
  })

  test('is not held up by an instance that is lost', async () => {
    const all = three('target-reads')
    all[0]!.faults = { status: 'refuse' }
    const report = await coordinateChange(all, BACK, WHO, clock)
    expect(report.outcome).toBe('partial')
    expect(report.instances.find(({ name }) => name === 'a')!.outcome).toBe('unreachable')
    expect(report.finish).toBe('zdm align --like b')
    expect(where(all)).toBe('a:target-reads@4 b:rolled-back@5 c:rolled-back@5')
  })

  test('goes on without an instance that is lost between the halves', async () => {
    const all = three('target-reads')
    all[0]!.faults = { prepare: 'refuse' }
    const report = await coordinateChange(all, BACK, WHO, clock)
    expect(report.outcome).toBe('partial')
    expect(where(all)).toBe('a:target-reads@4 b:rolled-back@5 c:rolled-back@5')
  })

  const PLACES = [
    ['before it is looked at', 'status', 400],
    ['before it is ready', 'prepare', 500],
  ] as const
  test.each(PLACES)('does not wait for an instance that hangs %s', async (_, call, deadlineMs) => {
    const all = three('target-reads')
    all[2]!.faults = { [call]: 'hang' }
    const own = new FakeClock()
    const change = coordinateChange(all, BACK, WHO, own)
    await eventually(() => own.pendingTimers === 1)
    own.advance(deadlineMs)
    await eventually(() => where(all).startsWith('a:rolled-back@5 b:rolled-back@5'))
    expect(where(all)).toContain('c:target-reads@4')
    // It is gone after, and the answer says so.
    all[2]!.goOn()
    const report = await change
    expect(report).toMatchObject({ outcome: 'done', revision: 5 })
    expect(report.message).toContain('slow to answer, and changed after the others: c')
    expect(where(all)).toBe('a:rolled-back@5 b:rolled-back@5 c:rolled-back@5')
  })

  test('waits for the only one that there is', async () => {
    const [one] = three('target-reads')
    one!.faults = { prepare: 'hang' }
    const own = new FakeClock()
    const change = coordinateChange([one!], BACK, WHO, own)
    await eventually(() => own.pendingTimers === 1)
    own.advance(1000)
    one!.goOn()
    expect((await change).outcome).toBe('done')
  })

  test('is not held up by a change that somebody has prepared, and is done once more if overtaken', async () => {
    const all = three('target-reads')
    const onward = { verb: 'advance', to: 'cut-over' } as const
    const request = { ...WHO, transition: onward, expectedRevision: 4, revision: 5 }
    await all[0]!.prepare(request)
    const { id } = await all[1]!.prepare(request)
    let isFirst = true
    const { prepare } = all[2]!
    // Between what is looked at and what is prepared.
    all[2]!.prepare = async (wanted) => {
      if (isFirst) await prepare(request).then((change) => all[2]!.commit(change.id))
      isFirst = false
      return prepare(wanted)
    }
    expect((await coordinateChange(all, BACK, WHO, clock)).outcome).toBe('done')
    expect(new Set(all.map((one) => one.switch.state.phase))).toEqual(new Set(['rolled-back']))
    await expect(all[1]!.commit(id)).rejects.toThrow('a rollback by ada took its place')
  })

  test('goes on where the state file cannot be written, says so, and writes it when asked again', async () => {
    const all = three('target-reads')
    const store = { ...FORGETFUL_STORE, isKept: true }
    const write = store.commit
    store.commit = () => {
      throw new Error('read-only file system')
    }
    all[1] = fakeInstance('b', { state: stateIn('target-reads', { revision: 4 }), store })
    const report = await coordinateChange(all, BACK, WHO, clock)
    expect(report.outcome).toBe('done')
    expect(report.message).toContain('But b cannot write the state file')
    expect(report.instances.find(({ name }) => name === 'b')!.error).toContain('read-only')
    const seen = await deploymentStatus(all)
    expect(seen.instances[1]!.status).toMatchObject({ isStateKept: false })
    store.commit = write
    expect((await coordinateChange(all, BACK, WHO, clock)).outcome).toBe('done')
    expect(all[1].switch.stateFault).toBeNull()
    expect((await coordinateChange(all, BACK, WHO, clock)).outcome).toBe('unchanged')
  })

  test('needs no health: a dead Target is why one goes back', async () => {
    const all = three('target-reads')
    const target = { isUp: false, endpoint: null, failures: 9 }
    for (const instance of all) {
      const { origin } = { origin: { isUp: true, endpoint: 'o', failures: 0 } }
      instance.evidence = { clusters: { origin, target } }
    }
    expect((await coordinateChange(all, BACK, WHO, clock)).outcome).toBe('done')
  })

  test('with leave does not call Origin complete where an instance may not have counted all', async () => {
    const all = three('target-reads')
    all[1]!.evidence = { failedWrites: { ...noFailures, originGaps: ['the last 5 s'] } }
    const { leave } = await coordinateChange(all, { ...BACK, leave: true }, WHO, clock)
    expect(leave).toMatchObject({ isOriginComplete: false, missingOnOrigin: [] })
    expect(leave!.gaps).toEqual(['b: the last 5 s'])
    expect(leave!.steps[0]).toContain('zdm reconciled --into origin')
  })

  test('with leave tells what Origin lacks, of all instances', async () => {
    const all = three('target-reads')
    all[0]!.evidence = { failedWrites: failuresOf(2, 0) }
    all[1]!.evidence = { failedWrites: failuresOf(3, 9) }
    const { leave } = await coordinateChange(all, { ...BACK, leave: true }, WHO, clock)
    expect(leave).toMatchObject({ isOriginComplete: false, clientConnections: 9 })
    expect(leave!.missingOnOrigin).toMatchObject([{ keyspace: 'ks', table: 't', originOnly: 5 }])
  })
})

describe('an instance that has the place of another', () => {
  const INSTANCES = ['a', 'b', 'c']

  test('is told with what it takes itself for, and nothing goes on', async () => {
    const all = three()
    for (const one of all) one.identity = { instances: INSTANCES }
    all[1]!.identity = { name: 'a', index: 0, instances: INSTANCES, startedAt: 'later' }
    const status = await deploymentStatus(all)
    expect(status.isInAgreement).toBe(false)
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    expect(report.outcome).toBe('refused')
    expect(report.message).toContain(
      'instances-reachable: b is answered by an instance that takes itself for a (proxy_topology_index 0, not 1)',
    )
    expect(where(all)).toBe(WAS)
    // Back is back, for it too.
    expect((await coordinateChange(all, BACK, WHO, clock)).outcome).toBe('done')
    expect(all[1]!.switch.state.phase).toBe('rolled-back')
  })

  test('and asks itself twice does not take that for all', async () => {
    const [own] = three('target-reads')
    const itself = { ...own!, name: 'b' }
    const report = await coordinateChange([own!, itself], BACK, WHO, clock)
    expect(report.outcome).toBe('partial')
    expect(report.instances.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
      'a changed',
      'b unreachable',
    ])
  })
})

describe('what was found of the deployment', () => {
  test('is in every record and in the count of failed checks', async () => {
    const all = three()
    all[1]!.configuration = [
      { key: 'read_mode', value: 'DUAL_ASYNC_ON_SECONDARY', source: 'file', path: null },
    ]
    await coordinateChange(all, TO_TARGET, FORCED, clock)
    for (const instance of all) {
      const { checks } = instance.audit.latest(1)[0]!
      expect(checks.find(({ id }) => id === 'configuration-equal')!.outcome).toBe('fail')
      expect([...instance.switch.counts.failedChecks]).toEqual([['configuration-equal', 1]])
    }
  })

  test('is recorded also where it refuses before anybody is asked', async () => {
    const all = three()
    const [first] = all
    all[1]!.faults = { status: 'refuse' }
    const report = await coordinateChange(all, TO_TARGET, WHO, clock)
    first!.switch.refused(report, WHO, 'x')
    expect(first!.audit.latest(5)).toMatchObject([{ event: 'refused', verb: 'advance', by: 'ada' }])
    expect([...first!.switch.counts.failedChecks]).toEqual([['instances-reachable', 1]])
    // What it has refused itself is recorded already.
    all[1]!.faults = {}
    first!.evidence = { serving: 'draining' }
    const own = await coordinateChange(all, TO_TARGET, WHO, clock)
    first!.switch.refused(own, WHO, 'x')
    expect(first!.audit.latest(5).length).toBe(2)
  })
})

describe('the plan', () => {
  test('tells of a file that cannot be written, as the change does', async () => {
    const all = three('connect')
    const stateFile = 'the state file x cannot be written'
    all[1]!.evidence = { unwritable: { stateFile, auditLog: null } }
    const wish = { verb: 'advance', to: 'migrate' } as const
    const plan = await planChange(all, wish, clock)
    expect(plan.isAllowed).toBe(false)
    const found = plan.checks.filter(({ outcome }) => outcome === 'fail')
    expect(found).toMatchObject([{ id: 'files-writable', evidence: stateFile, instance: 'b' }])
    expect((await coordinateChange(all, wish, WHO, clock)).outcome).toBe('refused')
    const back = await coordinateChange(all, BACK, WHO, clock)
    expect(back.outcome).toBe('done')
    const told = back.checks.filter(({ outcome }) => outcome !== 'pass')
    expect(told.map(({ id }) => id)).toEqual(['state-kept', 'files-writable'])
  })

  test('names the steps, in order', async () => {
    const { steps } = await planChange(three(), TO_TARGET, clock)
    expect(steps).toEqual([
      'prepare on 3 instances at revision 4: the checks below, and the new state written beside the old',
      'commit on all 3 at revision 5: reads go Origin → Target and are no longer copied; writes stay as they are (both); connections stay',
      'wait until every request that was routed before has been answered',
    ])
  })

  test('of a new attempt says what it forgets, and so does the change', async () => {
    const all = three('rolled-back')
    const wish = { verb: 'advance', to: 'migrate' } as const
    const forgotten = `a new attempt begins: the reconciliation of ${START} counts no more`
    expect((await planChange(all, wish, clock)).steps.at(-1)).toBe(forgotten)
    expect((await coordinateChange(all, wish, WHO, clock)).message).toContain(forgotten)
  })

  test('sees a change that is being made', async () => {
    const all = three()
    const transition = { verb: 'advance', to: 'target-reads' } as const
    await all[1]!.prepare({ ...WHO, transition, expectedRevision: 4, revision: 5 })
    const plan = await planChange(all, TO_TARGET, clock)
    expect(plan).toMatchObject({ isAllowed: false })
    expect(plan.message).toContain('ada is making a change (advance) on b')
  })

  test('has the checks of all, and changes nothing', async () => {
    const all = three()
    all[0]!.evidence = { failedWrites: failuresOf(1, 0) }
    const plan = await planChange(all, TO_TARGET, clock)
    expect(plan).toMatchObject({ isAllowed: false, from: 'dual-read', to: 'target-reads' })
    expect(
      plan.checks.filter(({ id }) => id === 'failed-writes').map(({ outcome }) => outcome),
    ).toEqual(['fail', 'pass', 'pass'])
    expect(where(all)).toBe(WAS)
    expect(all.flatMap(({ audit }) => audit.latest(10))).toEqual([])
  })

  test('for a way that there is not says which there are', async () => {
    const plan = planChange(three(), { verb: 'advance', to: 'cut-over' }, clock)
    await expect(plan).rejects.toThrow('from here it goes to target-reads')
  })
})

test('the deployment says who cannot be reached', async () => {
  const all = three()
  expect(await deploymentStatus(all)).toMatchObject({ isInAgreement: true })
  all[2]!.faults = { status: 'refuse' }
  const status = await deploymentStatus(all)
  expect(status.isInAgreement).toBe(false)
  expect(status.instances.map(({ error }) => error)).toEqual([null, null, 'connection refused'])
})

test('force without a reason is refused', async () => {
  const change = coordinateChange(three(), TO_TARGET, { ...FORCED, reason: ' ' }, clock)
  await expect(change).rejects.toBeInstanceOf(ControlError)
})

describe('before the data is copied', () => {
  const TO_MIGRATE: Wish = { verb: 'advance', to: 'migrate' }
  const lastCheck = (checkedAt: string, faults: number) => ({
    checkedAt,
    keyspaces: ['ks'],
    faults,
  })

  test('nobody has compared the clusters: that is told, and refuses nothing', async () => {
    const all = three('connect')
    const { checks, outcome } = await coordinateChange(all, TO_MIGRATE, WHO, clock)
    expect(outcome).toBe('done')
    const told = checks.filter(({ id }) => id === 'clusters-checked')
    expect(told).toMatchObject([{ outcome: 'warn', remedy: 'zdm check', instance: null }])
  })

  test('the latest comparison decides, whichever instance made it', async () => {
    const all = three('connect')
    all[0]!.lastCheck = lastCheck('2026-01-02T00:00:00.000Z', 0)
    all[2]!.lastCheck = lastCheck('2026-01-03T00:00:00.000Z', 2)
    const refused = await coordinateChange(all, TO_MIGRATE, WHO, clock)
    expect(refused.outcome).toBe('refused')
    expect(refused.message).toContain('2026-01-03T00:00:00.000Z, of 1 keyspace, found 2 faults')
    all[1]!.lastCheck = lastCheck('2026-01-04T00:00:00.000Z', 0)
    expect(await coordinateChange(all, TO_MIGRATE, WHO, clock)).toMatchObject({ outcome: 'done' })
  })

  test('later phases do not ask for it, and going back never does', async () => {
    for (const wish of [TO_TARGET, BACK]) {
      const all = three()
      all[0]!.lastCheck = lastCheck('2026-01-02T00:00:00.000Z', 2)
      const { checks, outcome } = await coordinateChange(all, wish, WHO, clock)
      expect(outcome).toBe('done')
      expect(checks.map(({ id }) => id)).not.toContain('clusters-checked')
    }
  })
})

describe('a check from everywhere', () => {
  test('has what each instance sees, and one that cannot be asked makes it incomplete', async () => {
    const [, b, c] = three()
    const whole = await checkEverywhere(Promise.resolve(checkOf('a')), [b!, c!])
    expect(whole.instances.map(({ name }) => name)).toEqual(['a', 'b', 'c'])
    expect(whole.isFeasible).toBe(true)
    c!.faults = { check: 'refuse' }
    const lacking = await checkEverywhere(Promise.resolve(checkOf('a')), [b!, c!])
    expect(lacking.isFeasible).toBe(false)
    expect(lacking.instances[2]).toEqual({ name: 'c', rows: [], error: 'connection refused' })
  })
})
