import { describe, expect, test } from 'vitest'
import {
  equalBytes,
  PreparedStatement,
  type SharedStatement,
} from '../../src/prepared/statement.ts'
import { StatementClass } from '../../src/statement/classify.ts'

const A = Uint8Array.of(1, 2, 3, 4)
const B = Uint8Array.of(1, 2, 3, 5)
const LONGER = Uint8Array.of(1, 2, 3, 4, 5)
const M = Uint8Array.of(7, 7)
const N = Uint8Array.of(7, 8)

const shared = (changes: Partial<SharedStatement>): SharedStatement => ({
  id: A,
  ids: [A, A],
  columnDigests: [null, null],
  statementClass: StatementClass.READ,
  text: new TextEncoder().encode('SELECT 1'),
  keyspace: 'ks',
  ...changes,
})

describe('an EXECUTE can go out as the client wrote it', () => {
  test.each<[string, Partial<SharedStatement>, [boolean, boolean]]>([
    ['to both with equal ids', { ids: [A, A.slice()] }, [true, true]],
    ['to Origin alone with another id on Target', { ids: [A, B] }, [true, false]],
    ['to Origin alone with a longer id on Target', { ids: [A, LONGER] }, [true, false]],
    ['to both with equal metadata', { columnDigests: [M, M.slice()] }, [true, true]],
    ['to Origin alone with other metadata on Target', { columnDigests: [M, N] }, [true, false]],
    ['to both without metadata on Target', { columnDigests: [M, null] }, [true, true]],
    ['to both without metadata on Origin', { columnDigests: [null, M] }, [true, true]],
    ['to neither when both have another', { ids: [B, B] }, [false, false]],
  ])('%s', (_name, changes, expected) => {
    expect(new PreparedStatement(shared(changes), 0).isVerbatim).toEqual(expected)
  })
})

describe('a node that gives another id', () => {
  test('is sent that one, while the client keeps its own', () => {
    const statement = new PreparedStatement(shared({}), 0)
    statement.learnId(1, B)
    expect(statement.ids).toEqual([A, B])
    expect(statement.isVerbatim).toEqual([true, false])
    statement.learnId(0, B)
    expect(statement.isVerbatim).toEqual([false, false])
    expect(statement.id).toBe(A)
  })

  test('and then the client’s again', () => {
    const statement = new PreparedStatement(shared({ ids: [A, B] }), 0)
    statement.learnId(1, A)
    expect(statement.isVerbatim).toEqual([true, true])
  })

  test('changes nothing for whoever shared the statement', () => {
    const origin = shared({})
    new PreparedStatement(origin, 0).learnId(1, B)
    expect(origin.ids).toEqual([A, A])
  })
})

test('what is shared makes the same statement elsewhere', () => {
  const statement = new PreparedStatement(
    shared({ ids: [A, B], columnDigests: [M, N], statementClass: StatementClass.USE }),
    5,
  )
  const copy = new PreparedStatement(structuredClone(statement.share()), 9)
  expect(copy.share()).toEqual(statement.share())
  expect(copy.isVerbatim).toEqual(statement.isVerbatim)
  expect(copy.lastUsedMs).toBe(9)
})

describe('equalBytes', () => {
  test.each([
    [A, A, true],
    [A, A.slice(), true],
    [A, B, false],
    [A, LONGER, false],
    [LONGER, A, false],
    [new Uint8Array(0), new Uint8Array(0), true],
  ])('%j and %j: %s', (a, b, expected) => {
    expect(equalBytes(a, b)).toBe(expected)
  })
})
