/**
 * The codec's errors: bytes of a peer that do not follow the protocol. It carries the CQL error
 * code to answer with; who answers, and whether the connection survives, is decided above.
 */
import { RESPONSE_BIT } from './envelope.ts'
import { ErrorCode, SUPPORTED_VERSIONS, versionLabel } from './protocol.ts'

export class ProtocolError extends Error {
  readonly code: string
  /** The CQL error code that tells the peer (v5 §9). */
  readonly errorCode: ErrorCode

  constructor(code: string, message: string, errorCode: ErrorCode = ErrorCode.PROTOCOL_ERROR) {
    super(message)
    this.name = 'ProtocolError'
    this.code = code
    this.errorCode = errorCode
  }
}

/** Drivers look for Cassandra's wording in the answer before they step down to a lower version. */
const describeVersion = (
  versionByte: number,
  isRequestSide: boolean,
  blocked: readonly number[],
): string => {
  const isRequest = versionByte < RESPONSE_BIT
  if (isRequest !== isRequestSide) {
    return isRequestSide
      ? 'Wrong protocol direction, expected REQUEST, got RESPONSE'
      : 'Wrong protocol direction, expected RESPONSE, got REQUEST'
  }
  const accepted = SUPPORTED_VERSIONS.filter((version) => !blocked.includes(version))
  const supported = accepted.map(versionLabel).reverse().join(', ')
  const version = versionByte & ~RESPONSE_BIT
  return `Invalid or unsupported protocol version (${version}); supported versions are (${supported})`
}

/** An envelope in a version that is not spoken here, or not accepted, or of the wrong direction. */
export class EnvelopeVersionError extends ProtocolError {
  /** The version that the peer asked for, without the response bit. */
  readonly version: number

  /** `blocked`: versions that are spoken but not accepted; the answer does not list them. */
  constructor(versionByte: number, isRequestSide: boolean, blocked: readonly number[] = []) {
    super('ENVELOPE_VERSION', describeVersion(versionByte, isRequestSide, blocked))
    this.name = 'EnvelopeVersionError'
    this.version = versionByte & ~RESPONSE_BIT
  }
}
