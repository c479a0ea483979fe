/**
 * What a Cassandra node answers to each request when nothing is scripted. State that a connection
 * or a node keeps (keyspace, prepared statements) is changed here and nowhere else.
 */
import { createHash } from 'node:crypto'
import {
  ErrorCode,
  Opcode,
  opcodeName,
  type VersionTraits,
  versionTraits,
} from '../../../src/cql/protocol.ts'
import { BodyWriter } from '../../../src/cql/writer.ts'
import type { DecodedRequest } from './requests.ts'
import {
  type Answer,
  errorAnswer,
  preparedAnswer,
  type RowsOptions,
  rowsAnswer,
  type Selection,
  setKeyspaceAnswer,
  voidAnswer,
} from './results.ts'
import { isSelect, markerNames, tableOf, usedKeyspace } from './statements.ts'
import { type SystemTables, selectSystemTable } from './system-tables.ts'

export type Authenticator = {
  /** The class name that AUTHENTICATE carries; one that ends in DseAuthenticator asks in two steps. */
  readonly name: string
  /** Passwords by user name. */
  readonly credentials: Readonly<Record<string, string>>
}

export const passwordAuthenticator = (username: string, password: string): Authenticator => ({
  name: 'org.apache.cassandra.auth.PasswordAuthenticator',
  credentials: { [username]: password },
})

export const dseAuthenticator = (username: string, password: string): Authenticator => ({
  name: 'com.datastax.bdp.cassandra.auth.DseAuthenticator',
  credentials: { [username]: password },
})

export type PreparedStatement = {
  readonly text: string
  readonly keyspace: string | undefined
  readonly resultMetadataId: string
}

/** The part of a connection that answers depend on. */
export type ConnectionState = {
  phase: 'startup' | 'authentication' | 'ready'
  keyspace: string | undefined
  username: string | undefined
  readonly eventTypes: Set<string>
}

export type NodeBehaviour = {
  readonly clusterName: string
  readonly salt: string
  readonly authenticator: Authenticator | undefined
  /** Keyspaces that exist; undefined: any. */
  readonly keyspaces: readonly string[] | undefined
  readonly bindType: 'varchar' | 'blob' | 'uuid'
  readonly column: string
  readonly supported: ReadonlyMap<string, readonly string[]>
  readonly systemTables: () => SystemTables
  /** By statement id in hex. */
  readonly prepared: Map<string, PreparedStatement>
}

const md5 = (text: string): Buffer => createHash('md5').update(text).digest()

/** The id that this cluster gives to a statement: the salt makes clusters differ. */
export const statementIdOf = (salt: string, keyspace: string | undefined, text: string): Buffer =>
  md5(`${salt}\u0000${keyspace ?? ''}\u0000${text}`)

const protocolError = (message: string): Answer => errorAnswer(ErrorCode.PROTOCOL_ERROR, message)

const answerStartup = (
  behaviour: NodeBehaviour,
  state: ConnectionState,
  request: DecodedRequest,
): Answer => {
  const compression = request.startupOptions?.get('COMPRESSION')?.toLowerCase()
  const known = behaviour.supported.get('COMPRESSION') ?? []
  if (compression !== undefined && !known.includes(compression)) {
    return protocolError(`Unknown compression algorithm: ${compression}`)
  }
  if (!request.startupOptions?.has('CQL_VERSION')) {
    return protocolError('Missing value CQL_VERSION in STARTUP message')
  }
  if (behaviour.authenticator === undefined) {
    state.phase = 'ready'
    return { opcode: Opcode.READY, body: new Uint8Array(0) }
  }
  state.phase = 'authentication'
  const body = new BodyWriter().writeString(behaviour.authenticator.name).toBytes()
  return { opcode: Opcode.AUTHENTICATE, body }
}

/** SASL PLAIN: [authorization id] NUL user NUL password. */
const answerAuthResponse = (
  authenticator: Authenticator,
  state: ConnectionState,
  token: Uint8Array | null,
): Answer => {
  const text = Buffer.from(token ?? []).toString('utf8')
  if (authenticator.name.endsWith('DseAuthenticator') && text === 'PLAIN') {
    const body = new BodyWriter().writeBytes(Buffer.from('PLAIN-START')).toBytes()
    return { opcode: Opcode.AUTH_CHALLENGE, body }
  }
  const [, username, password] = text.split('\u0000')
  if (username === undefined || password === undefined) {
    return protocolError('Invalid SASL token: user name and password expected')
  }
  if (authenticator.credentials[username] !== password) {
    const message = `Provided username ${username} and/or password are incorrect`
    return errorAnswer(ErrorCode.AUTHENTICATION_ERROR, message)
  }
  state.phase = 'ready'
  state.username = username
  return { opcode: Opcode.AUTH_SUCCESS, body: new BodyWriter().writeBytes(null).toBytes() }
}

const select = (
  behaviour: NodeBehaviour,
  text: string,
  keyspace: string | undefined,
): Selection | Answer => {
  const name = tableOf(text, keyspace)
  if (name.keyspace === 'system') {
    return selectSystemTable(behaviour.systemTables(), name.table, text)
  }
  const columns = [{ name: behaviour.column, type: 'varchar' }] as const
  // Schema tables are empty: a driver that reads its schema metadata finds none.
  const rows = name.keyspace.startsWith('system') ? [] : [[behaviour.clusterName]]
  return { name, columns, rows }
}

