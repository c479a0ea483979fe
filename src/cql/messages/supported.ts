/** SUPPORTED, the answer to OPTIONS (v5 §4.2.4). OPTIONS itself and READY have no body. */
import type { BodyReader } from '../reader.ts'
import type { BodyWriter } from '../writer.ts'

/** <options>: [string multimap] */
export const encodeSupported = (
  writer: BodyWriter,
  options: ReadonlyMap<string, readonly string[]>,
): BodyWriter => writer.writeStringMultimap(options)

export const decodeSupported = (reader: BodyReader): Map<string, string[]> =>
  reader.readStringMultimap('SUPPORTED options')
