import { describe, expect, test } from 'vitest'
import { parsePrometheusText, sampleValue } from './prometheus-text.ts'

const head = (type: string): string => `# HELP x text\n# TYPE x ${type}\n`

describe('what the reader of the text format refuses', () => {
  test.each([
    ['no end of line', `${head('gauge')}x 1`, 'the last line has no end'],
    ['no TYPE', '# HELP x text\nx 1\n', 'sample before TYPE'],
    ['no HELP', '# TYPE x gauge\nx 1\n', 'TYPE without HELP'],
    ['TYPE twice', `${head('gauge')}# TYPE x gauge\n`, 'TYPE twice'],
    ['an unknown type', head('meter'), 'not a type'],
    ['a family twice', `${head('gauge')}x 1\n${head('gauge')}x 2\n`, 'family twice'],
    ['a series twice', `${head('gauge')}x{a="1",b="2"} 1\nx{b="2",a="1"} 1\n`, 'series twice'],
    ['a sample of another family', `${head('gauge')}y 1\n`, 'is not of family x'],
    ['a bucket of a gauge', `${head('gauge')}x_bucket{le="1"} 1\n`, 'is not of family x'],
    ['an illegal name', '# HELP 1x text\n', 'not a metric name'],
    ['an illegal label', `${head('gauge')}x{a-b="1"} 1\n`, 'not a label name'],
    ['a label twice', `${head('gauge')}x{a="1",a="1"} 1\n`, 'label twice'],
    ['an open label value', `${head('gauge')}x{a="1} 1\n`, 'without an end'],
    ['an unknown escape', `${head('gauge')}x{a="\\t"} 1\n`, 'unknown escape'],
    ['an unknown escape in HELP', '# HELP x a\\tb\n', 'unknown escape in HELP'],
    ['no value', `${head('gauge')}x{a="1"}\n`, 'no space before the value'],
    ['a value that is no number', `${head('gauge')}x undefined\n`, 'not a number'],
    ['a negative counter', `${head('counter')}x -1\n`, 'counter below 0'],
    ['a comment', '# hello\n', 'neither HELP nor TYPE'],
    [
      'buckets out of order',
      `${head('histogram')}x_bucket{le="2"} 1\nx_bucket{le="1"} 1\nx_sum 1\nx_count 1\n`,
      'out of order',
    ],
    [
      'buckets that are not cumulative',
      `${head('histogram')}x_bucket{le="1"} 2\nx_bucket{le="+Inf"} 1\nx_sum 1\nx_count 1\n`,
      'not cumulative',
    ],
    [
      'no bucket +Inf',
      `${head('histogram')}x_bucket{le="1"} 2\nx_sum 1\nx_count 2\n`,
      'no bucket +Inf',
    ],
    [
      'a count that is not the last bucket',
      `${head('histogram')}x_bucket{le="+Inf"} 2\nx_sum 1\nx_count 3\n`,
      '_count is 3',
    ],
    ['a histogram without a sum', `${head('histogram')}x_count 0\n`, '0 lines of x_sum'],
    ['a quantile above 1', `${head('summary')}x{quantile="2"} 1\nx_sum 1\nx_count 1\n`, 'quantile'],
  ])('%s', (_what, text, message) => {
    expect(() => parsePrometheusText(text)).toThrow(message)
  })
})

test('reads labels with every escape, and all kinds of numbers', () => {
  const text = `# HELP x a\\\\b\\nc\n# TYPE x gauge\nx{a="q\\"b\\\\n\\n,}"} +Inf\nx 1.5e-05\n`
  const families = parsePrometheusText(text)
  expect(families.get('x')!.help).toBe('a\\b\nc')
  expect(sampleValue(families, 'x', { a: 'q"b\\n\n,}' })).toBe(Infinity)
  expect(sampleValue(families, 'x')).toBe(0.000015)
})
