import { describe, expect, test } from 'vitest'
import { describeOutput, StatusLine } from '../../clusters/status-line.ts'
import { recordOutput } from './status-output.ts'

const ERASE = '\r\x1b[2K'

describe('the status line of a terminal', () => {
  test('is rewritten in place, and only if it changed', () => {
    const output = recordOutput({})
    const line = new StatusLine(output)
    line.show('one')
    line.show('one')
    line.show('two')
    line.clear()
    line.clear()
    expect(output.written).toEqual([`${ERASE}one`, `${ERASE}two`, ERASE])
  })

  test('stays below lasting lines', () => {
    const output = recordOutput({})
    const line = new StatusLine(output)
    line.show('status')
    line.print('lasting')
    expect(output.written.join('')).toBe(`${ERASE}status${ERASE}lasting\n${ERASE}status`)
  })

  test.each([
    { columns: 6, text: '12345', shown: '12345' },
    { columns: 6, text: '123456', shown: '1234…' },
    { columns: 1, text: '12', shown: '…' },
  ])('is cut to fit $columns columns', ({ columns, text, shown }) => {
    const output = recordOutput({ columns })
    new StatusLine(output).show(text)
    expect(output.written).toEqual([`${ERASE}${shown}`])
  })
})

test('without a terminal only lasting lines are written, and no escape', () => {
  const output = recordOutput({ isTerminal: false })
  const line = new StatusLine(output)
  line.show('status')
  line.print('lasting')
  line.clear()
  expect(output.written).toEqual(['lasting\n'])
})

describe('what an output can do', () => {
  const stream = (isTTY: boolean) => ({ isTTY, columns: 100, write: () => true })
  test.each([
    { isTTY: true, environment: {}, isTerminal: true, hasColours: true },
    { isTTY: true, environment: { NO_COLOR: '1' }, isTerminal: true, hasColours: false },
    { isTTY: true, environment: { NO_COLOR: '' }, isTerminal: true, hasColours: true },
    { isTTY: true, environment: { TERM: 'dumb' }, isTerminal: false, hasColours: false },
    { isTTY: false, environment: {}, isTerminal: false, hasColours: false },
  ])('terminal $isTTY with $environment', ({ isTTY, environment, ...expected }) => {
    const { isTerminal, hasColours } = describeOutput(stream(isTTY), environment)
    expect({ isTerminal, hasColours }).toEqual(expected)
  })

  test('a terminal that does not know its width has 80 columns', () => {
    expect(describeOutput({ ...stream(true), columns: 0 }, {}).columns()).toBe(80)
  })
})
