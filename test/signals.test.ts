import { describe, expect, test } from 'vitest'
import { StopSignals } from '../src/signals.ts'

type Sent = readonly [signal: NodeJS.Signals, atMs: number]

describe('a signal while the process stops ends the wait', () => {
  test.each<[string, readonly Sent[], readonly boolean[]]>([
    [
      'where it is the second',
      [
        ['SIGTERM', 0],
        ['SIGTERM', 1],
      ],
      [true],
    ],
    [
      'not where a parent has passed on what the terminal sent to all',
      [
        ['SIGINT', 0],
        ['SIGINT', 3],
        ['SIGINT', 999],
      ],
      [false, false],
    ],
    [
      'where somebody presses Ctrl-C again',
      [
        ['SIGINT', 0],
        ['SIGINT', 3],
        ['SIGINT', 1000],
        ['SIGINT', 1003],
      ],
      [false, true, false],
    ],
    [
      'whichever it is',
      [
        ['SIGINT', 0],
        ['SIGTERM', 3],
        ['SIGINT', 4],
      ],
      [true, false],
    ],
  ])('%s', (_when, [first, ...others], expected) => {
    const signals = new StopSignals()
    signals.isSecond(...first!)
    expect(others.map((sent) => signals.isSecond(...sent))).toEqual(expected)
  })

  test('but not the first one after a drain by the admin API', () => {
    const signals = new StopSignals()
    signals.onDrained()
    expect(signals.isSecond('SIGINT', 0)).toBe(false)
    expect(signals.isSecond('SIGINT', 3)).toBe(false)
    expect(signals.isSecond('SIGTERM', 4)).toBe(true)
  })
})
