/**
 * Values of the virtual tables' types in a WHERE: constants of the statement and bound bytes, both
 * checked as a server checks them, and the order of a type. Pure.
 */
import { ProtocolError } from '../cql/errors.ts'
import { parseInet } from '../cql/inet.ts'
import type { BoundValue } from '../cql/messages/query-parameters.ts'
import { ErrorCode, TypeId } from '../cql/protocol.ts'
import { NOT_SET } from '../cql/reader.ts'
import type { TypeOption } from '../cql/type-option.ts'
import {
  decodeBigint,
  decodeElements,
  decodeInt,
  encodeBigint,
  encodeBoolean,
  encodeInt,
  encodeText,
  encodeUuid,
} from '../cql/values.ts'

/** Why a statement on a virtual table has no rows for an answer; it becomes an ERROR. */
export class VirtualSelectError extends Error {
  readonly code = 'VIRTUAL_SELECT_INVALID'
  readonly errorCode: ErrorCode

  constructor(message: string, errorCode: ErrorCode = ErrorCode.INVALID) {
    super(message)
    this.name = 'VirtualSelectError'
    this.errorCode = errorCode
  }
}

export type Constant = {
  readonly kind: 'string' | 'integer' | 'float' | 'uuid' | 'boolean' | 'blob' | 'null'
  /** As written; a string without its quotes. */
  readonly text: string
}

export type TypedColumn = { readonly name: string; readonly type: TypeOption }

type NativeRules = {
  readonly cqlName: string
  readonly accepts: Constant['kind']
  /** Null where the constant does not spell a value of the type. */
  readonly encode: (text: string) => Uint8Array | null
  /** Lengths in bytes that a value may have; null for any. */
  readonly lengths: readonly number[] | null
  readonly compare: (a: Uint8Array, b: Uint8Array) => number
}

const INT_BITS = 32
const BIGINT_BITS = 64

const inRange = (text: string, bits: number): bigint | null => {
  const value = BigInt(text)
  return BigInt.asIntN(bits, value) === value ? value : null
}

const compareBigint = (a: Uint8Array, b: Uint8Array): number => {
  const left = decodeBigint(a)
  const right = decodeBigint(b)
  return left < right ? -1 : left > right ? 1 : 0
}

const TEXT_RULES: NativeRules = {
  cqlName: 'text',
  accepts: 'string',
  encode: encodeText,
  lengths: null,
  compare: Buffer.compare,
}

const RULES: ReadonlyMap<number, NativeRules> = new Map<number, NativeRules>([
  [TypeId.VARCHAR, TEXT_RULES],
  [TypeId.ASCII, { ...TEXT_RULES, cqlName: 'ascii' }],
  [
    TypeId.INT,
    {
      cqlName: 'int',
      accepts: 'integer',
      encode: (text) => {
        const value = inRange(text, INT_BITS)
        return value === null ? null : encodeInt(Number(value))
      },
      lengths: [4],
      compare: (a, b) => decodeInt(a) - decodeInt(b),
    },
  ],
  [
    TypeId.BIGINT,
    {
      cqlName: 'bigint',
      accepts: 'integer',
      encode: (text) => {
        const value = inRange(text, BIGINT_BITS)
        return value === null ? null : encodeBigint(value)
      },
      lengths: [8],
      compare: compareBigint,
    },
  ],
  [
    TypeId.BOOLEAN,
    {
      cqlName: 'boolean',
      accepts: 'boolean',
      encode: (text) => encodeBoolean(text.toLowerCase() === 'true'),
      lengths: [1],
      compare: Buffer.compare,
    },
  ],
  [
    TypeId.UUID,
    {
      cqlName: 'uuid',
      accepts: 'uuid',
      encode: encodeUuid,
      lengths: [16],
      compare: Buffer.compare,
    },
  ],
  [
    TypeId.INET,
    {
      cqlName: 'inet',
      accepts: 'string',
      encode: parseInet,
      lengths: [4, 16],
      compare: Buffer.compare,
    },
  ],
])

/** A column that a relation can be on: of a type whose values we can compare. */
const rulesOf = ({ name, type }: TypedColumn): NativeRules => {
  const rules = type.kind === 'native' ? RULES.get(type.id) : undefined
  if (rules !== undefined) return rules
  throw new VirtualSelectError(
    `Cannot restrict column ${name}: the proxy answers this table itself and compares only text, ` +
      'numbers, booleans, uuids and addresses',
  )
}

const nullValue = (column: TypedColumn): VirtualSelectError =>
  new VirtualSelectError(`Invalid null value in condition for column ${column.name}`)

/** The bytes of a constant as a value of the column. */
export const encodeConstant = (column: TypedColumn, constant: Constant): Uint8Array => {
  const rules = rulesOf(column)
  if (constant.kind === 'null') throw nullValue(column)
  const bytes = constant.kind === rules.accepts ? rules.encode(constant.text) : null
  if (bytes !== null) return bytes
  throw new VirtualSelectError(
    `Invalid ${constant.kind.toUpperCase()} constant (${constant.text}) for "${column.name}" ` +
      `of type ${rules.cqlName}`,
  )
}

/** Bound bytes, once they can be a value of the column. */
export const checkBound = (column: TypedColumn, value: BoundValue): Uint8Array => {
  const { cqlName, lengths } = rulesOf(column)
  if (value === null) throw nullValue(column)
  if (value === NOT_SET) {
    throw new VirtualSelectError(`Invalid unset value for column ${column.name}`)
  }
  if (lengths === null || lengths.includes(value.length)) return value
  throw new VirtualSelectError(
    `Invalid value for column ${column.name}: expected ${lengths.join(' or ')} bytes of type ` +
      `${cqlName}, got ${value.length}`,
  )
}

/** No list of hosts is longer; each element becomes an object, however short. Bytes. */
export const BOUND_LIST_LENGTH_MAX = 64 * 1024

const elementsOf = (column: TypedColumn, value: Uint8Array): (Uint8Array | null)[] => {
  if (value.length > BOUND_LIST_LENGTH_MAX) {
    throw new VirtualSelectError(
      `The list for column ${column.name} is ${value.length} bytes long: on the system tables that ` +
        `the proxy answers itself it may have ${BOUND_LIST_LENGTH_MAX}`,
    )
  }
  try {
    return decodeElements(value)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new VirtualSelectError(`Invalid list for column ${column.name}: ${error.message}`)
  }
}

/** The elements of the list that is bound to `column IN ?`. */
export const checkBoundList = (column: TypedColumn, value: BoundValue): Uint8Array[] => {
  if (value === null) throw nullValue(column)
  if (value === NOT_SET) {
    throw new VirtualSelectError(`Invalid unset value for column ${column.name}`)
  }
  return elementsOf(column, value).map((element) => checkBound(column, element))
}

/** < 0, 0 or > 0: how values of the column are ordered. */
export const compareValues = (column: TypedColumn, a: Uint8Array, b: Uint8Array): number => {
  const { lengths, compare } = rulesOf(column)
  // A node may hand out an empty value of any type; it comes before all others.
  const isWhole = lengths === null || (lengths.includes(a.length) && lengths.includes(b.length))
  return isWhole ? compare(a, b) : Buffer.compare(a, b)
}

/** Throws for a column whose values cannot be compared with one in a WHERE. */
export const assertComparable = (column: TypedColumn): void => {
  rulesOf(column)
}
