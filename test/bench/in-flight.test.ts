import { describe, expect, it } from 'vitest'
import { AnswerKind, InFlight } from '../../bench/in-flight.ts'

describe('requests in flight', () => {
  it('have different stream ids, until there are none left', () => {
    const inFlight = new InFlight(3)
    const ids = [1, 2, 3].map((ms) => inFlight.take(AnswerKind.DONE, ms))
    expect([...ids].sort()).toEqual([0, 1, 2])
    expect(inFlight.take(AnswerKind.DONE, 4)).toBe(-1)
    expect(inFlight.count).toBe(3)
  })

  it('are settled in any order, each with its own start', () => {
    const inFlight = new InFlight(2)
    const first = inFlight.take(AnswerKind.ROWS, 10)
    const second = inFlight.take(AnswerKind.DONE, 20)
    expect(inFlight.settle(second, AnswerKind.DONE)).toBe(20)
    expect(inFlight.settle(first, AnswerKind.ROWS)).toBe(10)
    expect(inFlight.count).toBe(0)
    expect(inFlight.take(AnswerKind.DONE, 30)).toBe(first)
  })

  it.each([
    ['a second answer', 0, AnswerKind.DONE, 'stream 0 was answered with VOID, due was nothing'],
    [
      'a stream that is free',
      1,
      AnswerKind.ROWS,
      'stream 1 was answered with ROWS, due was nothing',
    ],
    [
      'a stream out of range',
      9,
      AnswerKind.ROWS,
      'stream 9 was answered with ROWS, due was nothing',
    ],
    ['a negative stream', -1, AnswerKind.DONE, 'stream -1 was answered with VOID, due was nothing'],
  ])('refuse %s', (_name, streamId, kind, message) => {
    const inFlight = new InFlight(2)
    inFlight.settle(inFlight.take(AnswerKind.DONE, 1), AnswerKind.DONE)
    expect(() => inFlight.settle(streamId, kind)).toThrow(message)
  })

  it('refuse an answer of another kind', () => {
    const inFlight = new InFlight(1)
    const streamId = inFlight.take(AnswerKind.ROWS, 1)
    expect(() => inFlight.settle(streamId, AnswerKind.DONE)).toThrow(
      'stream 0 was answered with VOID, due was ROWS',
    )
  })
})
