/**
 * The native protocol's numbers: versions with their traits, opcodes, flags, kinds and error codes,
 * spelled as in the specification (native_protocol_v3/v4/v5.spec §2.4, §4, §9). Data only.
 */

/** Wire version bytes (without the response bit 0x80). */
export const Version = { V2: 2, V3: 3, V4: 4, V5: 5, DSE_V1: 0x41, DSE_V2: 0x42 } as const
export type Version = (typeof Version)[keyof typeof Version]

/** Highest first: the order in which a control connection steps down. */
export const SUPPORTED_VERSIONS: readonly Version[] = [
  Version.DSE_V2,
  Version.DSE_V1,
  Version.V5,
  Version.V4,
  Version.V3,
  Version.V2,
]

/** DataStax Enterprise's own versions: close to v4 and v5, without frames. */
export const isDseVersion = (version: number): boolean => version >= Version.DSE_V1

/** A version as servers list it in SUPPORTED and in errors: `4/v4`, `65/dse-v1`. */
export const versionLabel = (version: number): string =>
  isDseVersion(version)
    ? `${version}/dse-v${version - Version.DSE_V1 + 1}`
    : `${version}/v${version}`

/** What differs between protocol versions, so that code asks for a trait and never compares numbers. */
export type VersionTraits = {
  readonly version: Version
  /** Envelopes travel in checksummed frames once the handshake has got its first answer (v5 §2.2). */
  readonly hasFrames: boolean
  /** Headers have eight bytes on the wire, with a stream id of one (v2 §2); see short-header.ts. */
  readonly hasShortHeader: boolean
  /** Requests that one connection can have in flight; stream id 0 is left out (upstream/slots.ts). */
  readonly streamIdsMax: number
  /** QUERY, PREPARE and BATCH may carry a keyspace (v5 §4.1.4). */
  readonly hasKeyspaceField: boolean
  /** PREPARED and EXECUTE carry a result metadata id (v5 §4.1.6). */
  readonly hasResultMetadataId: boolean
  /** Query flags are an [int] instead of a [byte]. */
  readonly hasIntFlags: boolean
  /** A write may carry its write time beside its text (v3 §4.1.4). */
  readonly hasDefaultTimestamp: boolean
  /** BATCH has flags and what they announce behind its consistency (v3 §4.1.7). */
  readonly hasBatchFlags: boolean
  /** Partition-key indices are part of a PREPARED result (v4 §4.2.5.4). */
  readonly hasPartitionKeyIndices: boolean
  /** Requests and answers may carry a custom payload (v4 §2.2). */
  readonly hasCustomPayload: boolean
  /** A [value] may be "not set"; before, every negative length meant null (v4 §3). */
  readonly hasUnsetValues: boolean
  /** Schema changes may be about a function or an aggregate (v4 §4.2.6). */
  readonly hasFunctionTargets: boolean
  /** Schema changes name the kind of what has changed (v3 §4.2.6). */
  readonly hasSchemaChangeTarget: boolean
  /** Collections count elements and bytes with an [int] each, before with a [short] (v3 §6). */
  readonly hasIntCollections: boolean
  /** A request may ask for many answers (DSE's continuous paging). */
  readonly hasContinuousPaging: boolean
}

const traits = (version: Version): VersionTraits => {
  const isDse = isDseVersion(version)
  const isV5Like = version === Version.V5 || version === Version.DSE_V2
  return {
    version,
    hasFrames: version === Version.V5,
    hasShortHeader: version === Version.V2,
    streamIdsMax: version === Version.V2 ? 127 : 32_767,
    hasKeyspaceField: isV5Like,
    hasResultMetadataId: isV5Like,
    hasIntFlags: isV5Like || isDse,
    hasDefaultTimestamp: version >= Version.V3,
    hasBatchFlags: version >= Version.V3,
    hasPartitionKeyIndices: version >= Version.V4,
    hasCustomPayload: version >= Version.V4,
    hasUnsetValues: version >= Version.V4,
    hasFunctionTargets: version >= Version.V4,
    hasSchemaChangeTarget: version >= Version.V3,
    hasIntCollections: version >= Version.V3,
    hasContinuousPaging: isDse,
  }
}

const TRAITS: ReadonlyMap<number, VersionTraits> = new Map(
  SUPPORTED_VERSIONS.map((version) => [version, traits(version)]),
)

/** The traits of a wire version byte (response bit removed), or undefined where we do not speak it. */
export const versionTraits = (version: number): VersionTraits | undefined => TRAITS.get(version)

export const Opcode = {
  ERROR: 0x00,
  STARTUP: 0x01,
  READY: 0x02,
  AUTHENTICATE: 0x03,
  OPTIONS: 0x05,
  SUPPORTED: 0x06,
  QUERY: 0x07,
  RESULT: 0x08,
  PREPARE: 0x09,
  EXECUTE: 0x0a,
  REGISTER: 0x0b,
  EVENT: 0x0c,
  BATCH: 0x0d,
  AUTH_CHALLENGE: 0x0e,
  AUTH_RESPONSE: 0x0f,
  AUTH_SUCCESS: 0x10,
} as const
export type Opcode = (typeof Opcode)[keyof typeof Opcode]

