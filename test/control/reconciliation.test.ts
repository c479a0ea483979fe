/** Whole episodes with writes to one cluster, and what is remembered of them until the data is equal again. */
import { describe, expect, test } from 'vitest'
import { coordinateChange } from '../../src/control/coordinate.ts'
import { FailureBook } from '../../src/control/failure-book.ts'
import type { MigrationState } from '../../src/control/migration-state.ts'
import type { Phase, Routing } from '../../src/control/phase.ts'
import { planChange } from '../../src/control/plan.ts'
import type { ChangeReport, Reconciliation } from '../../src/control/report.ts'
import type { Wish } from '../../src/control/wish.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type FakeInstance, fakeInstance, ON_ORIGIN, stateIn } from './instances.ts'

const WHO = { by: 'ada', reason: 'a test', force: false }
const BACK: Wish = { verb: 'rollback', leave: true }

class Deployment {
  readonly clock = new FakeClock()
  readonly instances: FakeInstance[]

  constructor(phase: Phase, changes: Partial<MigrationState> = {}) {
    const state = stateIn(phase, changes)
    this.instances = ['a', 'b'].map((name) => fakeInstance(name, { state, clock: this.clock }))
  }

  get state(): MigrationState {
    return this.instances[1]!.switch.state
  }

  change(wish: Wish, force = false): Promise<ChangeReport> {
    this.clock.advance(1000)
    return coordinateChange(this.instances, wish, { ...WHO, force }, this.clock)
  }

  advance(to: Phase): Promise<ChangeReport> {
    return this.change({ verb: 'advance', to })
  }

  /** Forced: it leaves the phases. */
  async route(changes: Partial<Routing>): Promise<void> {
    const routing = { ...this.state.routing, ...changes }
    expect((await this.change({ verb: 'route', routing }, true)).outcome).toBe('done')
  }

  now(): string {
    return new Date(this.clock.wallMs()).toISOString()
  }

  /** What it answers, or null where it is recorded. */
  async record(reconciliation: Partial<Reconciliation>): Promise<string | null> {
    this.clock.advance(1000)
    const whole = { step: 'done', at: this.now(), into: 'target', since: null, ...reconciliation }
    for (const instance of this.instances) {
      try {
        await instance.reconciled(whole as Reconciliation, WHO)
      } catch (error) {
        return String(error)
      }
    }
    return null
  }

  async compare(into: 'origin' | 'target'): Promise<string | null> {
    return (await this.record({ step: 'begin' })) ?? this.record({ into })
  }
}

const failedOf = ({ checks }: ChangeReport): string[] => [
  ...new Set(checks.filter(({ outcome }) => outcome === 'fail').map(({ id }) => id)),
]

describe('writes to Origin alone', () => {
  test('close the way to Target until its data was made equal again', async () => {
    const all = new Deployment('rolled-back', { rolledBackFrom: 'target-reads' })
    await all.route({ writeMode: 'origin_only' })
    expect(failedOf(await all.advance('target-reads'))).toEqual(['safety-net', 'reconciled'])
    expect(await all.compare('target')).toContain('write-mode both first')
    await all.route({ writeMode: 'both' })
    expect(all.state.targetLacks).toMatchObject({ until: expect.any(String) })
    for (const to of ['dual-read', 'target-reads'] as const) {
      expect(failedOf(await all.advance(to))).toContain('reconciled')
    }
    expect(await all.compare('origin')).toBeNull()
    expect((await all.advance('target-reads')).outcome).toBe('refused')
    expect(await all.compare('target')).toBeNull()
    expect(all.state.targetLacks).toBeNull()
    expect((await all.advance('target-reads')).outcome).toBe('done')
  })

  test('are not made good by a comparison that began before they ended', async () => {
    const all = new Deployment('migrate')
    await all.record({ step: 'begin' })
    await all.route({ writeMode: 'origin_only' })
    await all.route({ writeMode: 'both' })
    expect(await all.record({})).toContain('the comparison began before')
    expect(await all.record({ since: all.now() })).toBeNull()
  })

  test('are remembered by those whom a change has not reached, once all are alike', async () => {
    const all = new Deployment('migrate')
    all.instances[1]!.faults = { commit: 'refuse' }
    const routing = { ...ON_ORIGIN, writeMode: 'origin_only' } as const
    const partial = await all.change({ verb: 'route', routing }, true)
    expect(partial.outcome).toBe('partial')
    all.instances[1]!.faults = {}
    const { outcome } = await all.change({ verb: 'align', like: 'b' })
    expect(outcome).toBe('done')
    expect(failedOf(await all.advance('dual-read'))).toEqual(['reconciled'])
  })
})

