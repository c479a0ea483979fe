/**
 * The codec's one error: bytes of a peer that do not follow the protocol. It carries the CQL error
 * code to answer with; who answers, and whether the connection survives, is decided above.
 */
import { ErrorCode } from './protocol.ts'

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
