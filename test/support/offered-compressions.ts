/** Asks a server which compressions it offers: OPTIONS, answered by SUPPORTED (v5 §4.1.2). */
import { connect } from 'node:net'
import type { ContactPoint } from '../../clusters/cluster.ts'
import { HEADER_LENGTH, OPCODE_OFFSET } from '../../src/cql/envelope.ts'
import { EnvelopeDecoder } from '../../src/cql/envelope-decoder.ts'
import { decodeSupported } from '../../src/cql/messages/supported.ts'
import { Opcode, opcodeName, Version } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { BodyWriter } from '../../src/cql/writer.ts'

const TIMEOUT_MS = 10_000
const BODY_LENGTH_MAX = 64 * 1024

export const offeredCompressions = ({
  address,
  port,
}: ContactPoint): Promise<readonly string[]> => {
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>()
  const decoder = new EnvelopeDecoder({ bodyLengthMax: BODY_LENGTH_MAX, isRequestSide: false })
  const socket = connect({ host: address, port, timeout: TIMEOUT_MS })
  socket.on('connect', () => {
    socket.write(new BodyWriter().toEnvelope(Version.V4, 0, 0, Opcode.OPTIONS))
  })
  socket.on('data', (chunk: Buffer) => {
    decoder.push(chunk, 0, chunk.length, (bytes, start, end) => {
      const opcode = bytes[start + OPCODE_OFFSET]!
      if (opcode === Opcode.SUPPORTED) {
        const options = decodeSupported(new BodyReader(bytes, start + HEADER_LENGTH, end))
        resolve(options.get('COMPRESSION') ?? [])
      } else reject(new Error(`OPTIONS was answered with ${opcodeName(opcode)}`))
      socket.destroy()
    })
  })
  socket.on('timeout', () => socket.destroy(new Error('OPTIONS was not answered in time')))
  socket.on('error', reject)
  socket.on('close', () => reject(new Error('the connection was closed before an answer')))
  return promise
}
