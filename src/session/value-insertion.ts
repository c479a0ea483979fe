/** The values of an EXECUTE or of a BATCH's child, with those that the proxy binds (request-path §3.5). */
import type { BoundValue } from '../cql/messages/query-parameters.ts'
import type { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import type { StatementRewrite } from '../prepared/statement.ts'

/**
 * `<n><value>*` with the client's values in `given` (nothing, `<n><value>*`, or `<n>(<name><value>)*`) and
 * the `generated` ones in their places. Named values come out in the order of the variables. Too few or too
 * many of the client's stay so: the cluster says what is wrong with their number.
 */
export const insertValues = (
  given: BodyReader,
  hasNames: boolean,
  rewrite: StatementRewrite,
  generated: readonly Uint8Array[],
): Uint8Array => {
  const values = hasNames ? orderedByName(given, rewrite) : positional(given)
  // In rising order, so that each index is already the one among all variables.
  rewrite.generated.forEach(({ index }, at) => {
    values.splice(index, 0, generated[at]!)
  })
  return new BodyWriter().writeValues(values).toBytes()
}

const positional = (given: BodyReader): BoundValue[] => {
  const count = given.remaining === 0 ? 0 : given.readShort('value count')
  return Array.from({ length: count }, () => given.readValue('value'))
}

/** A name may stand for several variables. One that is missing leaves the others one short. */
const orderedByName = (given: BodyReader, rewrite: StatementRewrite): BoundValue[] => {
  const count = given.readShort('value count')
  const byName = new Map<string, BoundValue>()
  for (let i = 0; i < count; i++) {
    const name = given.readString('value name')
    const value = given.readValue('value')
    // The first one counts, as with Cassandra.
    if (!byName.has(name)) byName.set(name, value)
  }
  const isGenerated = new Set(rewrite.generated.map(({ index }) => index))
  const values: BoundValue[] = []
  rewrite.names.forEach((name, index) => {
    const value = byName.get(name)
    if (value !== undefined && !isGenerated.has(index)) values.push(value)
  })
  return values
}
