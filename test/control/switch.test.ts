import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AUDIT_ENTRIES_MAX, AuditLog } from '../../src/control/audit-log.ts'
import { coordinateChange } from '../../src/control/coordinate.ts'
import { ControlError, ControlErrorCode } from '../../src/control/errors.ts'
import type { PrepareRequest } from '../../src/control/report.ts'
import { FileStateStore, FORGETFUL_STORE, type StateStore } from '../../src/control/state-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { fakeInstance, stateIn } from './instances.ts'

const request = (changes: Partial<PrepareRequest> = {}): PrepareRequest => ({
  transition: { verb: 'advance', to: 'migrate' },
  expectedRevision: 0,
  revision: 1,
  by: 'ada',
  reason: '',
  force: false,
  ...changes,
})

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'none'
  } catch (error) {
    return error instanceof ControlError ? error.code : String(error)
  }
}

const back = { transition: { verb: 'rollback' } } as const
const failing = (what: 'stage' | 'commit'): StateStore => ({
  ...FORGETFUL_STORE,
  [what]: () => {
    throw new ControlError(ControlErrorCode.STATE_NOT_WRITTEN, 'the disk is full')
  },
})

describe('a change in two halves', () => {
  test('is nothing until it is committed', async () => {
    const { switch: own, applied } = fakeInstance('a')
    const { id, to } = await own.prepare(request(), 'x')
    expect(own.state.phase).toBe('connect')
    expect(applied).toEqual([])
    const { state } = await own.commit(id, 'x')
    expect(state).toEqual(to)
    expect(own.state).toMatchObject({ phase: 'migrate', revision: 1, changedBy: 'ada' })
    expect(applied).toEqual([own.state])
  })

  test('keeps others out until it is committed, aborted or 30 s old', async () => {
    const clock = new FakeClock()
    const { switch: own } = fakeInstance('a', { clock })
    const first = await own.prepare(request(), 'x')
    expect(await codeOf(own.prepare(request(), 'x'))).toBe('CHANGE_IN_PROGRESS')
    own.abort(first.id)
    const second = await own.prepare(request(), 'x')
    clock.advance(29_999)
    expect(await codeOf(own.prepare(request(), 'x'))).toBe('CHANGE_IN_PROGRESS')
    clock.advance(1)
    expect(await codeOf(own.commit(second.id, 'x'))).toBe('CHANGE_UNKNOWN')
    expect(own.pending).toBeNull()
    await own.prepare(request(), 'x')
  })

  test('can be committed once', async () => {
    const { switch: own } = fakeInstance('a')
    const { id } = await own.prepare(request(), 'x')
    await own.commit(id, 'x')
    expect(await codeOf(own.commit(id, 'x'))).toBe('CHANGE_UNKNOWN')
  })

  test.each([
    [{ expectedRevision: 1, revision: 2 }, 'REVISION_MISMATCH'],
    [{ expectedRevision: 0, revision: 0 }, 'REVISION_MISMATCH'],
    [{ transition: { verb: 'advance', to: 'cut-over' } }, 'NO_SUCH_WAY'],
    [{ force: true }, 'REASON_MISSING'],
  ] as const)('with %j is refused: %s', async (changes, code) => {
    const { switch: own } = fakeInstance('a')
    expect(await codeOf(own.prepare(request(changes), 'x'))).toBe(code)
    expect(own.pending).toBeNull()
  })

  test('that a thread does not follow is in effect, and told', async () => {
    const { switch: own, audit } = fakeInstance('a', { applyFault: 'data plane thread 1 is stuck' })
    const { id, to } = await own.prepare(request(), 'x')
    const commit = own.commit(id, 'x')
    await expect(commit).rejects.toThrow(
      'migrate, revision 1, is in effect, but not on every thread: data plane thread 1 is stuck',
    )
    expect(await codeOf(commit)).toBe('THREAD_BEHIND')
    expect(own.state).toEqual(to)
    expect(own.pending).toBeNull()
    expect(audit.latest(1)).toMatchObject([{ event: 'committed', to }])
  })

  test('whose checks fail is refused, told, counted and recorded', async () => {
    const instance = fakeInstance('a')
    instance.evidence = { serving: 'draining' }
    expect(await codeOf(instance.switch.prepare(request(), 'x'))).toBe('CHECKS_FAILED')
    expect(instance.audit.latest(1)).toMatchObject([{ event: 'refused', by: 'ada', via: 'x' }])
    expect([...instance.switch.counts.failedChecks]).toEqual([['serving', 1]])
    const forced = { force: true, reason: 'no clients left' }
    await instance.switch.prepare(request(forced), 'x')
  })
})

