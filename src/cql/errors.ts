/**
 * The codec's errors: bytes of a peer that do not follow the protocol. It carries the CQL error
 * code to answer with; who answers, and whether the connection survives, is decided above.
 */
import { RESPONSE_BIT } from './envelope.ts'
import { ErrorCode, SUPPORTED_VERSIONS } from './protocol.ts'

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
const describeVersion = (versionByte: number, isRequestSide: boolean): string => {
  const isRequest = versionByte < RESPONSE_BIT
  if (isRequest !== isRequestSide) {
    return isRequestSide
      ? 'Wrong protocol direction, expected REQUEST, got RESPONSE'
      : 'Wrong protocol direction, expected RESPONSE, got REQUEST'
  }
  const supported = SUPPORTED_VERSIONS.map((version) => `${version}/v${version}`).reverse()
  const version = versionByte & ~RESPONSE_BIT
  return `Invalid or unsupported protocol version (${version}); supported versions are (${supported.join(', ')})`
}

/** An envelope in a version that is not spoken here, or of the wrong direction. */
export class EnvelopeVersionError extends ProtocolError {
  /** The version that the peer asked for, without the response bit. */
  readonly version: number

  constructor(versionByte: number, isRequestSide: boolean) {
    super('ENVELOPE_VERSION', describeVersion(versionByte, isRequestSide))
    this.name = 'EnvelopeVersionError'
    this.version = versionByte & ~RESPONSE_BIT
  }
}
