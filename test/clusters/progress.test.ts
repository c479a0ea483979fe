import { afterEach, describe, expect, test, vi } from 'vitest'
import { StartProgress } from '../../clusters/progress.ts'
import { StatusLine } from '../../clusters/status-line.ts'
import { type RecordedOutput, recordOutput } from './status-output.ts'

let ended: (() => void) | undefined

afterEach(() => {
  ended?.()
  vi.useRealTimers()
})

const watch = (output: RecordedOutput) => {
  const clock = { nowMs: 1000 }
  const progress = new StartProgress(new StatusLine(output), () => clock.nowMs)
  ended = progress.end
  return { clock, progress }
}

describe('progress without a terminal', () => {
  test('prints each stage once, and again only after a while', () => {
    const output = recordOutput({ isTerminal: false })
    const { clock, progress } = watch(output)
    progress.update('origin 4.1: fetching jars: 1 MB', 'origin')
    clock.nowMs += 4999
    progress.update('origin 4.1: fetching jars: 2 MB', 'origin')
    clock.nowMs += 1
    progress.update('origin 4.1: fetching jars: 3 MB', 'origin')
    progress.update('target 5.0: fetching jars: 3 MB', 'target')
    progress.update('origin 4.1: ready', 'origin')
    expect(output.written).toEqual([
      'origin 4.1: fetching jars: 1 MB\n',
      'origin 4.1: fetching jars: 3 MB\n',
      'target 5.0: fetching jars: 3 MB\n',
      'origin 4.1: ready\n',
    ])
  })
})

describe('a stage without news, without a terminal', () => {
  test('is told every ten seconds, until the cluster is ready', () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const output = recordOutput({ isTerminal: false })
    const { clock, progress } = watch(output)
    const pass = (seconds: number) => {
      for (let i = 0; i < seconds; i += 1) {
        clock.nowMs += 1000
        vi.advanceTimersByTime(1000)
      }
    }
    progress.update('origin 4.1: starting', 'origin')
    pass(9)
    expect(output.written).toEqual(['origin 4.1: starting\n'])
    pass(11)
    progress.update('origin 4.1: ready', 'origin')
    pass(30)
    expect(output.written.slice(1)).toEqual([
      'origin 4.1: starting (10 s)\n',
      'origin 4.1: starting (20 s)\n',
      'origin 4.1: ready\n',
    ])
  })
})

describe('progress on a terminal', () => {
  test('is one line with the time and every cluster, gone at the end', () => {
    const output = recordOutput({ columns: 120 })
    const { clock, progress } = watch(output)
    progress.update('origin 4.1: ready', 'origin')
    clock.nowMs += 12_700
    progress.update('target 5.0: starting', 'target')
    expect(output.written.at(-1)).toBe('\r\x1b[2K 12 s  origin 4.1: ready  │  target 5.0: starting')
    progress.end()
    expect(output.written.at(-1)).toBe('\r\x1b[2K')
  })
})