describe('a disk that cannot be written', () => {
  test.each(['stage', 'commit'] as const)('stops an advance at %s', async (what) => {
    const { switch: own, applied } = fakeInstance('a', { store: failing(what) })
    const change = own.prepare(request(), 'x').then(({ id }) => own.commit(id, 'x'))
    expect(await codeOf(change)).toBe('STATE_NOT_WRITTEN')
    expect(own.state.revision).toBe(0)
    expect(applied).toEqual([])
    expect(own.pending).toBeNull()
  })

  test('stops an advance before anything has changed where the record cannot be begun', async () => {
    const directory = temporaryDirectory()
    // A directory is what cannot be appended to, whoever runs this.
    const { switch: own } = fakeInstance('a', { auditPath: directory })
    expect(await codeOf(own.prepare(request(), 'x'))).toBe('AUDIT_NOT_WRITTEN')
    expect(own.pending).toBeNull()
    const { id } = await own.prepare(request(back), 'x')
    expect((await own.commit(id, 'x')).state.phase).toBe('rolled-back')
  })

  test('leaves nothing beside the state file where a comparison cannot be recorded', () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'state.json')
    const auditPath = join(directory, 'audit')
    mkdirSync(auditPath)
    const store = new FileStateStore(path)
    const { switch: own } = fakeInstance('a', { state: stateIn('migrate'), store, auditPath })
    const begin = { step: 'begin', at: '2026-01-01T00:00:00.000Z' } as const
    expect(() => own.reconciled(begin, { by: 'ada', reason: '' }, 'x')).toThrow(auditPath)
    expect(own.state).toEqual(stateIn('migrate'))
    expect(readdirSync(directory)).toEqual(['audit'])
  })

  test('leaves a refused attempt in no file, which is told as that and as no change', async () => {
    const lines: Record<string, unknown>[] = []
    const sink = { write: (line: string) => void lines.push(JSON.parse(line)) }
    const auditPath = temporaryDirectory()
    const { audit, switch: own, ...instance } = fakeInstance('a', { auditPath, sink })
    const wish = { verb: 'advance', to: 'migrate' } as const
    const who = { by: 'ada', reason: '', force: false }
    const client = { ...instance, audit, switch: own }
    const report = await coordinateChange([client], wish, who, new FakeClock())
    expect(report).toMatchObject({ outcome: 'refused' })
    own.refused(report, who, 'x')
    expect(audit.fault).toContain('attempts that were refused are in no file')
    expect(lines).toMatchObject([
      { code: 'AUDIT_NOT_WRITTEN', level: 'warn', msg: expect.stringContaining('refused attempt') },
    ])
    expect(JSON.stringify(lines)).not.toContain('stack')
  })

  test('keeps what a rollback could not record until it can be, and says so', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'audit.jsonl')
    mkdirSync(path)
    const { audit, switch: own } = fakeInstance('a', { auditPath: path })
    const { id } = await own.prepare(request(back), 'x')
    await own.commit(id, 'x')
    expect(audit.fault).toContain(
      `changes that were made are in no file: the audit log ${path} (audit_log_path) cannot be`,
    )
    rmdirSync(path)
    own.note('log-level', { by: 'ada', reason: '' }, 'x', 'debug')
    expect(audit.fault).toBeNull()
    const events = new AuditLog(path).latest(10).map(({ event }) => event)
    expect(events).toEqual(['begun', 'committed', 'log-level'])
  })

  test.each(['stage', 'commit'] as const)(
    'does not stop a rollback at %s, which says so until it can be written',
    async (what) => {
      const state = stateIn('target-reads')
      const store = { ...failing(what), isKept: true }
      const { switch: own, applied } = fakeInstance('a', { state, store })
      const { id } = await own.prepare(request(back), 'x')
      const { stateFault } = await own.commit(id, 'x')
      expect(applied.map(({ phase }) => phase)).toEqual(['rolled-back'])
      expect(stateFault).toBe('the disk is full')
      expect(own).toMatchObject({ isStateKept: false, stateFault })
      store[what] = () => undefined
      const again = request({ ...back, expectedRevision: 1, revision: 2 })
      await own.prepare(again, 'x').then(({ id: next }) => own.commit(next, 'x'))
      expect(own).toMatchObject({ isStateKept: true, stateFault: null })
    },
  )
})

