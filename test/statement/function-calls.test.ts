/** Which calls are found, where they lie, and what may stand in their place (request-path §3.4, §12). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  CallPlace,
  findFunctionCalls,
  mayCallFunction,
  textWithoutLiterals,
} from '../../src/statement/function-calls.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

const find = (text: string): ReturnType<typeof findFunctionCalls> => {
  const bytes = utf8(text)
  return findFunctionCalls(bytes, 0, bytes.length)
}

const PLACES = ['value', 'typed', 'collection']

/** `function@markers place "text"`, one per call. */
const callsIn = (text: string): string[] => {
  const bytes = utf8(text)
  return findFunctionCalls(bytes, 0, bytes.length).calls.map((call) => {
    const spelled = new TextDecoder().decode(bytes.subarray(call.start, call.end))
    return `${call.function.name}@${call.markersBefore} ${PLACES[call.place]} ${spelled}`
  })
}

describe('calls', () => {
  test.each<[string, string[]]>([
    ['INSERT INTO t (a) VALUES (now())', ['now@0 value now()']],
    ['INSERT INTO t (a) VALUES (NOW())', ['now@0 value NOW()']],
    ['INSERT INTO t (a) VALUES (System.NOW())', ['now@0 value System.NOW()']],
    ['INSERT INTO t (a) VALUES ("system" . "now" ( ))', ['now@0 value "system" . "now" ( )']],
    ['INSERT INTO t (a) VALUES (now(/* nothing */))', ['now@0 value now(/* nothing */)']],
    ['INSERT INTO t (a) VALUES ("NOW"())', []],
    ['INSERT INTO t (a) VALUES (ks.now())', []],
    ['INSERT INTO t (a) VALUES ("SYSTEM".now())', []],
    ['INSERT INTO t (a) VALUES (now(1))', []],
    ['INSERT INTO t (a) VALUES (later())', []],
    ["INSERT INTO t (a) VALUES ('now()', $$ uuid() $$)", []],
    ['INSERT INTO t (a) VALUES (1) -- now()', []],
    ['INSERT INTO t (now, uuid) VALUES (1, 2)', []],
    ['INSERT INTO t (a, b) VALUES (?, now())', ['now@1 value now()']],
    ['INSERT INTO t (a, b) VALUES (now(), ?)', ['now@0 value now()']],
    [
      'INSERT INTO t (a, b, c) VALUES (now(), ?, now())',
      ['now@0 value now()', 'now@1 value now()'],
    ],
    ["INSERT INTO t (a, b) VALUES ('é✓', now())", ['now@0 value now()']],
    ['INSERT INTO t (é, b) VALUES (?, now())', ['now@1 value now()']],
    ['INSERT INTO t (a, b, c) VALUES ([?, ?], {?: ?}, now())', ['now@4 value now()']],
    ['INSERT INTO t (a, b) VALUES (f(?, g(?)), now())', ['now@2 value now()']],
    ['INSERT INTO t (a, b) VALUES ((?, ?), now())', ['now@2 value now()']],
    ['INSERT INTO t (a, b) VALUES ({x: ?, y: :z}, now())', ['now@2 value now()']],
    ['INSERT INTO t (a) VALUES (now()) USING TTL ?', ['now@0 value now()']],
    ['UPDATE t USING TTL ? AND TIMESTAMP ? SET a = now()', ['now@2 value now()']],
    ['UPDATE t USING TTL :ttl SET a = now()', ['now@1 value now()']],
    ['UPDATE t SET m[now()] = ? WHERE k = now()', ['now@0 value now()', 'now@1 value now()']],
    ['UPDATE t SET a.b = now() WHERE k = ?', ['now@0 value now()']],
    [
      'UPDATE t SET a = 1 WHERE k IN (?, now(), ?) IF b = now()',
      ['now@1 value now()', 'now@2 value now()'],
    ],
    ['UPDATE t SET a = 1 WHERE (k, c) > (?, now())', ['now@1 value now()']],
    [
      'DELETE m[now()] FROM t WHERE k = ? IF a IN (now(), ?)',
      ['now@0 value now()', 'now@1 value now()'],
    ],
    ['UPDATE t SET a = (timeuuid) now()', ['now@0 value now()']],
    ['UPDATE t SET a = toTimestamp(now())', ['now@0 typed now()']],
    ['UPDATE t SET a = f(?, g(now()), ?)', ['now@1 typed now()']],
    ['UPDATE t SET a = currentTimestamp() - 1d', ['currentTimestamp@0 typed currentTimestamp()']],
    ['UPDATE t SET a = 1d + currentDate()', ['currentDate@0 typed currentDate()']],
    ['UPDATE t SET a = {b: now(), c: (1, uuid())}', ['now@0 typed now()', 'uuid@0 typed uuid()']],
    ['UPDATE t SET a = (now(), 1)', ['now@0 value now()']],
    ['UPDATE t SET a = [now()]', ['now@0 collection now()']],
    ['UPDATE t SET a = a + [f(now())]', ['now@0 collection now()']],
    ['UPDATE t SET a = {now()}', ['now@0 collection now()']],
    [
      'UPDATE t SET a = {now(): ?, ?: uuid()}',
      ['now@0 collection now()', 'uuid@2 collection uuid()'],
    ],
    ["UPDATE t SET a = {'x': now()}", ['now@0 collection now()']],
    ['UPDATE t SET a = [{b: now()}]', ['now@0 collection now()']],
    ['UPDATE t SET a = CURRENTTIMEUUID()', ['currentTimeUUID@0 value CURRENTTIMEUUID()']],
    ['UPDATE t SET a = current_timeuuid()', ['currentTimeUUID@0 value current_timeuuid()']],
    ['UPDATE t SET a = current_timestamp()', ['currentTimestamp@0 value current_timestamp()']],
    ['UPDATE t SET a = currentTime()', ['currentTime@0 value currentTime()']],
    [
      'BEGIN BATCH USING TIMESTAMP ? INSERT INTO t (a) VALUES (?, now()); DELETE a FROM t WHERE k = now() APPLY BATCH',
      ['now@2 value now()', 'now@2 value now()'],
    ],
    ['', []],
    ['now()', ['now@0 value now()']],
    ['UPDATE t SET a = now(', []],
    ['UPDATE t SET a = "now()', []],
  ])('%s', (text, expected) => {
    expect(callsIn(text)).toEqual(expected)
  })

  test('lie where they are, whatever stands around the text', () => {
    const before = utf8('é(now()) ? ')
    const text = utf8('UPDATE t SET a = now()')
    const bytes = new Uint8Array([...before, ...text, ...utf8(', uuid()')])
    const end = before.length + text.length
    expect(findFunctionCalls(bytes, before.length, end).calls).toMatchObject([
      { start: end - 5, end, markersBefore: 0, place: CallPlace.VALUE },
    ])
  })

  test('every call is a call of its own text', () => {
    const piece = fc.constantFrom(
      ...['now()', 'uuid()', '?', ':x', '(', ')', '[', ']', '{', '}', ',', ':', 'é', "'", '"'],
      ...[' ', 'f', '.', 'system', '--', '\n', '/*', '*/', '$$', '=', '-'],
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join('')
        const bytes = utf8(text)
        let behind = 0
        for (const call of find(text).calls) {
          expect(call.start).toBeGreaterThanOrEqual(behind)
          behind = call.end
          const spelled = new TextDecoder().decode(bytes.subarray(call.start, call.end))
          expect(spelled.toLowerCase()).toMatch(/^(?:\W*system\W*)?\W*(?:now|uuid)[\s\S]*\)$/)
          expect(mayCallFunction(bytes, 0, bytes.length)).toBe(true)
        }
      }),
    )
  })
})

