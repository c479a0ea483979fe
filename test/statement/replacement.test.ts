/** The new texts, for texts that run once and for texts that are prepared (request-path §3.4). */
import { randomFillSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { findFunctionCalls } from '../../src/statement/function-calls.ts'
import { FunctionValues } from '../../src/statement/function-values.ts'
import {
  literalReplacements,
  markerReplacements,
  type Replacement,
} from '../../src/statement/replacement.ts'

/** 2021-11-09 18:13:32.705 UTC */
const WALL_MS = 1636481612705

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

const apply = (text: string, replacements: readonly Replacement[]): string => {
  const bytes = utf8(text)
  const parts: Uint8Array[] = []
  let copied = 0
  for (const replacement of replacements) {
    parts.push(bytes.subarray(copied, replacement.start), replacement.text)
    copied = replacement.end
  }
  return new TextDecoder().decode(Buffer.concat([...parts, bytes.subarray(copied)]))
}

const callsIn = (text: string) => findFunctionCalls(utf8(text), 0, utf8(text).length)

describe('literals', () => {
  const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'
  const RANDOM_UUID = UUID.replace('-1', '-4')

  test.each([
    ["VALUES ('é✓', now(), 'é✓')", `VALUES \\('é✓', ${UUID}, 'é✓'\\)`],
    ['VALUES (toTimestamp( NOW() ))', `VALUES \\(toTimestamp\\( \\(timeuuid\\)${UUID} \\)\\)`],
    ['VALUES (uuid())', `VALUES \\(\\(uuid\\)${RANDOM_UUID}\\)`],
    ['VALUES (currentTimeUUID())', `VALUES \\(\\(timeuuid\\)${UUID}\\)`],
    ['VALUES ([now()])', `VALUES \\(\\[\\(timeuuid\\)${UUID}\\]\\)`],
    ['VALUES (currentTimestamp())', `VALUES \\(\\(timestamp\\)${WALL_MS}\\)`],
    ['VALUES (currentDate())', "VALUES \\(\\(date\\)'2021-11-09'\\)"],
    ['VALUES (currentTime())', "VALUES \\(\\(time\\)'18:13:32.705'\\)"],
    ['VALUES (f(1))', 'VALUES \\(f\\(1\\)\\)'],
  ])('%s', (text, expected) => {
    const values = new FunctionValues((bytes) => randomFillSync(bytes))
    const replaced = apply(text, literalReplacements(callsIn(text).calls, values, WALL_MS))
    expect(replaced).toMatch(new RegExp(`^${expected}$`))
  })

  test('are another for each call', () => {
    const values = new FunctionValues((bytes) => randomFillSync(bytes))
    const text = 'now() now() uuid() uuid() currentTimeUUID()'
    const literals = literalReplacements(callsIn(text).calls, values, WALL_MS)
    expect(new Set(literals.map((literal) => new TextDecoder().decode(literal.text))).size).toBe(5)
  })
})

describe('markers', () => {
  test.each<[string, string, number[]]>([
    ['VALUES (now())', 'VALUES (?)', [0]],
    ["VALUES ('é', ?, now(), ?)", "VALUES ('é', ?, ?, ?)", [1]],
    ['VALUES (now(), ?, now(), now())', 'VALUES (?, ?, ?, ?)', [0, 2, 3]],
    ['VALUES ([?, ?], now())', 'VALUES ([?, ?], ?)', [2]],
    ['VALUES (f(?), toDate(now()))', 'VALUES (f(?), toDate((timeuuid)?))', [1]],
    ['VALUES (uuid(), ?)', 'VALUES ((uuid)?, ?)', [0]],
    ['VALUES (:a, now())', 'VALUES (:a, :zdm__now)', [1]],
    ['VALUES (now(), :a, now())', 'VALUES (:zdm__now, :a, :zdm__now_2)', [0, 2]],
    ['VALUES (:zdm__now, now())', 'VALUES (:zdm__now, :zdm__now_2)', [1]],
    ['VALUES (:a, uuid())', 'VALUES (:a, (uuid):zdm__uuid)', [1]],
    [
      'VALUES (:a, ?, currentTimestamp())',
      'VALUES (:a, ?, (timestamp):zdm__currenttimestamp)',
      [2],
    ],
    ['USING TTL ? SET a = now() WHERE k = ?', 'USING TTL ? SET a = ? WHERE k = ?', [1]],
  ])('%s', (text, expected, indices) => {
    const statement = callsIn(text)
    const plan = markerReplacements(statement, statement.calls)
    expect(apply(text, plan.replacements)).toBe(expected)
    expect(plan.variables.map(({ index }) => index)).toEqual(indices)
    // What the new text's own markers say.
    expect(callsIn(expected).markers).toBe(plan.variableCount)
  })
})