describe('a rollback', () => {
  test('takes the place of a change that is prepared, which is told and recorded', async () => {
    const { switch: own, audit } = fakeInstance('a')
    const { id } = await own.prepare(request({ by: 'bob' }), 'x')
    const { id: backId } = await own.prepare(request(back), 'y')
    expect(await codeOf(own.commit(id, 'x'))).toBe('CHANGE_DISCARDED')
    await own.commit(backId, 'y')
    expect(own.state.phase).toBe('rolled-back')
    const discarded = audit.latest(10).find(({ event }) => event === 'discarded')
    expect(discarded).toMatchObject({ changeId: id, by: 'bob', verb: 'advance' })
    expect(discarded!.message).toContain('a rollback by ada')
  })

  test('takes the place of one whose checks are being looked at', async () => {
    const { switch: own } = fakeInstance('a')
    const slow = own.prepare(request({ by: 'bob' }), 'x')
    const first = codeOf(slow)
    const { id } = await own.prepare(request(back), 'y')
    expect(await first).toBe('CHANGE_DISCARDED')
    expect((await own.commit(id, 'y')).state.phase).toBe('rolled-back')
  })

  test('waits for another rollback, unless it is forced', async () => {
    const { switch: own } = fakeInstance('a')
    await own.prepare(request(back), 'x')
    expect(await codeOf(own.prepare(request(back), 'y'))).toBe('CHANGE_IN_PROGRESS')
    const { id } = await own.prepare(request({ ...back, force: true, reason: 'now' }), 'y')
    await own.commit(id, 'y')
  })
})

test('a reconciliation changes no revision', () => {
  const { switch: own, audit } = fakeInstance('a', {
    state: stateIn('migrate', { reconciledAt: null }),
  })
  const at = '2026-02-02T00:00:00.000Z'
  own.reconciled({ step: 'begin', at }, { by: 'ada', reason: '' }, 'x')
  const done = {
    step: 'done',
    at: '2026-02-02T09:00:00.000Z',
    into: 'target',
    since: null,
  } as const
  own.reconciled(done, { by: 'ada', reason: 'validated' }, 'x')
  expect(own.state).toMatchObject({ revision: 0, reconciledAt: at })
  expect(audit.latest(2)).toMatchObject([
    { event: 'comparison-begun', by: 'ada' },
    { event: 'reconciled', by: 'ada', reason: 'validated' },
  ])
})

test('what an older release has recorded can be read', async () => {
  const directory = temporaryDirectory()
  const path = join(directory, 'audit.jsonl')
  const { audit, switch: own } = fakeInstance('a')
  await own.prepare(request(), 'x').then(({ id }) => own.commit(id, 'x'))
  const [entry] = audit.latest(1)
  const { comparisonBegunAt: _, originLacks: __, targetLacks: ___, ...older } = entry!.to!
  writeFileSync(path, `${JSON.stringify({ ...entry, to: older })}\n`)
  expect(new AuditLog(path).latest(1)).toEqual([entry])
})

test('an audit log that cannot be written is found out beforehand', async () => {
  const path = join(temporaryDirectory(), 'audit.jsonl')
  const audit = new AuditLog(path)
  expect(await audit.writeFault()).toBeNull()
  expect(await new AuditLog(null).writeFault()).toBeNull()
  writeFileSync(path, '')
  expect(await audit.writeFault()).toBeNull()
  expect(await new AuditLog(join(path, 'x')).writeFault()).toMatch(/audit log .* ENOTDIR/)
  mkdirSync(`${path}.d`)
  expect(await new AuditLog(`${path}.d`).writeFault()).toContain('is a directory')
})

test('the audit log outlives the process, a line that was cut off included', async () => {
  const directory = temporaryDirectory()
  const path = join(directory, 'audit.jsonl')
  const { audit, switch: own } = fakeInstance('a')
  const { id } = await own.prepare(request(), 'x')
  await own.commit(id, 'x')
  const entries = audit.latest(10)
  const log = new AuditLog(path)
  for (const entry of entries) log.append(entry)
  const { appendFileSync } = await import('node:fs')
  appendFileSync(path, '{"at":"20')
  expect(new AuditLog(path).latest(10)).toEqual(entries)
  expect(readFileSync(path, 'utf8').split('\n').length).toBe(3)
  for (let i = 0; i < AUDIT_ENTRIES_MAX; i++) audit.append(entries[0]!)
  expect(audit.latest(2 * AUDIT_ENTRIES_MAX).length).toBe(AUDIT_ENTRIES_MAX)
})
