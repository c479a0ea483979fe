/** REGISTER, a client's wish for events (v5 §4.1.8). */
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

/** <event types>: [string list] */
export const encodeRegister = (writer: BodyWriter, eventTypes: readonly string[]): BodyWriter =>
  writer.writeStringList(eventTypes)

export const decodeRegister = (reader: BodyReader): string[] =>
  reader.readStringList('REGISTER event types')
