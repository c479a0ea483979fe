/** An instance that starts among others: what it takes over, and when it stays as it is. */
import { describe, expect, test } from 'vitest'
import { askOthers, CATCH_UP_TIMEOUT_MS, decideCatchUp } from '../../src/control/catch-up.ts'
import type { MigrationState } from '../../src/control/migration-state.ts'
import type { Phase } from '../../src/control/phase.ts'
import type { StateStore } from '../../src/control/state-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { someTurns } from '../support/plane.ts'
import { fakeInstance, stateIn } from './instances.ts'

/** `rolled-back@6`, or `down`. */
const stateOf = (text: string): MigrationState => {
  const [phase, revision] = text.split('@')
  return stateIn(phase as Phase, { revision: Number(revision) })
}

const othersOf = (texts: readonly string[]) =>
  texts.map((text, i) => {
    const instance = fakeInstance(`peer${i}`, {
      state: stateOf(text === 'down' ? 'connect@0' : text),
    })
    if (text === 'down') instance.faults = { status: 'refuse' }
    return instance
  })

describe('an instance that starts', () => {
  test.each([
    { own: 'connect@0', others: [], does: 'current' },
    { own: 'dual-read@5', others: ['dual-read@5', 'dual-read@5'], does: 'current' },
    { own: 'dual-read@5', others: ['dual-read@5', 'down'], does: 'current' },
    // Down during a change, and during a rollback.
    {
      own: 'dual-read@5',
      others: ['target-reads@6', 'target-reads@6'],
      does: 'adopt target-reads@6',
    },
    {
      own: 'target-reads@5',
      others: ['rolled-back@6', 'rolled-back@6'],
      does: 'adopt rolled-back@6',
    },
    { own: 'target-reads@5', others: ['rolled-back@6', 'down'], does: 'adopt rolled-back@6' },
    // Without a state file it begins with what the settings say.
    { own: 'connect@0', others: ['cut-over@9', 'cut-over@9'], does: 'adopt cut-over@9' },
    // A change that was committed on some only.
    { own: 'dual-read@5', others: ['target-reads@6', 'dual-read@5'], does: 'disagree' },
    { own: 'dual-read@5', others: ['target-reads@6', 'rolled-back@7'], does: 'disagree' },
    { own: 'target-reads@6', others: ['dual-read@5', 'dual-read@5'], does: 'disagree' },
    { own: 'target-reads@6', others: ['rolled-back@6', 'rolled-back@6'], does: 'disagree' },
    { own: 'target-reads@6', others: ['target-reads@6', 'dual-read@5'], does: 'disagree' },
    // The others alike in number only.
    { own: 'dual-read@5', others: ['target-reads@6', 'rolled-back@6'], does: 'disagree' },
    { own: 'dual-read@5', others: ['down', 'down'], does: 'silent' },
  ])('in $own among $others: $does', async ({ own, others, does }) => {
    const found = await askOthers(stateOf(own), othersOf(others), new FakeClock())
    const told =
      found.kind === 'adopt' ? `adopt ${found.state.phase}@${found.state.revision}` : found.kind
    expect(told).toBe(does)
    if (found.kind === 'disagree') expect(found.text).toContain('peer0: ')
    if (found.kind === 'silent') expect(found.text).toContain('peer1: connection refused')
  })

  test('waits for nobody longer than its bound', async () => {
    const clock = new FakeClock()
    const [answering, silent] = othersOf(['rolled-back@6', 'rolled-back@6'])
    const never = { ...silent!, status: () => new Promise<never>(() => undefined) }
    const asked = askOthers(stateOf('target-reads@5'), [answering!, never], clock)
    await someTurns()
    clock.advance(CATCH_UP_TIMEOUT_MS)
    expect(await asked).toMatchObject({ kind: 'adopt', from: 'peer0' })
    expect(clock.pendingTimers).toBe(0)
  })

  test('waits for a change that another one has prepared', async () => {
    const clock = new FakeClock()
    const [peer] = othersOf(['target-reads@5'])
    const who = { by: 'ada', reason: '', force: false, expectedRevision: 5, revision: 6 }
    const change = await peer!.prepare({ ...who, transition: { verb: 'rollback' } })
    const asked = askOthers(stateOf('target-reads@5'), [peer!], clock)
    await someTurns()
    await peer!.commit(change.id)
    clock.advance(100)
    expect(await asked).toMatchObject({ kind: 'adopt', state: { phase: 'rolled-back' } })
  })

  test('but not for ever', async () => {
    const clock = new FakeClock()
    const [peer] = othersOf(['target-reads@5'])
    const who = { by: 'ada', reason: '', force: false, expectedRevision: 5, revision: 6 }
    await peer!.prepare({ ...who, transition: { verb: 'rollback' } })
    const asked = askOthers(stateOf('target-reads@5'), [peer!], clock)
    for (let ms = 0; ms < CATCH_UP_TIMEOUT_MS; ms += 100) {
      await someTurns(2)
      clock.advance(100)
    }
    expect(await asked).toEqual({ kind: 'current' })
  })
})

test('alone nobody is asked', () => {
  expect(decideCatchUp(stateOf('connect@0'), [])).toEqual({ kind: 'current' })
})

describe('what is taken over', () => {
  const newer = stateOf('rolled-back@6')

  test('is kept, routed by and recorded', async () => {
    const staged: string[] = []
    const store: StateStore = {
      isKept: true,
      stage: ({ phase }) => staged.push(`staged ${phase}`),
      commit: () => staged.push('committed'),
      discard: () => staged.push('discarded'),
      writeFault: () => Promise.resolve(null),
    }
    const own = fakeInstance('own', { state: stateOf('target-reads@5'), store })
    await own.switch.adopt(newer, 'peer0, peer1')
    expect(own.switch.state).toEqual(newer)
    expect(own.applied).toEqual([newer])
    expect(staged).toEqual(['staged rolled-back', 'committed'])
    expect(own.audit.latest(2)).toMatchObject([
      { event: 'adopted', via: 'peer0, peer1', from: { revision: 5 }, to: { revision: 6 } },
    ])
  })

  test('is routed by even where it cannot be written down', async () => {
    const store: StateStore = {
      isKept: true,
      stage: () => {
        throw new Error('disk full')
      },
      commit: () => undefined,
      discard: () => undefined,
      writeFault: () => Promise.resolve(null),
    }
    const own = fakeInstance('own', { state: stateOf('target-reads@5'), store })
    await own.switch.adopt(newer, 'peer0')
    expect(own.switch.state).toEqual(newer)
    expect(own.applied).toEqual([newer])
  })

  test('is not, where a change has reached this instance meanwhile', async () => {
    const own = fakeInstance('own', { state: stateOf('target-reads@5') })
    const who = { by: 'ada', reason: '', force: false, expectedRevision: 5, revision: 7 }
    const change = await own.prepare({ ...who, transition: { verb: 'rollback' } })
    await own.switch.adopt(newer, 'peer0')
    expect(own.switch.state.revision).toBe(5)
    await own.commit(change.id)
    await own.switch.adopt(newer, 'peer0')
    expect(own.switch.state.revision).toBe(7)
  })
})
