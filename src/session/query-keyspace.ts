/** The keyspace field of a v5 QUERY: it overrides the session's for this one statement (v5 §4.1.4). */
import { decodeQuery } from '../cql/messages/query.ts'
import { QueryFlag, type VersionTraits } from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { type KeyspaceClass, keyspaceClassOf } from '../statement/classify.ts'

/** Whether the parameters behind the text announce a keyspace; false where they are cut off. */
const hasKeyspace = (bytes: Uint8Array, textEnd: number, end: number): boolean => {
  // <consistency [short]><flags [int]>: the keyspace's bit is in the last byte of the flags.
  const lastFlagsByte = textEnd + 5
  return lastFlagsByte < end && (bytes[lastFlagsByte]! & QueryFlag.KEYSPACE) !== 0
}

/** The keyspace field, in its internal form; null where there is none. */
export const queryKeyspace = (
  bytes: Uint8Array,
  body: number,
  textEnd: number,
  end: number,
  traits: VersionTraits,
): string | null => {
  if (!hasKeyspace(bytes, textEnd, end)) return null
  return decodeQuery(new BodyReader(bytes, body, end), traits).parameters.keyspace ?? null
}

/** The class of the keyspace that the statement's unqualified names mean. */
export const queryKeyspaceClass = (
  sessionClass: KeyspaceClass,
  bytes: Uint8Array,
  body: number,
  textEnd: number,
  end: number,
  traits: VersionTraits,
): KeyspaceClass => {
  const keyspace = queryKeyspace(bytes, body, textEnd, end, traits)
  return keyspace === null ? sessionClass : keyspaceClassOf(keyspace)
}
