/**
 * What the replaced functions return: values as they are bound, and as literals in a text. The
 * proxy's clock stands in for the coordinators'.
 */
import { TimeUuidGenerator } from '../cql/time-uuid.ts'
import { decodeUuid, encodeBigint, encodeInt } from '../cql/values.ts'
import type { CqlFunction } from './functions.ts'

const MS_PER_DAY = 86_400_000
const NANOSECONDS_PER_MS = 1_000_000n
/** A date is unsigned, 1970-01-01 in the middle (v5 §6.5). */
const DATE_CENTRE = 2 ** 31

export class FunctionValues {
  readonly #random: (bytes: Uint8Array) => Uint8Array
  readonly #timeUuids: TimeUuidGenerator

  constructor(random: (bytes: Uint8Array) => Uint8Array) {
    this.#random = random
    this.#timeUuids = new TimeUuidGenerator(random)
  }

  /** A value of the function's type, as its bytes. UUIDs are new with each call. */
  next(called: CqlFunction, wallMs: number): Uint8Array {
    const ms = Math.floor(wallMs)
    switch (called.name) {
      case 'now':
      case 'currentTimeUUID':
        return this.#timeUuids.next(ms)
      case 'uuid':
        return this.#randomUuid()
      case 'currentTimestamp':
        return encodeBigint(BigInt(ms))
      case 'currentDate':
        return encodeInt(Math.floor(ms / MS_PER_DAY) + DATE_CENTRE)
      case 'currentTime':
        return encodeBigint(BigInt(ms % MS_PER_DAY) * NANOSECONDS_PER_MS)
    }
  }

  /** Version 4 (RFC 9562 §5.4). */
  #randomUuid(): Uint8Array {
    const uuid = this.#random(new Uint8Array(16))
    uuid[6] = (uuid[6]! & 0x0f) | 0x40
    uuid[8] = (uuid[8]! & 0x3f) | 0x80
    return uuid
  }

  /** A new value as CQL writes it, without its type. */
  nextLiteral(called: CqlFunction, wallMs: number): string {
    const ms = Math.floor(wallMs)
    switch (called.name) {
      case 'now':
      case 'currentTimeUUID':
      case 'uuid':
        return decodeUuid(this.next(called, wallMs))
      case 'currentTimestamp':
        return String(ms)
      case 'currentDate':
        return `'${new Date(ms).toISOString().slice(0, 10)}'`
      case 'currentTime':
        return `'${new Date(ms).toISOString().slice(11, 23)}'`
    }
  }
}
