import { describe, expect, test } from 'vitest'
import { parseArguments } from '../../demo/arguments.ts'

describe('the command line of the demo', () => {
  test.each([
    { args: [], expected: { kind: 'run', keep: false, seconds: 15 } },
    { args: ['--keep'], expected: { kind: 'run', keep: true, seconds: 15 } },
    { args: ['--seconds', '1'], expected: { kind: 'run', keep: false, seconds: 1 } },
    { args: ['--seconds=3600', '--keep'], expected: { kind: 'run', keep: true, seconds: 3600 } },
    { args: ['--help'], expected: { kind: 'help' } },
    { args: ['-h', '--seconds', 'x'], expected: { kind: 'help' } },
  ])('$args', ({ args, expected }) => {
    expect(parseArguments(args)).toEqual(expected)
  })

  test.each([
    { args: ['--seconds', '0'], message: /--seconds 0: .*1 to 3600/ },
    { args: ['--seconds', '3601'], message: /--seconds 3601/ },
    { args: ['--seconds', '1.5'], message: /--seconds 1\.5/ },
    { args: ['--seconds=-5'], message: /--seconds -5/ },
    { args: ['--seconds', '99999'], message: /--seconds 99999/ },
    { args: ['--seconds'], message: /--seconds/ },
    { args: ['--keep=yes'], message: /--keep/ },
    { args: ['--fast'], message: /--fast/ },
    { args: ['now'], message: /now/ },
  ])('$args is wrong', ({ args, message }) => {
    expect(parseArguments(args)).toMatchObject({
      kind: 'wrong',
      message: expect.stringMatching(message),
    })
  })
})