describe('writes to Target alone', () => {
  const leftAlone = async (): Promise<Deployment> => {
    const all = new Deployment('target-reads')
    await all.route({ writeMode: 'target_only' })
    return all
  }

  test('close the way back to Origin, also when writes go to both again', async () => {
    const all = await leftAlone()
    expect(failedOf(await all.change(BACK))).toEqual(['origin-complete'])
    // Writing to both again is right, and brings nothing back.
    const repaired = await all.advance('target-reads')
    expect(repaired.outcome).toBe('done')
    const back = await all.change(BACK)
    expect(failedOf(back)).toEqual(['origin-complete'])
    expect(back.leave).toMatchObject({ isOriginComplete: false })
    expect(back.leave!.doubts.join()).toContain('Origin lacks them')
    expect(back.leave!.steps.join()).not.toContain('empty the tables on Target')
    const forced = await all.change(BACK, true)
    expect(forced).toMatchObject({ outcome: 'done', leave: { isOriginComplete: false } })
    expect(forced.message).toContain('Origin lacks them')
    // Forgotten by no change of phase.
    expect(failedOf(await all.advance('migrate'))).toEqual(['safety-net'])
  })

  test('are made good by writing Target’s rows into Origin, and by nothing else', async () => {
    const all = await leftAlone()
    expect(await all.compare('origin')).toContain('write-mode both first')
    await all.route({ writeMode: 'both' })
    expect(await all.compare('target')).toBeNull()
    expect((await all.change(BACK)).outcome).toBe('refused')
    expect(await all.compare('origin')).toBeNull()
    expect(await all.change(BACK)).toMatchObject({
      outcome: 'done',
      leave: { isOriginComplete: true },
    })
  })
})

describe('after cut-over', () => {
  test('nobody knows whether Origin is complete, until its data was made equal', async () => {
    const all = new Deployment('target-reads')
    await all.advance('cut-over')
    const plan = await planChange(all.instances, BACK, all.clock)
    expect(plan.isAllowed).toBe(true)
    expect(plan.checks.find(({ id }) => id === 'origin-complete')!.outcome).toBe('warn')
    expect(await all.compare('origin')).toContain('zdm rollback first')
    const back = await all.change(BACK)
    expect(back.outcome).toBe('done')
    expect(back.message).toContain('is unknown')
    for (const { leave } of [plan, back]) {
      expect(leave!.isOriginComplete).toBe(false)
      expect(leave!.doubts.join()).toContain('written to Target directly')
      expect(leave!.steps.join()).not.toContain('empty the tables on Target')
    }
    // A comparison that began in cut-over does not count.
    expect(await all.record({ into: 'origin' })).toContain('no beginning')
    await all.advance('target-reads')
    expect((await all.change(BACK)).leave!.isOriginComplete).toBe(false)
    expect(await all.compare('origin')).toBeNull()
    await all.advance('target-reads')
    expect((await all.change(BACK)).leave!.isOriginComplete).toBe(true)
  })
})

describe('a reconciliation', () => {
  test.each([
    ['connect', {}],
    ['rolled-back', { rolledBackFrom: 'connect' }],
  ] as const)('of Target cannot be recorded in %s', async (phase, changes) => {
    const all = new Deployment(phase, { ...changes, reconciledAt: null })
    expect(await all.compare('target')).toContain('zdm advance migrate')
    expect(all.state.reconciledAt).toBeNull()
  })

  test('needs a beginning, and says how', async () => {
    const all = new Deployment('migrate', { reconciledAt: null })
    expect(await all.record({})).toContain('zdm reconciled --begin')
    expect(await all.record({ since: '2199-01-01T00:00:00.000Z' })).toContain('cannot have begun')
    expect(all.state.reconciledAt).toBeNull()
    const since = all.now()
    expect(await all.record({ since })).toBeNull()
    expect(all.state.reconciledAt).toBe(since)
  })

  test('holds for this attempt alone', async () => {
    const all = new Deployment('dual-read')
    await all.change(BACK)
    await all.advance('migrate')
    expect(failedOf(await all.advance('dual-read'))).toEqual(['reconciled'])
    expect(failedOf(await all.advance('target-reads'))).toContain('dual-read-skipped')
  })
})

describe('failed writes', () => {
  const newBook = (): FailureBook =>
    new FailureBook({ sinceMs: { origin: 0, target: 0 }, tables: [], gaps: [] })

  const row = (table: string, originOnly: number, targetOnly: number, lastMs: number) => ({
    keyspace: 'ks',
    table,
    originOnly,
    targetOnly,
    both: 0,
    firstMs: 1000,
    lastMs,
  })

  test('from before a comparison are forgotten, those during it are not', () => {
    const book = newBook()
    book.begin([row('t', 0, 5, 1000)], 2000)
    book.forget('target', [row('t', 0, 7, 3000), row('u', 0, 1, 3000)], 2000)
    const rows = [row('t', 0, 7, 3000), row('u', 0, 1, 3000)]
    expect(book.read(rows)).toMatchObject({ targetOnly: 3, since: '1970-01-01T00:00:02.000Z' })
  })

  test('of one cluster are not forgotten for rows written into the other', () => {
    const book = newBook()
    const rows = [row('t', 2, 5, 1000)]
    book.begin(rows, 2000)
    book.forget('target', rows, 2000)
    expect(book.read(rows)).toMatchObject({
      originOnly: 2,
      targetOnly: 0,
      originSince: '1970-01-01T00:00:00.000Z',
    })
    book.forget('origin', rows, 2000)
    expect(book.read(rows)).toMatchObject({ originOnly: 0, targetOnly: 0, tables: [] })
  })

  test('of a table that failed since are all kept where the beginning was only told', () => {
    const book = newBook()
    const rows = [row('t', 0, 5, 3000), row('u', 0, 4, 1000)]
    book.forget('target', rows, 2000)
    expect(book.read(rows).tables).toMatchObject([{ table: 't', targetOnly: 5 }])
  })
})
