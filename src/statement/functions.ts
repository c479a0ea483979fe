/**
 * The CQL functions whose result is another one each time, so that each cluster would store its own
 * (request-path §3.4): names, types, and how a call of each is taken out of a text. Data only.
 */
import { TypeId } from '../cql/protocol.ts'

export type CqlFunctionName =
  | 'now'
  | 'uuid'
  | 'currentTimeUUID'
  | 'currentTimestamp'
  | 'currentDate'
  | 'currentTime'

export type CqlFunction = {
  readonly name: CqlFunctionName
  /** The names that servers know it by, in their internal form. */
  readonly internalNames: readonly string[]
  /** The type of its result, as a cast spells it. */
  readonly type: string
  /** Types of columns and fields that take its result as it is. */
  readonly columnTypeIds: readonly number[]
}

const CQL_FUNCTIONS: readonly CqlFunction[] = [
  {
    name: 'now',
    internalNames: ['now'],
    type: 'timeuuid',
    columnTypeIds: [TypeId.TIMEUUID, TypeId.UUID],
  },
  { name: 'uuid', internalNames: ['uuid'], type: 'uuid', columnTypeIds: [TypeId.UUID] },
  {
    name: 'currentTimeUUID',
    internalNames: ['currenttimeuuid', 'current_timeuuid'],
    type: 'timeuuid',
    columnTypeIds: [TypeId.TIMEUUID, TypeId.UUID],
  },
  {
    name: 'currentTimestamp',
    internalNames: ['currenttimestamp', 'current_timestamp'],
    type: 'timestamp',
    columnTypeIds: [TypeId.TIMESTAMP, TypeId.BIGINT],
  },
  {
    name: 'currentDate',
    internalNames: ['currentdate', 'current_date'],
    type: 'date',
    columnTypeIds: [TypeId.DATE],
  },
  {
    name: 'currentTime',
    internalNames: ['currenttime', 'current_time'],
    type: 'time',
    columnTypeIds: [TypeId.TIME],
  },
]

export const CQL_FUNCTION_NAMES: readonly CqlFunctionName[] = CQL_FUNCTIONS.map(({ name }) => name)

const BY_INTERNAL_NAME: ReadonlyMap<string, CqlFunction> = new Map(
  CQL_FUNCTIONS.flatMap((cqlFunction) =>
    cqlFunction.internalNames.map((name): [string, CqlFunction] => [name, cqlFunction]),
  ),
)

/** The function with this name in its internal form, or null where it is none of them. */
export const functionNamed = (internalName: string): CqlFunction | null =>
  BY_INTERNAL_NAME.get(internalName) ?? null

const BY_NAME: ReadonlyMap<string, CqlFunction> = new Map(
  CQL_FUNCTIONS.map((cqlFunction) => [cqlFunction.name, cqlFunction]),
)

export const cqlFunction = (name: CqlFunctionName): CqlFunction => BY_NAME.get(name)!
