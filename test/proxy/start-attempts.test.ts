import { describe, expect, test } from 'vitest'
import { createLogger } from '../../src/log.ts'
import { StartAttempts } from '../../src/proxy/start-attempts.ts'
import { ClusterError, ClusterErrorCode } from '../../src/upstream/errors.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { eventually, someTurns } from '../support/plane.ts'

const PERMANENT = new ClusterError(ClusterErrorCode.UNUSABLE, 0, 'no such datacenter')
const TRANSIENT = new Error('connect ECONNREFUSED')

type Line = { readonly code: string; readonly msg: string; readonly isPermanent?: boolean }

/** Each attempt ends with the next of the outcomes; the last one for ever. */
const begin = (
  outcomes: readonly (Error | 'hang' | 'done')[],
  settings: { readonly startupFailFast?: boolean; readonly startupTimeoutMs?: number } = {},
) => {
  const clock = new FakeClock()
  const lines: Line[] = []
  const sink = { write: (line: string): void => void lines.push(JSON.parse(line)) }
  let attempts = 0
  const start = new StartAttempts(
    {
      clock,
      log: createLogger({ level: 'info', clock, sink }),
      random: () => 0,
      settings: () => ({ startupFailFast: false, startupTimeoutMs: 0, ...settings }),
    },
    async (signal) => {
      const outcome = outcomes[Math.min(attempts++, outcomes.length - 1)]!
      if (outcome === 'done') return 'running'
      if (outcome !== 'hang') throw outcome
      return new Promise<string>((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('ended')))
      })
    },
  )
  const codes = (): string[] => lines.map(({ code }) => code)
  return { start, clock, lines, codes, attempts: () => attempts, result: start.run() }
}

describe('a failed attempt', () => {
  test('is repeated, also where waiting will not mend it, which the log says', async () => {
    const { start, clock, lines, result } = begin([PERMANENT, TRANSIENT, 'done'])
    await eventually(() => lines.length === 1)
    expect(lines[0]).toMatchObject({ code: 'START_FAILED', isPermanent: true })
    expect(lines[0]!.msg).toContain('waiting will not mend it: correct the settings')
    expect(start.trouble).toMatchObject({ attempts: 1, why: 'Origin: no such datacenter' })
    const { sinceMs } = start.trouble!
    clock.advance(100)
    await eventually(() => lines.length === 2)
    expect(lines[1]).toMatchObject({ code: 'START_FAILED', isPermanent: false })
    expect(start.trouble).toEqual({ sinceMs, attempts: 2, why: 'connect ECONNREFUSED' })
    clock.advance(100)
    expect(await result).toBe('running')
    expect(start.givenUp).toBeNull()
  })

  test('ends the start with fail-fast where waiting will not mend it', async () => {
    const { start, clock, codes, lines, result } = begin([TRANSIENT, PERMANENT], {
      startupFailFast: true,
    })
    await eventually(() => codes().length === 1)
    clock.advance(100)
    expect(await result).toBeNull()
    expect(codes()).toEqual(['START_FAILED', 'START_GIVEN_UP'])
    expect(lines[1]!.msg).toContain(
      'Origin: no such datacenter; waiting will not mend it (startup_fail_fast): correct the settings',
    )
    expect(start.givenUp).toBe('refused')
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('after startup_timeout_ms', () => {
  test('there is no other attempt', async () => {
    const { start, clock, codes, lines, attempts, result } = begin([TRANSIENT], {
      startupTimeoutMs: 250,
    })
    for (const attempt of [1, 2]) {
      await eventually(() => start.trouble?.attempts === attempt)
      await someTurns()
      clock.advance(100)
    }
    await eventually(() => start.trouble?.attempts === 3)
    clock.advance(50)
    expect(await result).toBeNull()
    expect(start.givenUp).toBe('timed out')
    expect(codes()).toEqual(['START_FAILED', 'START_GIVEN_UP'])
    expect(lines.at(-1)!.msg).toContain(
      'not within 250 ms (startup_timeout_ms); the last failure: connect ECONNREFUSED',
    )
    expect(attempts()).toBe(3)
    expect(clock.pendingTimers).toBe(0)
  })

  test('an attempt under way is ended too', async () => {
    const { start, clock, codes, lines, result } = begin(['hang'], { startupTimeoutMs: 250 })
    await someTurns()
    clock.advance(250)
    expect(await result).toBeNull()
    expect(start.givenUp).toBe('timed out')
    expect(codes()).toEqual(['START_GIVEN_UP'])
    expect(lines[0]!.msg).toContain('the first attempt has not ended')
  })

  test('a start that has succeeded is left alone', async () => {
    const { start, clock, result } = begin(['done'], { startupTimeoutMs: 250 })
    expect(await result).toBe('running')
    expect(clock.pendingTimers).toBe(0)
    expect(start.givenUp).toBeNull()
  })
})

test('told to stop it gives up nothing, and ends', async () => {
  const { start, codes, result } = begin(['hang'], { startupFailFast: true })
  await someTurns()
  start.stop()
  expect(await result).toBeNull()
  expect(start.givenUp).toBeNull()
  expect(codes()).toEqual([])
})
