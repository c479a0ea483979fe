/** What a client sees of the variables of a statement whose functions were replaced (request-path §3.5). */
import { describe, expect, test } from 'vitest'
import { TypeId } from '../../src/cql/protocol.ts'
import { nativeType } from '../../src/cql/type-option.ts'
import { clientStatementId, clientVariables } from '../../src/session/function-replacement.ts'

const TABLE = { keyspace: 'ks', table: 't' }

const variables = (count: number, partitionKeyIndices: readonly number[]) => ({
  columns: Array.from({ length: count }, (_, index) => ({
    ...TABLE,
    name: `c${index}`,
    type: nativeType(TypeId.UUID),
  })),
  globalTable: TABLE,
  partitionKeyIndices,
})

const generated = (indices: readonly number[]) =>
  indices.map((index) => ({ index, function: 'now' as const, isBare: true, name: null }))

describe('the generated variables are hidden, the key’s indices count what is left', () => {
  test.each([
    [4, [0, 2], [3], ['c0', 'c1', 'c2'], [0, 2]],
    [4, [3, 1], [0, 2], ['c1', 'c3'], [1, 0]],
    [4, [2], [0, 1], ['c2', 'c3'], [0]],
    [3, [1], [2], ['c0', 'c1'], [1]],
    [3, [], [0], ['c1', 'c2'], []],
    // A part of the key is the proxy's: no client can compute where the row lies.
    [3, [0, 1], [1], ['c0', 'c2'], []],
  ])('%i variables, key %j, generated %j', (count, key, hidden, names, indices) => {
    const shown = clientVariables(variables(count, key), generated(hidden))
    expect(shown.columns.map(({ name }) => name)).toEqual(names)
    expect(shown).toMatchObject({ partitionKeyIndices: indices, globalTable: TABLE })
  })

  test('none is left: no table is spelled either, as in a server’s answer', () => {
    expect(clientVariables(variables(1, [0]), generated([0]))).toEqual({
      columns: [],
      partitionKeyIndices: [],
    })
  })

  test('v3 has no indices', () => {
    const { partitionKeyIndices: _, ...v3 } = variables(2, [])
    expect(clientVariables(v3, generated([0]))).not.toHaveProperty('partitionKeyIndices')
  })
})

test('the id depends on Origin’s id and on the text, and on nothing else', () => {
  const [a, b] = [Uint8Array.of(1), Uint8Array.of(2)]
  const ids = [
    clientStatementId(a, b),
    clientStatementId(b, a),
    clientStatementId(a, a),
    clientStatementId(a.slice(), b.slice()),
  ].map((id) => Buffer.from(id).toString('hex'))
  expect(new Set(ids).size).toBe(3)
  expect(ids[3]).toBe(ids[0])
})
