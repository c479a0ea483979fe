/** Values of an EXECUTE with those that the proxy binds, against a naive oracle (request-path §3.5). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BoundValue, decodeValues } from '../../src/cql/messages/query-parameters.ts'
import { BodyReader, NOT_SET } from '../../src/cql/reader.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { insertValues } from '../../src/session/value-insertion.ts'
import { WriteTimestamp } from '../../src/statement/write-timestamp.ts'

/** One variable of a statement; `value` null: the proxy's. */
type Variable = { readonly isGenerated: boolean; readonly value: BoundValue }

const value = fc.oneof(
  fc.uint8Array({ maxLength: 5 }),
  fc.constant(null),
  fc.constant<typeof NOT_SET>(NOT_SET),
)
const variables: fc.Arbitrary<Variable[]> = fc.array(
  fc.record({ isGenerated: fc.boolean(), value }),
  { maxLength: 12 },
)

const rewriteOf = (all: readonly Variable[]) => ({
  generated: all.flatMap(({ isGenerated }, index) =>
    isGenerated ? [{ index, function: 'now' as const, isBare: true, name: null }] : [],
  ),
  names: all.map((_, index) => `v${index}`),
  writeTimestamp: WriteTimestamp.OF_REQUEST,
})

const generatedBytes = (index: number): Uint8Array => Uint8Array.of(255, index)

/** Every variable's value in order: what the cluster has to get. */
const oracle = (all: readonly Variable[]): BoundValue[] =>
  all.map((variable, index) => (variable.isGenerated ? generatedBytes(index) : variable.value))

const insert = (
  all: readonly Variable[],
  given: Uint8Array,
  hasNames: boolean,
): readonly BoundValue[] => {
  const rewrite = rewriteOf(all)
  const generated = rewrite.generated.map(({ index }) => generatedBytes(index))
  const bytes = insertValues(new BodyReader(given), hasNames, rewrite, generated)
  const reader = new BodyReader(bytes)
  const values = decodeValues(reader)
  expect(reader.remaining).toBe(0)
  return values
}

const positional = (all: readonly Variable[]): Uint8Array =>
  new BodyWriter()
    .writeValues(all.filter(({ isGenerated }) => !isGenerated).map((variable) => variable.value))
    .toBytes()

describe('values', () => {
  test('by position come out in the places of the variables', () => {
    fc.assert(
      fc.property(variables, (all) => {
        expect(insert(all, positional(all), false)).toEqual(oracle(all))
      }),
    )
  })

  test('by name come out in the places of the variables, in whatever order they came', () => {
    fc.assert(
      fc.property(variables, fc.infiniteStream(fc.nat()), (all, order) => {
        const own = [...all.entries()].filter(([, { isGenerated }]) => !isGenerated)
        const keys = new Map(own.map(([index]) => [index, order.next().value]))
        const shuffled = own.toSorted(([a], [b]) => keys.get(a)! - keys.get(b)!)
        const writer = new BodyWriter().writeShort(shuffled.length)
        for (const [index, variable] of shuffled) {
          writer.writeString(`v${index}`).writeValue(variable.value)
        }
        expect(insert(all, writer.toBytes(), true)).toEqual(oracle(all))
      }),
    )
  })

  test('none at all: no field in front', () => {
    const all = [{ isGenerated: true, value: null }]
    expect(insert(all, new Uint8Array(0), false)).toEqual([generatedBytes(0)])
  })

  test.each([
    ['too few', 1],
    ['too many', 4],
  ])('%s stay so: the cluster says what is wrong', (_, count) => {
    const all = [true, false, false, true].map((isGenerated) => ({ isGenerated, value: null }))
    const given = new BodyWriter().writeValues(new Array(count).fill(null)).toBytes()
    expect(insert(all, given, false)).toHaveLength(count + 2)
  })

  test('a name that is missing leaves them one short', () => {
    const all = [false, true, false].map((isGenerated) => ({ isGenerated, value: null }))
    const given = new BodyWriter().writeShort(1).writeString('v2').writeValue(null).toBytes()
    expect(insert(all, given, true)).toHaveLength(2)
  })
})
