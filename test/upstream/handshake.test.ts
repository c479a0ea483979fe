import { describe, expect, test } from 'vitest'
import { EnvelopeFlag, ErrorCode, Opcode, Version, versionTraits } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { ClusterError, ClusterErrorCode } from '../../src/upstream/errors.ts'
import {
  completeHandshake,
  queryBody,
  respond,
  startUp,
  useKeyspace,
} from '../../src/upstream/handshake.ts'
import { dseAuthenticator, passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import { errorAnswer } from '../support/fake-cluster/results.ts'
import {
  respond as answerWith,
  closeSocket,
  drop,
  respondError,
} from '../support/fake-cluster/script.ts'
import { STARTUP_OPTIONS, start } from './node-connections.ts'

const CREDENTIALS = { username: 'u', password: 'p' }
const AUTHENTICATORS = {
  password: passwordAuthenticator('u', 'p'),
  dse: dseAuthenticator('u', 'p'),
}
const VERSIONS = [Version.V3, Version.V4, Version.V5]
const traitsOf = (version: Version) => ({ traits: versionTraits(version)! })

/** The error that a promise rejects with, as a ClusterError. */
const clusterError = async (promise: Promise<unknown>): Promise<ClusterError> => {
  const error = await promise.then(
    () => new Error('It did not reject'),
    (cause: unknown) => cause,
  )
  if (error instanceof ClusterError) return error
  throw error
}

describe('a complete handshake', () => {
  test.each(VERSIONS)('v%i: a node that asks for nothing', async (version) => {
    const { cluster, harness } = await start()
    const connection = await harness.open(cluster, traitsOf(version))
    await completeHandshake(connection, STARTUP_OPTIONS, null, null)
    expect(connection.state).toBe('ready')
    expect(cluster.received.map((request) => request.opcode)).toEqual([Opcode.STARTUP])
    expect(cluster.received[0]!.startupOptions).toEqual(STARTUP_OPTIONS)
  })

  test.each(
    VERSIONS.flatMap((version) => [[version, 'password'] as const, [version, 'dse'] as const]),
  )('v%i: %s authenticator, then a keyspace', async (version, name) => {
    const { cluster, harness } = await start({ authenticator: AUTHENTICATORS[name] })
    const connection = await harness.open(cluster, traitsOf(version))
    await completeHandshake(connection, STARTUP_OPTIONS, CREDENTIALS, 'My "ks"')
    expect(connection.state).toBe('ready')
    expect(connection.keyspace).toBe('My "ks"')
    expect(cluster.connections[0]).toMatchObject({ username: 'u', keyspace: 'My "ks"' })
    expect(cluster.violations).toEqual([])
  })

  test('USE quotes the name, so that no keyspace is another', async () => {
    const { cluster, harness } = await start()
    const connection = await harness.openReady(cluster)
    await useKeyspace(connection, 'a"b')
    expect(cluster.received.at(-1)!.text).toBe('USE "a""b"')
  })

  test.each(VERSIONS)('v%i: a statement of the proxy itself is well formed', async (version) => {
    const { cluster, harness } = await start()
    const connection = await harness.openReady(cluster, traitsOf(version))
    const answer = await connection.call(Opcode.QUERY, queryBody(connection, 'SELECT * FROM ks.t'))
    expect(answer.opcode).toBe(Opcode.RESULT)
  })
})

describe('a refusal', () => {
  test('of the version comes from a node that cannot read the stream id', async () => {
    const { cluster, harness } = await start({ maxVersion: Version.V4 })
    const connection = await harness.open(cluster, traitsOf(Version.V5))
    const error = await clusterError(startUp(connection, STARTUP_OPTIONS))
    expect(error.code).toBe(ClusterErrorCode.VERSION)
    expect(error.message).toContain('Invalid or unsupported protocol version (5)')
    expect(error.envelope).not.toBeNull()
    expect(connection.slots.used).toBe(0)
  })

  test('of the credentials carries the node’s own answer', async () => {
    const { cluster, harness } = await start({ authenticator: AUTHENTICATORS.password })
    const connection = await harness.open(cluster)
    const wrong = { username: 'u', password: 'wrong' }
    const error = await clusterError(completeHandshake(connection, STARTUP_OPTIONS, wrong, null))
    expect(error.code).toBe(ClusterErrorCode.AUTHENTICATION)
    expect(error.message).toContain('Origin: ')
    expect(error.message).toContain('Provided username u and/or password are incorrect')
    expect(error.envelope).not.toBeNull()
    expect(connection.state).toBe('handshaking')
  })

  test('of a token is not one of the version', async () => {
    const { cluster, harness } = await start({ authenticator: AUTHENTICATORS.password })
    const connection = await harness.open(cluster)
    await startUp(connection, STARTUP_OPTIONS)
    cluster.on(
      { opcode: Opcode.AUTH_RESPONSE },
      respondError(ErrorCode.PROTOCOL_ERROR, 'bad token'),
    )
    const error = await clusterError(respond(connection, new Uint8Array(1)))
    expect(error.code).toBe(ClusterErrorCode.UNEXPECTED)
    expect(error.message).toContain('bad token')
  })

  test('of credentials that nobody has', async () => {
    const { cluster, harness } = await start({ authenticator: AUTHENTICATORS.password })
    const connection = await harness.open(cluster)
    const error = await clusterError(completeHandshake(connection, STARTUP_OPTIONS, null, null))
    expect(error.code).toBe(ClusterErrorCode.AUTHENTICATION)
    expect(error.message).toContain('none are known')
  })

  test('of the keyspace', async () => {
    const { cluster, harness } = await start({ keyspaces: ['ks'] })
    const connection = await harness.open(cluster)
    const error = await clusterError(completeHandshake(connection, STARTUP_OPTIONS, null, 'no'))
    expect(error.code).toBe(ClusterErrorCode.UNEXPECTED)
    expect(error.message).toContain("refused USE no: Keyspace 'no' does not exist")
    expect(connection.keyspace).toBeNull()
    expect(connection.state).toBe('handshaking')
  })

  test('is read behind its warnings', async () => {
    const { cluster, harness } = await start()
    const connection = await harness.openReady(cluster)
    const { opcode, body } = errorAnswer(ErrorCode.INVALID, 'no such keyspace')
    const warned = new BodyWriter().writeStringList(['a warning']).writeRaw(body).toBytes()
    const answer = { opcode, body: warned, flags: EnvelopeFlag.WARNING }
    cluster.on({ opcode: Opcode.QUERY }, answerWith(answer))
    const error = await clusterError(useKeyspace(connection, 'ks'))
    expect(error.message).toContain('no such keyspace')
  })

  test('with an answer that makes no sense', async () => {
    const { cluster, harness } = await start()
    cluster.on(
      { opcode: Opcode.STARTUP },
      answerWith({ opcode: Opcode.SUPPORTED, body: new Uint8Array(2) }),
    )
    const connection = await harness.open(cluster)
    const error = await clusterError(startUp(connection, STARTUP_OPTIONS))
    expect(error.code).toBe(ClusterErrorCode.UNEXPECTED)
    expect(error.message).toContain('answered STARTUP with SUPPORTED')
  })

  test('with an ERROR that is cut off', async () => {
    const { cluster, harness } = await start()
    cluster.on(
      { opcode: Opcode.STARTUP },
      answerWith({ opcode: Opcode.ERROR, body: new Uint8Array(3) }),
    )
    const connection = await harness.open(cluster)
    const error = await clusterError(startUp(connection, STARTUP_OPTIONS))
    expect(error.code).toBe(ClusterErrorCode.UNEXPECTED)
  })
})

describe('an authenticator', () => {
  test('that is not SASL PLAIN is named', async () => {
    const { cluster, harness } = await start({ authenticator: AUTHENTICATORS.password })
    const challenge = new BodyWriter().writeBytes(new TextEncoder().encode('GSSAPI')).toBytes()
    cluster.on(
      { opcode: Opcode.AUTH_RESPONSE },
      answerWith({ opcode: Opcode.AUTH_CHALLENGE, body: challenge }),
    )
    const connection = await harness.open(cluster)
    const error = await clusterError(
      completeHandshake(connection, STARTUP_OPTIONS, CREDENTIALS, null),
    )
    expect(error.code).toBe(ClusterErrorCode.MECHANISM)
    expect(error.message).toContain('PasswordAuthenticator')
  })

  test('that challenges for ever is given up', async () => {
    const { cluster, harness } = await start({ authenticator: AUTHENTICATORS.password })
    const challenge = new BodyWriter().writeBytes(new TextEncoder().encode('PLAIN-START')).toBytes()
    const rule = cluster.on(
      { opcode: Opcode.AUTH_RESPONSE },
      answerWith({ opcode: Opcode.AUTH_CHALLENGE, body: challenge }),
    )
    const connection = await harness.open(cluster)
    const error = await clusterError(
      completeHandshake(connection, STARTUP_OPTIONS, CREDENTIALS, null),
    )
    expect(error.code).toBe(ClusterErrorCode.MECHANISM)
    expect(rule.hits).toBe(6)
  })
})

describe('a connection that is lost in its handshake', () => {
  test.each([Opcode.STARTUP, Opcode.AUTH_RESPONSE, Opcode.QUERY])(
    'rejects the step %i, and is closed',
    async (opcode) => {
      const { cluster, harness } = await start({ authenticator: AUTHENTICATORS.password })
      cluster.on({ opcode }, closeSocket())
      const connection = await harness.open(cluster)
      const error = await clusterError(
        completeHandshake(connection, STARTUP_OPTIONS, CREDENTIALS, 'ks'),
      )
      expect(error.code).toBe(ClusterErrorCode.CONNECTION_LOST)
      expect(connection.state).toBe('closed')
    },
  )

  test('right behind its last answer does not come back to life', async () => {
    const { cluster, harness } = await start()
    // READY and bytes that are no envelope, in one write: the answer settles the call, the rest ends
    // the connection, and only then does the handshake go on.
    const ready = new BodyWriter().toEnvelope(0x84, 0, 1, Opcode.READY)
    cluster.on(
      { opcode: Opcode.STARTUP },
      {
        kind: 'rawBytes',
        bytes: Buffer.concat([ready, Buffer.alloc(20, 0xff)]),
      },
    )
    const connection = await harness.open(cluster)
    const error = await clusterError(completeHandshake(connection, STARTUP_OPTIONS, null, null))
    expect(error.code).toBe(ClusterErrorCode.CONNECTION_LOST)
    expect(connection.state).toBe('closed')
    expect(connection.becomeReady()).toBe(false)
  })

  test('that is drained meanwhile does not become ready', async () => {
    const { cluster, harness } = await start()
    const connection = await harness.open(cluster)
    const shaken = completeHandshake(connection, STARTUP_OPTIONS, null, null)
    connection.drain()
    expect((await clusterError(shaken)).code).toBe(ClusterErrorCode.CONNECTION_LOST)
    expect(connection.isUsable).toBe(false)
  })
})

test('a step that is not answered rejects when its time is over', async () => {
  const { cluster, harness } = await start()
  cluster.on({ opcode: Opcode.STARTUP }, drop())
  const connection = await harness.open(cluster, { callTimeoutMs: () => 3_000 })
  const shaken = completeHandshake(connection, STARTUP_OPTIONS, null, null)
  await cluster.waitFor((request) => request.opcode === Opcode.STARTUP)
  harness.clock.advance(2_999)
  harness.sweep()
  expect(connection.slots.orphans).toBe(0)
  harness.clock.advance(1)
  harness.sweep()
  const error = await clusterError(shaken)
  expect(error.code).toBe(ClusterErrorCode.TIMEOUT)
  expect(error.message).toContain('did not answer STARTUP within 3000 ms')
})
