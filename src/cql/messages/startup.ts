/** STARTUP, the first request of a connection (v5 §4.1.1). */
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

/** <options>: [string map] */
export const encodeStartup = (
  writer: BodyWriter,
  options: ReadonlyMap<string, string>,
): BodyWriter => writer.writeStringMap(options)

export const decodeStartup = (reader: BodyReader): Map<string, string> =>
  reader.readStringMap('STARTUP options')
