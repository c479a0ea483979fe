/**
 * A fake Cassandra node that answers as fast as it can: the answers to reads and writes are made once
 * and copied out with the request's stream id. It stores nothing. What it does check is what shows
 * whether a proxy does its work: prepared ids must be its own, and it counts what it was sent.
 */
import { createHash } from 'node:crypto'
import { HEADER_LENGTH, OPCODE_OFFSET, readStreamId, writeStreamId } from '../src/cql/envelope.ts'
import { encodeError } from '../src/cql/messages/error.ts'
import type { ColumnSpec } from '../src/cql/messages/metadata.ts'
import { decodePrepare } from '../src/cql/messages/prepare.ts'
import { encodeResult, type ResultMessage, rowsResult } from '../src/cql/messages/result.ts'
import { encodeSupported } from '../src/cql/messages/supported.ts'
import {
  ErrorCode,
  Opcode,
  opcodeName,
  QueryFlag,
  ResultKind,
  TypeId,
  Version,
  type VersionTraits,
  versionTraits,
} from '../src/cql/protocol.ts'
import { BodyReader } from '../src/cql/reader.ts'
import { nativeType } from '../src/cql/type-option.ts'
import { BodyWriter } from '../src/cql/writer.ts'
import { type Listener, listen } from '../src/net/listener.ts'
import type { Transport } from '../src/net/transport.ts'
import { KEYSPACE, TABLE, TEXT_READ_PREFIX } from './statements.ts'
import { selectSystemRows } from './system-rows.ts'
import { Wire } from './wire.ts'

const RESPONSE_BIT = 0x80
const READ_PREFIX = new TextEncoder().encode(TEXT_READ_PREFIX)
const SUPPORTED_OPTIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ['CQL_VERSION', ['3.4.6']],
  ['COMPRESSION', []],
  ['PROTOCOL_VERSIONS', ['3/v3', '4/v4', '5/v5']],
])

/** Requests of applications that were carried out, and prepared ones that were not known. */
export type NodeCounts = { reads: number; writes: number; batches: number; unprepared: number }

export type FakeNodeOptions = {
  readonly clusterName: string
  /** One ASCII character; what reads find is made of it. */
  readonly mark: string
  readonly valueLength: number
  /** 0 for any free one. */
  readonly port: number
}

type Prepared = { readonly id: Uint8Array; readonly isRead: boolean }

/** As Cassandra 4 and later speak them. */
const SPOKEN_VERSIONS: readonly number[] = [Version.V3, Version.V4, Version.V5]

/** Ready-made answers of one protocol version. */
type Answers = {
  readonly done: Uint8Array
  readonly rows: Uint8Array
  readonly rowsBare: Uint8Array
}

const textColumn = (name: string): ColumnSpec => ({
  keyspace: KEYSPACE,
  table: TABLE,
  name,
  type: nativeType(TypeId.VARCHAR),
})