describe('markers', () => {
  test.each<[string, number, string[]]>([
    ['UPDATE t SET a = ? WHERE k = ?', 2, []],
    ['UPDATE t SET a = :a WHERE k = :"B c"', 2, ['a', 'B c']],
    ['UPDATE t SET a = :A WHERE k = : b', 2, ['a', 'b']],
    ["UPDATE t SET a = {'x': :v, :k : 1}", 2, ['v', 'k']],
    ['UPDATE t SET a = {:x, :y}', 2, ['x', 'y']],
    ['UPDATE t SET a = {f: g, h: ?}', 1, []],
    ['UPDATE t SET a = {f: {g: :m}, "H": [:n]}', 2, ['m', 'n']],
    ['UPDATE t SET a = \'?\', b = "?" /* ? */ -- ?', 0, []],
    ["UPDATE t SET a = '12:30', b = {1 : now()}", 0, []],
  ])('%s has %i', (text, markers, names) => {
    const found = find(text)
    expect([found.markers, found.markerNames]).toEqual([markers, names])
  })
})

describe('an INSERT JSON', () => {
  test.each([
    [`INSERT INTO t JSON '{"a": "now()"}'`, ['now']],
    [
      `INSERT INTO t JSON '{"a": "uuid( )", "b": "currentDate()"}' IF NOT EXISTS`,
      ['uuid', 'currentDate'],
    ],
    [`INSERT INTO t JSON '{"a": "then"}'`, []],
    [`INSERT INTO t JSON ?`, []],
    [`INSERT INTO t (json) VALUES ('now()')`, []],
  ])('%s names functions that no server calls', (text, expected) => {
    expect(find(text).inJson.map(({ name }) => name)).toEqual(expected)
  })
})