const OPCODE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(Opcode).map(([name, value]) => [value, name]),
)

/** The specification's name of an opcode, or its number in hex. */
export const opcodeName = (opcode: number): string =>
  OPCODE_NAMES.get(opcode) ?? `0x${opcode.toString(16).padStart(2, '0')}`

/** Bits of the envelope header's flags byte (v5 §2.4.1.2). */
export const EnvelopeFlag = {
  COMPRESSION: 0x01,
  TRACING: 0x02,
  CUSTOM_PAYLOAD: 0x04,
  WARNING: 0x08,
  USE_BETA: 0x10,
} as const

/** Bits of the query parameters' flags (v5 §4.1.4). */
export const QueryFlag = {
  VALUES: 0x01,
  SKIP_METADATA: 0x02,
  PAGE_SIZE: 0x04,
  PAGING_STATE: 0x08,
  SERIAL_CONSISTENCY: 0x10,
  DEFAULT_TIMESTAMP: 0x20,
  NAMES_FOR_VALUES: 0x40,
  KEYSPACE: 0x80,
  NOW_IN_SECONDS: 0x100,
  /** DSE's own, the topmost bit of an [int]. */
  CONTINUOUS_PAGING: 0x80000000,
} as const

/** The first byte of a BATCH (v5 §4.1.7). */
export const BatchType = { LOGGED: 0, UNLOGGED: 1, COUNTER: 2 } as const

/** The first byte of a BATCH's child (v5 §4.1.7). */
export const BatchChildKind = { QUERY: 0, PREPARED: 1 } as const

/** Bits of PREPARE's flags (v5 §4.1.5). */
export const PrepareFlag = { KEYSPACE: 0x01 } as const

/** Bits of the metadata's flags in ROWS and PREPARED (v5 §4.2.5.2). */
export const MetadataFlag = {
  GLOBAL_TABLES_SPEC: 0x01,
  HAS_MORE_PAGES: 0x02,
  NO_METADATA: 0x04,
  METADATA_CHANGED: 0x08,
} as const

export const ResultKind = {
  VOID: 1,
  ROWS: 2,
  SET_KEYSPACE: 3,
  PREPARED: 4,
  SCHEMA_CHANGE: 5,
} as const

/** Error codes (v5 §9). */
export const ErrorCode = {
  SERVER_ERROR: 0x0000,
  PROTOCOL_ERROR: 0x000a,
  AUTHENTICATION_ERROR: 0x0100,
  UNAVAILABLE: 0x1000,
  OVERLOADED: 0x1001,
  IS_BOOTSTRAPPING: 0x1002,
  TRUNCATE_ERROR: 0x1003,
  WRITE_TIMEOUT: 0x1100,
  READ_TIMEOUT: 0x1200,
  READ_FAILURE: 0x1300,
  FUNCTION_FAILURE: 0x1400,
  WRITE_FAILURE: 0x1500,
  CDC_WRITE_FAILURE: 0x1600,
  CAS_WRITE_UNKNOWN: 0x1700,
  SYNTAX_ERROR: 0x2000,
  UNAUTHORIZED: 0x2100,
  INVALID: 0x2200,
  CONFIG_ERROR: 0x2300,
  ALREADY_EXISTS: 0x2400,
  UNPREPARED: 0x2500,
} as const
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]

export const Consistency = {
  ANY: 0x00,
  ONE: 0x01,
  TWO: 0x02,
  THREE: 0x03,
  QUORUM: 0x04,
  ALL: 0x05,
  LOCAL_QUORUM: 0x06,
  EACH_QUORUM: 0x07,
  SERIAL: 0x08,
  LOCAL_SERIAL: 0x09,
  LOCAL_ONE: 0x0a,
} as const

/** Type ids of the [option] notation (v5 §4.2.5.2). */
export const TypeId = {
  CUSTOM: 0x00,
  ASCII: 0x01,
  BIGINT: 0x02,
  BLOB: 0x03,
  BOOLEAN: 0x04,
  COUNTER: 0x05,
  DECIMAL: 0x06,
  DOUBLE: 0x07,
  FLOAT: 0x08,
  INT: 0x09,
  TIMESTAMP: 0x0b,
  UUID: 0x0c,
  VARCHAR: 0x0d,
  VARINT: 0x0e,
  TIMEUUID: 0x0f,
  INET: 0x10,
  DATE: 0x11,
  TIME: 0x12,
  SMALLINT: 0x13,
  TINYINT: 0x14,
  DURATION: 0x15,
  LIST: 0x20,
  MAP: 0x21,
  SET: 0x22,
  UDT: 0x30,
  TUPLE: 0x31,
} as const