const answerStatement = (
  behaviour: NodeBehaviour,
  state: ConnectionState,
  text: string,
  keyspace: string | undefined,
  options: RowsOptions,
): Answer => {
  if (isSelect(text)) {
    const found = select(behaviour, text, keyspace)
    return 'opcode' in found ? found : rowsAnswer(found, options)
  }
  const used = usedKeyspace(text)
  if (used === undefined) return voidAnswer()
  if (behaviour.keyspaces !== undefined && !behaviour.keyspaces.includes(used)) {
    return errorAnswer(ErrorCode.INVALID, `Keyspace '${used}' does not exist`)
  }
  state.keyspace = used
  return setKeyspaceAnswer(used)
}

const answerPrepare = (
  behaviour: NodeBehaviour,
  traits: VersionTraits,
  text: string,
  keyspace: string | undefined,
): Answer => {
  const found = isSelect(text) ? select(behaviour, text, keyspace) : undefined
  if (found !== undefined && 'opcode' in found) return found
  const id = statementIdOf(behaviour.salt, keyspace, text)
  const columns = found?.columns ?? []
  // As Cassandra's: of the columns alone, so equal on clusters that have the same.
  const resultMetadataId = md5(JSON.stringify(columns))
  behaviour.prepared.set(id.toString('hex'), {
    text,
    keyspace,
    resultMetadataId: resultMetadataId.toString('hex'),
  })
  const binds = markerNames(text).map((name) => ({ name, type: behaviour.bindType }))
  const name = tableOf(text, keyspace)
  return preparedAnswer({ id, resultMetadataId, name, binds, columns }, traits)
}

const unprepared = (statementId: string): Answer =>
  errorAnswer(
    ErrorCode.UNPREPARED,
    `Prepared query with ID ${statementId} not found (either the query was not prepared on this ` +
      'host (maybe the host has been restarted?) or you have prepared too many queries and it has ' +
      'been evicted from the internal cache)',
    Buffer.from(statementId, 'hex'),
  )

const answerExecute = (
  behaviour: NodeBehaviour,
  state: ConnectionState,
  traits: VersionTraits,
  request: DecodedRequest,
): Answer => {
  const statementId = request.statementId ?? ''
  const prepared = behaviour.prepared.get(statementId)
  if (prepared === undefined) return unprepared(statementId)
  const skipMetadata = request.skipMetadata ?? false
  const isStale =
    traits.hasResultMetadataId && request.resultMetadataId !== prepared.resultMetadataId
  return answerStatement(behaviour, state, prepared.text, prepared.keyspace, {
    skipMetadata,
    hasShortCollections: !traits.hasIntCollections,
    ...(isStale ? { changedMetadataId: Buffer.from(prepared.resultMetadataId, 'hex') } : {}),
  })
}

const answerBatch = (behaviour: NodeBehaviour, request: DecodedRequest): Answer => {
  for (const { statementId } of request.children ?? []) {
    if (statementId !== undefined && !behaviour.prepared.has(statementId)) {
      return unprepared(statementId)
    }
  }
  return voidAnswer()
}

const answerSupported = (behaviour: NodeBehaviour): Answer => ({
  opcode: Opcode.SUPPORTED,
  body: new BodyWriter().writeStringMultimap(behaviour.supported).toBytes(),
})

/** What is not allowed in this phase of the connection, as Cassandra says it. */
const refuseOutOfPhase = (state: ConnectionState, opcode: number): Answer | undefined => {
  const unexpected = (expected: string): Answer =>
    protocolError(`Unexpected message ${opcodeName(opcode)}, expecting ${expected}`)
  if (opcode === Opcode.OPTIONS) return undefined
  switch (state.phase) {
    case 'startup':
      return opcode === Opcode.STARTUP ? undefined : unexpected('STARTUP or OPTIONS')
    case 'authentication':
      return opcode === Opcode.AUTH_RESPONSE ? undefined : unexpected('SASL_RESPONSE')
    case 'ready':
      return opcode === Opcode.STARTUP || opcode === Opcode.AUTH_RESPONSE
        ? protocolError(`Unexpected message ${opcodeName(opcode)}, connection is ready`)
        : undefined
  }
}

export const answerRequest = (
  behaviour: NodeBehaviour,
  state: ConnectionState,
  version: number,
  opcode: number,
  request: DecodedRequest,
): Answer => {
  const refusal = refuseOutOfPhase(state, opcode)
  const traits = versionTraits(version)
  if (refusal !== undefined) return refusal
  if (traits === undefined) return protocolError(`Unsupported protocol version ${version}`)
  const keyspace = request.keyspace ?? state.keyspace
  const { text = '', skipMetadata = false } = request
  switch (opcode) {
    case Opcode.OPTIONS:
      return answerSupported(behaviour)
    case Opcode.STARTUP:
      return answerStartup(behaviour, state, request)
    case Opcode.AUTH_RESPONSE:
      if (behaviour.authenticator === undefined) return protocolError('No authentication expected')
      return answerAuthResponse(behaviour.authenticator, state, request.token ?? null)
    case Opcode.REGISTER:
      for (const type of request.eventTypes ?? []) state.eventTypes.add(type)
      return { opcode: Opcode.READY, body: new Uint8Array(0) }
    case Opcode.QUERY:
      return answerStatement(behaviour, state, text, keyspace, {
        skipMetadata,
        hasShortCollections: !traits.hasIntCollections,
      })
    case Opcode.PREPARE:
      return answerPrepare(behaviour, traits, text, keyspace)
    case Opcode.EXECUTE:
      return answerExecute(behaviour, state, traits, request)
    case Opcode.BATCH:
      return answerBatch(behaviour, request)
    default:
      return protocolError(`Unknown opcode ${opcode}`)
  }
}