describe('a statement’s shape', () => {
  const shapeOf = (text: string): number => find(text).shape

  test('is the same whatever its literals, blanks and comments are', () => {
    const shape = shapeOf("INSERT INTO t (a, b) VALUES ('x', 1)")
    expect(shapeOf("INSERT INTO t (a,b)\n VALUES ('other', 22) -- x")).toBe(shape)
  })

  test('is another for another column, and never 0', () => {
    const shapes = ['a', 'b', 'ab'].map((name) => shapeOf(`UPDATE t SET ${name} = 1`))
    expect(new Set(shapes).size).toBe(3)
    expect(shapes).not.toContain(0)
  })
})

test('a text for the log has no literals', () => {
  const text = "INSERT  INTO t (a, b)/*c*/VALUES ('secret', 12.5, now())"
  expect(textWithoutLiterals(utf8(text))).toBe('INSERT INTO t (a, b) VALUES (…, …, now())')
})

test.each([
  ['INSERT INTO t (a) VALUES (now())', true],
  ['INSERT INTO t (a) VALUES (now( /* */ ))', true],
  ["INSERT INTO t (a) VALUES ('()')", true],
  ['INSERT INTO t (a) VALUES ( ? )', false],
  ['UPDATE t SET a = f(1)', false],
  ['UPDATE t SET a = f(', false],
  ['', false],
])('mayCallFunction: %s is %s', (text, expected) => {
  const bytes = utf8(`(${text})`)
  expect(mayCallFunction(bytes, 1, bytes.length - 1)).toBe(expected)
})

test('mayCallFunction steps over nothing, wherever the pair stands', () => {
  const padding = fc.constantFrom('', 'a', '(', '((', ' ', ')', 'a(1)', ', ', 'é')
  const inside = fc.constantFrom('', ' ', '  ', '\n', '/**/', ' /* x */ ', '--\n', '1', '(', '?')
  fc.assert(
    fc.property(padding, inside, padding, (before, between, behind) => {
      const text = `${before}(${between})${behind}`
      const bytes = utf8(text)
      const blank = text.replaceAll(/\/\*.*?\*\/|--.*|\s/g, '')
      expect([text, mayCallFunction(bytes, 0, bytes.length)]).toEqual([text, blank.includes('()')])
    }),
    { numRuns: 500 },
  )
})