const digest = (...parts: readonly (string | Uint8Array)[]): Uint8Array => {
  const hash = createHash('md5')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

const isSelect = (bytes: Uint8Array, at: number): boolean => (bytes[at]! | 0x20) === 0x73

export class FakeNode {
  readonly counts: NodeCounts = { reads: 0, writes: 0, batches: 0, unprepared: 0 }
  readonly options: FakeNodeOptions
  readonly #prepared: Prepared[] = []
  readonly #answers = new Map<number, Answers>()
  readonly #wires = new Set<Wire>()
  #listener: Listener | null = null

  private constructor(options: FakeNodeOptions) {
    this.options = options
  }

  /** Listens on loopback; rejects when the port is taken. */
  static async start(options: FakeNodeOptions): Promise<FakeNode> {
    const node = new FakeNode(options)
    node.#listener = await listen(
      { address: '127.0.0.1', port: options.port, reusePort: false },
      (transport) => node.#accept(transport),
    )
    return node
  }

  get port(): number {
    return this.#listener!.port
  }

  async close(): Promise<void> {
    const closed = this.#listener?.close()
    for (const wire of this.#wires) wire.destroy()
    await closed
  }

  #accept(transport: Transport): Wire {
    const wire: Wire = new Wire(
      {
        onEnvelope: (bytes, start, end) => this.#onEnvelope(wire, bytes, start, end),
        onClose: () => this.#wires.delete(wire),
      },
      true,
    )
    wire.attach(transport)
    this.#wires.add(wire)
    return wire
  }

  #onEnvelope(wire: Wire, bytes: Uint8Array, start: number, end: number): boolean {
    switch (bytes[start + OPCODE_OFFSET]) {
      case Opcode.EXECUTE:
        this.#execute(wire, bytes, start)
        return true
      case Opcode.QUERY:
        this.#query(wire, bytes, start, end)
        return true
      case Opcode.BATCH:
        this.#batch(wire, bytes, start)
        return true
      default:
        return this.#answerControl(wire, bytes, start, end)
    }
  }

  /** `<id>[<result metadata id>]<consistency><flags>…`; an id or flags beyond the end find nothing. */
  #execute(wire: Wire, bytes: Uint8Array, start: number): void {
    const body = start + HEADER_LENGTH
    const prepared = this.#find(bytes, body + 2, shortAt(bytes, body))
    if (prepared === null) {
      const id = bytes.slice(body + 2, body + 2 + shortAt(bytes, body))
      this.#refuseUnprepared(wire, bytes, start, id)
      return
    }
    const answers = this.#answersOf(bytes[start]!)
    if (!prepared.isRead) {
      this.counts.writes++
      this.#reply(wire, bytes, start, answers.done)
      return
    }
    this.counts.reads++
    const { hasResultMetadataId, hasIntFlags } = versionTraits(bytes[start]!)!
    let at = body + 2 + prepared.id.length
    if (hasResultMetadataId) at += 2 + shortAt(bytes, at)
    const flags = bytes[at + 2 + (hasIntFlags ? 3 : 0)]!
    const isBare = (flags & QueryFlag.SKIP_METADATA) !== 0
    this.#reply(wire, bytes, start, isBare ? answers.rowsBare : answers.rows)
  }

  #query(wire: Wire, bytes: Uint8Array, start: number, end: number): void {
    const text = start + HEADER_LENGTH + 4
    const isLoad = READ_PREFIX.every((byte, index) => bytes[text + index] === byte)
    if (isLoad) {
      this.counts.reads++
      this.#reply(wire, bytes, start, this.#answersOf(bytes[start]!).rows)
    } else if ((bytes[text]! | 0x20) === 0x69) {
      this.counts.writes++
      this.#reply(wire, bytes, start, this.#answersOf(bytes[start]!).done)
    } else {
      const traits = versionTraits(bytes[start]!)!
      const statement = new BodyReader(bytes, start + HEADER_LENGTH, end).readLongString()
      this.#answerStatement(wire, bytes, start, traits, statement)
    }
  }

  /** `<type><n>(<kind 1><id>…)…`: all children of the load are of one statement, so one is looked at. */
  #batch(wire: Wire, bytes: Uint8Array, start: number): void {
    const child = start + HEADER_LENGTH + 3
    if (bytes[child] === 1 && this.#find(bytes, child + 3, shortAt(bytes, child + 1)) === null) {
      const id = bytes.slice(child + 3, child + 3 + shortAt(bytes, child + 1))
      this.#refuseUnprepared(wire, bytes, start, id)
      return
    }
    this.counts.batches++
    this.#reply(wire, bytes, start, this.#answersOf(bytes[start]!).done)
  }

  /** USE and questions about the cluster itself. */
  #answerStatement(
    wire: Wire,
    bytes: Uint8Array,
    start: number,
    traits: VersionTraits,
    statement: string,
  ): void {
    const keyspace = /^\s*use\s+"?(\w+)"?/i.exec(statement)?.[1]
    const result: ResultMessage | null =
      keyspace === undefined
        ? selectSystemRows(statement, this.options.clusterName, this.port)
        : { kind: ResultKind.SET_KEYSPACE, keyspace }
    const writer = new BodyWriter()
    if (result === null) {
      const message = `the bench's cluster does not know: ${statement}`
      encodeError(writer, { code: ErrorCode.INVALID, message })
    } else {
      encodeResult(writer, result, traits)
    }
    const opcode = result === null ? Opcode.ERROR : Opcode.RESULT
    this.#replyWith(wire, bytes, start, opcode, writer)
  }

  #answerControl(wire: Wire, bytes: Uint8Array, start: number, end: number): boolean {
    const traits = versionTraits(bytes[start]!)
    if (traits === undefined || !SPOKEN_VERSIONS.includes(traits.version))
      return this.#refuseVersion(wire, bytes, start)
    const opcode = bytes[start + OPCODE_OFFSET]!
    switch (opcode) {
      case Opcode.OPTIONS: {
        const body = encodeSupported(new BodyWriter(), SUPPORTED_OPTIONS)
        this.#replyWith(wire, bytes, start, Opcode.SUPPORTED, body)
        return true
      }
      case Opcode.STARTUP:
        this.#replyWith(wire, bytes, start, Opcode.READY, new BodyWriter())
        if (traits.hasFrames) wire.startFrames()
        return !traits.hasFrames
      case Opcode.REGISTER:
        this.#replyWith(wire, bytes, start, Opcode.READY, new BodyWriter())
        return true
      case Opcode.PREPARE: {
        const reader = new BodyReader(bytes, start + HEADER_LENGTH, end)
        const body = this.#prepare(decodePrepare(reader, traits).text, traits)
        this.#replyWith(wire, bytes, start, Opcode.RESULT, body)
        return true
      }
      default: {
        const message = `the bench's cluster does not take ${opcodeName(opcode)}`
        const error = { code: ErrorCode.PROTOCOL_ERROR, message }
        this.#replyWith(wire, bytes, start, Opcode.ERROR, encodeError(new BodyWriter(), error))
        return true
      }
    }
  }

  #refuseVersion(wire: Wire, bytes: Uint8Array, start: number): boolean {
    const message = `Invalid or unsupported protocol version (${bytes[start]}); supported versions are (3/v3, 4/v4, 5/v5)`
    const body = encodeError(new BodyWriter(), { code: ErrorCode.PROTOCOL_ERROR, message })
    const version = Version.V4 | RESPONSE_BIT
    this.#reply(wire, bytes, start, body.toEnvelope(version, 0, 0, Opcode.ERROR))
    return true
  }

  #prepare(text: Uint8Array, traits: VersionTraits): BodyWriter {
    const { clusterName } = this.options
    const id = digest(clusterName, text)
    const isRead = isSelect(text, 0)
    if (this.#find(id, 0, id.length) === null) this.#prepared.push({ id, isRead })
    const variables = isRead ? [textColumn('k')] : [textColumn('k'), textColumn('v')]
    const columns = isRead ? [textColumn('v')] : []
    return encodeResult(
      new BodyWriter(),
      {
        kind: ResultKind.PREPARED,
        statementId: id,
        resultMetadataId: digest(clusterName, 'result metadata', text),
        variables: { columns: variables, partitionKeyIndices: [0] },
        resultMetadata: { columnCount: columns.length, columns: isRead ? columns : null },
      },
      traits,
    )
  }

  /** The statement whose id lies at `at`. A load has two, so looking at each is the fastest way. */
  #find(bytes: Uint8Array, at: number, length: number): Prepared | null {
    for (const prepared of this.#prepared) {
      const { id } = prepared
      let i = 0
      while (i < id.length && id[i] === bytes[at + i]) i++
      if (i === length && length === id.length) return prepared
    }
    return null
  }

  #refuseUnprepared(wire: Wire, bytes: Uint8Array, start: number, id: Uint8Array): void {
    this.counts.unprepared++
    const body = encodeError(new BodyWriter(64), {
      code: ErrorCode.UNPREPARED,
      message: 'unknown',
      details: { kind: 'unprepared', statementId: id },
    })
    this.#replyWith(wire, bytes, start, Opcode.ERROR, body)
  }

  #answersOf(version: number): Answers {
    const known = this.#answers.get(version)
    if (known !== undefined) return known
    const traits = versionTraits(version)!
    const value = new Uint8Array(this.options.valueLength).fill(this.options.mark.charCodeAt(0))
    const rows = rowsResult([textColumn('v')], [[value]])
    const envelope = (result: ResultMessage): Uint8Array =>
      encodeResult(new BodyWriter(), result, traits).toEnvelope(
        version | RESPONSE_BIT,
        0,
        0,
        Opcode.RESULT,
      )
    const made = {
      done: envelope({ kind: ResultKind.VOID }),
      rows: envelope(rows),
      rowsBare: envelope({ ...rows, metadata: { columnCount: 1, columns: null } }),
    }
    this.#answers.set(version, made)
    return made
  }

  #reply(wire: Wire, request: Uint8Array, start: number, answer: Uint8Array): void {
    const at = wire.send(answer)
    writeStreamId(wire.buffer, at, readStreamId(request, start))
  }

  #replyWith(
    wire: Wire,
    request: Uint8Array,
    start: number,
    opcode: number,
    body: BodyWriter,
  ): void {
    const version = request[start]! | RESPONSE_BIT
    this.#reply(wire, request, start, body.toEnvelope(version, 0, 0, opcode))
  }
}

const shortAt = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!
