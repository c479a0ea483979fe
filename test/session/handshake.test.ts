/** A client's handshake (request-path §9): who is asked for which credentials, and what goes wrong. */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import {
  type Authenticator,
  dseAuthenticator,
  passwordAuthenticator,
} from '../support/fake-cluster/answers.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import {
  plainTokenBody,
  queryBody,
  readError,
  resultKind,
  startupBody,
} from '../support/fake-cluster/request-bodies.ts'
import {
  closeSocket,
  delay,
  drop,
  halfClose,
  type Reaction,
  respondError,
} from '../support/fake-cluster/script.ts'
import type { Envelope } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, type PlaneRigOptions, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'
const VERSIONS = [Version.V3, Version.V4, Version.V5]

const ORIGIN_USER = { username: 'origin-user', password: 'origin-password' }
const TARGET_USER = { username: 'target-user', password: 'target-password' }
const WRONG = { username: 'origin-user', password: 'wrong' }

const authenticatorOf = ({ username, password }: typeof WRONG): Authenticator =>
  passwordAuthenticator(username, password)

type Who = 'origin' | 'target' | 'wrong'
const CREDENTIALS: Readonly<Record<Who, typeof WRONG>> = {
  origin: ORIGIN_USER,
  target: TARGET_USER,
  wrong: WRONG,
}

/** Request connections of a cluster: those that are not the control connection's. */
const requestConnections = (cluster: FakeCluster) =>
  cluster.openConnections.filter(({ index }) => index > 0)

const usersOf = (cluster: FakeCluster): (string | undefined)[] =>
  requestConnections(cluster).map(({ username }) => username)

const nothingLeft = (rig: PlaneRig): Promise<void> =>
  eventually(() => rig.series().nodes.every(({ connections }) => connections === 0))

const rigWith = (options: {
  readonly originAsks: boolean
  readonly targetAsks: boolean
  readonly forward?: boolean
  readonly connections?: 'shared' | 'per_client'
}): Promise<PlaneRig> =>
  startPlane({
    origin: options.originAsks ? { authenticator: authenticatorOf(ORIGIN_USER) } : {},
    target: options.targetAsks ? { authenticator: authenticatorOf(TARGET_USER) } : {},
    settings: {
      originUsername: ORIGIN_USER.username,
      originPassword: ORIGIN_USER.password,
      targetUsername: TARGET_USER.username,
      targetPassword: TARGET_USER.password,
      forwardClientCredentialsToOrigin: options.forward ?? false,
      upstreamConnections: options.connections ?? 'shared',
    },
  })

type Row = {
  readonly originAsks: boolean
  readonly targetAsks: boolean
  readonly forward: boolean
  readonly client: Who | 'none'
  /** READY without being asked; AUTH_SUCCESS; or the cluster that refuses. */
  readonly expected: 'ready' | 'success' | 'origin' | 'target'
}

/** Whose user the client has to be (request-path §9.1). */
const wanted = (originAsks: boolean, targetAsks: boolean, forward: boolean): Who | null => {
  if (originAsks && targetAsks) return forward ? 'origin' : 'target'
  if (originAsks) return 'origin'
  return targetAsks ? 'target' : null
}

const ROWS: readonly Row[] = [true, false].flatMap((originAsks) =>
  [true, false].flatMap((targetAsks) =>
    [true, false].flatMap((forward) =>
      (['origin', 'target', 'wrong', 'none'] as const).map((client): Row => {
        const who = wanted(originAsks, targetAsks, forward)
        const outcome = client === who ? 'success' : who === 'target' ? 'target' : 'origin'
        const expected = who === null || client === 'none' ? 'ready' : outcome
        return { originAsks, targetAsks, forward, client, expected }
      }),
    ),
  ),
)

const readAuthenticator = (answer: Envelope): string => new BodyReader(answer.body).readString()

describe.each(['shared', 'per_client'] as const)('%s: credentials', (connections) => {
  test.each(ROWS)(
    'origin asks: $originAsks, target asks: $targetAsks, forwarded to origin: $forward, client is $client: $expected',
    async ({ originAsks, targetAsks, forward, client, expected }) => {
      const rig = await rigWith({ originAsks, targetAsks, forward, connections })
      const driver = await rig.connect()
      const credentials = client === 'none' ? undefined : CREDENTIALS[client]
      const answer = await driver.handshake(credentials === undefined ? {} : { credentials })
      if (client === 'none' && (originAsks || targetAsks)) {
        expect(answer.opcode).toBe(Opcode.AUTHENTICATE)
        expect(readError(await driver.query(READ)).code).toBe(ErrorCode.PROTOCOL_ERROR)
        return
      }
      if (expected === 'ready') {
        expect(answer.opcode).toBe(Opcode.READY)
        expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
        return
      }
      if (expected === 'success') {
        expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
        expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
        expect(usersOf(rig.origin)).toEqual([originAsks ? ORIGIN_USER.username : undefined])
        expect(usersOf(rig.target)).toEqual([targetAsks ? TARGET_USER.username : undefined])
        return
      }
      const error = readError(answer)
      expect(error.code).toBe(ErrorCode.AUTHENTICATION_ERROR)
      expect(error.message.toLowerCase()).toMatch(new RegExp(`^${expected}: `))
      await nothingLeft(rig)
    },
  )

  test('the second cluster is asked only when the first has accepted', async () => {
    const rig = await rigWith({ originAsks: true, targetAsks: true, forward: true, connections })
    rig.clear()
    const driver = await rig.connect()
    await driver.handshake({ credentials: WRONG })
    const opcodes = (cluster: FakeCluster): number[] => cluster.received.map((r) => r.opcode)
    expect(opcodes(rig.origin)).toEqual([Opcode.STARTUP, Opcode.AUTH_RESPONSE])
    expect(opcodes(rig.target)).toEqual([Opcode.STARTUP])
  })

  test.each([
    { name: 'AUTH_RESPONSE again', hasStartup: false },
    { name: 'STARTUP again', hasStartup: true },
  ])('after a refusal the same connection may try others: $name', async ({ hasStartup }) => {
    for (const forward of [false, true]) {
      const rig = await rigWith({ originAsks: true, targetAsks: true, forward, connections })
      const driver = await rig.connect()
      await driver.handshake({ credentials: WRONG })
      const right = forward ? ORIGIN_USER : TARGET_USER
      const token = plainTokenBody(right.username, right.password)
      const wrongAgain = plainTokenBody(WRONG.username, WRONG.password)
      const refused = await driver.request(Opcode.AUTH_RESPONSE, wrongAgain)
      expect(readError(refused).code).toBe(ErrorCode.AUTHENTICATION_ERROR)
      const answer = hasStartup
        ? await driver.handshake({ credentials: right })
        : await driver.request(Opcode.AUTH_RESPONSE, token)
      expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
      expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
      expect(usersOf(rig.origin)).toEqual([ORIGIN_USER.username])
      expect(usersOf(rig.target)).toEqual([TARGET_USER.username])
    }
  })

  test.each([
    {
      forward: false,
      wrong: 'target',
      says: /^Target: .* \(these are the application's, .* of Target\)$/,
    },
    {
      forward: true,
      wrong: 'origin',
      says: /^Origin: .* \(these are the application's, .* of Origin\)$/,
    },
    {
      forward: false,
      wrong: 'settings',
      says: /^Origin: .* \(these are origin_username and origin_password /,
    },
  ])(
    'a refusal says whose credentials they were: $wrong, forwarded to origin: $forward',
    async (row) => {
      const rig = await rigWith({
        originAsks: true,
        targetAsks: true,
        forward: row.forward,
        connections,
      })
      if (row.wrong === 'settings') {
        rig.origin.on(
          { opcode: Opcode.AUTH_RESPONSE },
          respondError(ErrorCode.AUTHENTICATION_ERROR, 'no'),
        )
      }
      const right = row.wrong === 'settings' ? TARGET_USER : WRONG
      const driver = await rig.connect()
      const error = readError(await driver.handshake({ credentials: right }))
      expect(error.code).toBe(ErrorCode.AUTHENTICATION_ERROR)
      expect(error.message).toMatch(row.says)
    },
  )

  test.each(['origin', 'target'] as const)(
    'a node of %s that asks where its cluster did not: the configured user answers',
    async (unexpected) => {
      const rig = await rigWith({ originAsks: true, targetAsks: true, connections })
      const { snapshot } = rig.plane
      const [origin, target] = snapshot.clusters
      rig.plane.setSnapshot({
        ...snapshot,
        clusters: [
          { ...origin, requiresAuthentication: unexpected !== 'origin' },
          { ...target, requiresAuthentication: unexpected !== 'target' },
        ],
      })
      const driver = await rig.connect()
      const credentials = unexpected === 'origin' ? TARGET_USER : ORIGIN_USER
      const answer = await driver.handshake({ credentials })
      expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
      expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
      expect(usersOf(rig.origin)).toEqual([ORIGIN_USER.username])
      expect(usersOf(rig.target)).toEqual([TARGET_USER.username])
    },
  )

  test.each([
    { asks: 'target', forward: false },
    { asks: 'target', forward: true },
    { asks: 'origin', forward: false },
    { asks: 'origin', forward: true },
  ] as const)(
    'of two clusters that asked, only a node of $asks does: the client presents its user, forwarded to origin: $forward',
    async ({ asks, forward }) => {
      const rig = await rigWith({
        originAsks: asks === 'origin',
        targetAsks: asks === 'target',
        forward,
        connections,
      })
      const { snapshot } = rig.plane
      const [origin, target] = snapshot.clusters
      rig.plane.setSnapshot({
        ...snapshot,
        clusters: [
          { ...origin, requiresAuthentication: true },
          { ...target, requiresAuthentication: true },
        ],
      })
      const driver = await rig.connect()
      const credentials = asks === 'origin' ? ORIGIN_USER : TARGET_USER
      const answer = await driver.handshake({ credentials })
      expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
      expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
      expect(usersOf(rig[asks])).toEqual([credentials.username])
      // Nobody gets in by the proxy's own user.
      const wrong = await (await rig.connect()).handshake({ credentials: WRONG })
      expect(readError(wrong).code).toBe(ErrorCode.AUTHENTICATION_ERROR)
    },
  )

  test('without configured credentials for Origin the error says what is missing', async () => {
    const rig = await rigWith({ originAsks: true, targetAsks: true, connections })
    const settings = { ...rig.plane.settings, credentials: [null, null] as const }
    Object.assign(rig.plane, { settings })
    const driver = await rig.connect()
    const error = readError(await driver.handshake({ credentials: TARGET_USER }))
    expect(error.code).toBe(ErrorCode.AUTHENTICATION_ERROR)
    expect(error.message).toContain('origin_username')
  })

  test('the client sees Origin’s authenticator, unless only Target has one', async () => {
    for (const [originAsks, targetAsks, name] of [
      [true, true, 'org.apache.cassandra.auth.PasswordAuthenticator'],
      [false, true, 'org.example.Mine'],
    ] as const) {
      const rig = await startPlane({
        origin: originAsks ? { authenticator: authenticatorOf(ORIGIN_USER) } : {},
        target: targetAsks
          ? { authenticator: { ...authenticatorOf(TARGET_USER), name: 'org.example.Mine' } }
          : {},
        settings: {
          originUsername: ORIGIN_USER.username,
          originPassword: ORIGIN_USER.password,
          targetUsername: TARGET_USER.username,
          targetPassword: TARGET_USER.password,
          upstreamConnections: connections,
        },
      })
      const driver = await rig.connect()
      const answer = await driver.request(Opcode.STARTUP, startupBody())
      expect(readAuthenticator(answer)).toBe(name)
    }
  })
})

describe('a success of another client', () => {
  test('never stands in for the clusters’ word', async () => {
    const rig = await rigWith({ originAsks: true, targetAsks: true })
    await rig.client(4, { credentials: TARGET_USER })
    const driver = await rig.connect()
    const refused = await driver.handshake({
      credentials: { username: TARGET_USER.username, password: 'guess' },
    })
    expect(readError(refused).code).toBe(ErrorCode.AUTHENTICATION_ERROR)
    rig.target.on({ opcode: Opcode.AUTH_RESPONSE }, respondError(ErrorCode.AUTHENTICATION_ERROR))
    const next = await rig.connect()
    const answer = await next.handshake({ credentials: TARGET_USER })
    expect(readError(answer).code).toBe(ErrorCode.AUTHENTICATION_ERROR)
  })

  test('with the same credentials shares its connections; with others it does not', async () => {
    const two = { [TARGET_USER.username]: TARGET_USER.password, second: 'x' }
    const rig = await startPlane({
      origin: {},
      target: { authenticator: { name: 'a.b.PasswordAuthenticator', credentials: two } },
      settings: { targetUsername: 'second', targetPassword: 'x', upstreamConnectionsMaxPerNode: 1 },
    })
    for (let i = 0; i < 3; i++) await rig.client(4, { credentials: TARGET_USER })
    await rig.client(4, { credentials: { username: 'second', password: 'x' } })
    await eventually(() => requestConnections(rig.target).length === 2)
    expect(usersOf(rig.target)).toEqual([TARGET_USER.username, 'second'])
  })
})

describe('DSE’s authenticator', () => {
  const PLAIN = new BodyWriter().writeBytes(Buffer.from('PLAIN')).toBytes()
  const sides: readonly (readonly [boolean, boolean])[] = [
    [true, true],
    [true, false],
    [false, true],
  ]
  test.each(sides)('origin %s, target %s: in two steps', async (onOrigin, onTarget) => {
    const make = (isDse: boolean, { username, password }: typeof WRONG): Authenticator =>
      isDse ? dseAuthenticator(username, password) : passwordAuthenticator(username, password)
    const rig = await startPlane({
      origin: { authenticator: make(onOrigin, ORIGIN_USER) },
      target: { authenticator: make(onTarget, TARGET_USER) },
      settings: {
        originUsername: ORIGIN_USER.username,
        originPassword: ORIGIN_USER.password,
        targetUsername: TARGET_USER.username,
        targetPassword: TARGET_USER.password,
      },
    })
    const driver = await rig.connect()
    const token = plainTokenBody(TARGET_USER.username, TARGET_USER.password)
    await driver.request(Opcode.STARTUP, startupBody())
    if (onOrigin) {
      const challenge = await driver.request(Opcode.AUTH_RESPONSE, PLAIN)
      expect(challenge.opcode).toBe(Opcode.AUTH_CHALLENGE)
    }
    const answer = await driver.request(Opcode.AUTH_RESPONSE, token)
    expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
    expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
    expect(usersOf(rig.target)).toEqual([TARGET_USER.username])
  })

  test('refused, then tried again from its first step', async () => {
    const rig = await startPlane({
      origin: { authenticator: dseAuthenticator('u', 'p') },
      settings: { originUsername: 'u', originPassword: 'p' },
    })
    const driver = await rig.connect()
    await driver.request(Opcode.STARTUP, startupBody())
    await driver.request(Opcode.AUTH_RESPONSE, PLAIN)
    const refused = await driver.request(Opcode.AUTH_RESPONSE, plainTokenBody('u', 'wrong'))
    expect(readError(refused).code).toBe(ErrorCode.AUTHENTICATION_ERROR)
    expect(rig.series().authenticationFailures).toEqual({ origin: 1, target: 0 })
    const challenge = await driver.request(Opcode.AUTH_RESPONSE, PLAIN)
    expect(challenge.opcode).toBe(Opcode.AUTH_CHALLENGE)
    const answer = await driver.request(Opcode.AUTH_RESPONSE, plainTokenBody('u', 'p'))
    expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
  })
})

describe('tokens that are no SASL PLAIN', () => {
  const TOKENS: readonly (readonly [name: string, body: Uint8Array, code: number])[] = [
    [
      'of one part',
      new BodyWriter().writeBytes(Buffer.from('x')).toBytes(),
      ErrorCode.AUTHENTICATION_ERROR,
    ],
    [
      'of two parts',
      new BodyWriter().writeBytes(Buffer.from('u\0p')).toBytes(),
      ErrorCode.AUTHENTICATION_ERROR,
    ],
    [
      'empty',
      new BodyWriter().writeBytes(new Uint8Array(0)).toBytes(),
      ErrorCode.AUTHENTICATION_ERROR,
    ],
    ['cut off', Uint8Array.of(0, 0, 0, 9, 1), ErrorCode.PROTOCOL_ERROR],
    ['absent', new Uint8Array(0), ErrorCode.PROTOCOL_ERROR],
  ]
  test.each(TOKENS)('%s: an error, and a right one may follow', async (_, body, code) => {
    const rig = await rigWith({ originAsks: true, targetAsks: false })
    const driver = await rig.connect()
    await driver.request(Opcode.STARTUP, startupBody())
    expect(readError(await driver.request(Opcode.AUTH_RESPONSE, body)).code).toBe(code)
    const answer = await driver.handshake({ credentials: ORIGIN_USER })
    expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
  })

  test('a null token goes to the cluster, which knows what it means', async () => {
    const rig = await rigWith({ originAsks: true, targetAsks: false })
    const driver = await rig.connect()
    await driver.request(Opcode.STARTUP, startupBody())
    rig.clear()
    await driver.request(Opcode.AUTH_RESPONSE, new BodyWriter().writeBytes(null).toBytes())
    expect(rig.origin.received.map(({ opcode }) => opcode)).toEqual([Opcode.AUTH_RESPONSE])
  })
})

describe.each(VERSIONS)('v%i: order and form', (version) => {
  const expectProtocolError = (answer: Envelope, text: string): void => {
    const error = readError(answer)
    expect(error.code).toBe(ErrorCode.PROTOCOL_ERROR)
    expect(error.message).toContain(text)
  }

  test('requests before STARTUP are refused, one answer each, and nothing reaches a cluster', async () => {
    const rig = await startPlane()
    const driver = await rig.connect({ version })
    rig.clear()
    const opcodes = [
      Opcode.QUERY,
      Opcode.PREPARE,
      Opcode.EXECUTE,
      Opcode.BATCH,
      Opcode.REGISTER,
      Opcode.AUTH_RESPONSE,
      Opcode.RESULT,
      0x42,
    ]
    for (const opcode of opcodes) {
      const body = queryBody(version, 'SELECT * FROM system.local')
      expectProtocolError(await driver.request(opcode, body), 'Unexpected message')
    }
    expect([...rig.origin.received, ...rig.target.received]).toEqual([])
    expect((await driver.handshake()).opcode).toBe(Opcode.READY)
  })

  test('OPTIONS is answered before and after', async () => {
    const rig = await startPlane()
    const driver = await rig.connect({ version })
    const before = await driver.request(Opcode.OPTIONS, new Uint8Array(0))
    await driver.handshake()
    const after = await driver.request(Opcode.OPTIONS, new Uint8Array(0))
    const options = new BodyReader(before.body).readStringMultimap()
    expect([...options.keys()].sort()).toEqual(['COMPRESSION', 'CQL_VERSION', 'PROTOCOL_VERSIONS'])
    expect(options.get('COMPRESSION')).toEqual([])
    expect(after.body).toEqual(before.body)
  })

  test('a second STARTUP is refused, and the connection goes on', async () => {
    const rig = await startPlane()
    const driver = await rig.client(version)
    const answer = await driver.request(Opcode.STARTUP, startupBody())
    expectProtocolError(answer, 'STARTUP')
    expect(resultKind(await driver.query(READ))).toBe(ResultKind.ROWS)
  })

  const MALFORMED: readonly (readonly [name: string, body: Uint8Array, text: string])[] = [
    ['an empty body', new Uint8Array(0), 'Cannot read'],
    ['a cut-off body', startupBody().subarray(0, 9), 'Cannot read'],
    [
      'no CQL_VERSION',
      new BodyWriter().writeStringMap(new Map([['a', 'b']])).toBytes(),
      'CQL_VERSION',
    ],
    ['unknown compression', startupBody({ COMPRESSION: 'zstd' }), 'zstd'],
    ['compression that the clusters do not have', startupBody({ COMPRESSION: 'lz4' }), 'lz4'],
    ['no name of a compression', startupBody({ COMPRESSION: '' }), 'compression'],
  ]
  test.each(MALFORMED)(
    'a STARTUP with %s is refused; a right one may follow',
    async (_, body, text) => {
      const rig = await startPlane()
      const driver = await rig.connect({ version })
      expectProtocolError(await driver.request(Opcode.STARTUP, body), text)
      expect((await driver.handshake()).opcode).toBe(Opcode.READY)
      expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
    },
  )

  test.each(['none', 'NONE'])('compression "%s" is no compression', async (word) => {
    const rig = await startPlane()
    const driver = await rig.connect({ version })
    const answer = await driver.handshake({ startupOptions: { COMPRESSION: word } })
    expect(answer.opcode).toBe(Opcode.READY)
  })

  test('a negative stream id is refused under that id', async () => {
    const rig = await startPlane()
    const driver = await rig.connect({ version })
    const answer = await driver.request(Opcode.STARTUP, startupBody(), { streamId: -7 })
    expectProtocolError(answer, 'stream id -7')
    expect((await driver.handshake()).opcode).toBe(Opcode.READY)
  })

  test('STARTUP’s options reach the clusters as they are', async () => {
    const rig = await startPlane()
    const startupOptions = { NO_COMPACT: 'true', DRIVER_NAME: 'ours', CLIENT_ID: 'x', unknown: 'y' }
    await rig.client(version, { startupOptions })
    for (const cluster of [rig.origin, rig.target]) {
      const [connection] = requestConnections(cluster)
      const expected = { CQL_VERSION: '3.0.0', ...startupOptions }
      expect(Object.fromEntries(connection!.startupOptions)).toEqual(expected)
    }
  })
})

test('the version cannot change once answers come in frames', async () => {
  const rig = await rigWith({ originAsks: true, targetAsks: false })
  const driver = await rig.connect({ version: Version.V5 })
  await driver.request(Opcode.STARTUP, startupBody())
  const startup = driver.envelope(Opcode.STARTUP, startupBody(), { streamId: 3 })
  startup[0] = Version.V4
  driver.send(startup)
  const error = readError(await driver.next())
  expect(error.code).toBe(ErrorCode.PROTOCOL_ERROR)
  expect(error.message).toContain('version')
  const answer = await driver.handshake({ credentials: ORIGIN_USER })
  expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
})

describe('a version that a cluster does not speak', () => {
  const SIDES: readonly PlaneRigOptions[] = [
    { origin: { maxVersion: Version.V4 } },
    { target: { maxVersion: Version.V4 } },
    { origin: { maxVersion: Version.V4 }, target: { maxVersion: Version.V3 } },
    {
      origin: { maxVersion: Version.V4, authenticator: authenticatorOf(ORIGIN_USER) },
      settings: { originUsername: ORIGIN_USER.username, originPassword: ORIGIN_USER.password },
    },
  ]
  test.each(SIDES)(
    '%j: PROTOCOL_ERROR on stream 0, and a lower one may follow',
    async (options) => {
      const rig = await startPlane(options)
      const driver = await rig.connect({ version: Version.V5 })
      driver.send(driver.envelope(Opcode.STARTUP, startupBody(), { streamId: 9 }))
      const answer = await driver.next()
      expect(answer.streamId).toBe(0)
      expect(answer.version).toBeLessThan(Version.V5)
      expect(readError(answer)).toMatchObject({
        code: ErrorCode.PROTOCOL_ERROR,
        message: expect.stringContaining('unsupported protocol version (5)'),
      })
      const lower = await rig.connect({ version: Version.V3 })
      const credentials = ORIGIN_USER
      const ready = await lower.handshake({ credentials })
      expect([Opcode.READY, Opcode.AUTH_SUCCESS]).toContain(ready.opcode)
    },
  )
})

describe('a cluster that fails in the middle', () => {
  const FAILURES: readonly (readonly [name: string, reaction: Reaction])[] = [
    ['closes', closeSocket()],
    ['half closes', halfClose()],
    ['is overloaded', respondError(ErrorCode.OVERLOADED, 'busy')],
    ['is bootstrapping', respondError(ErrorCode.IS_BOOTSTRAPPING, 'not yet')],
  ]
  for (const asks of [false, true]) {
    test.each(FAILURES)(
      `${asks ? 'with' : 'without'} credentials: %s: an error; later it works`,
      async (_, reaction) => {
        const rig = await rigWith({ originAsks: asks, targetAsks: asks })
        const driver = await rig.connect()
        const rule = rig.target.on({ opcode: Opcode.STARTUP }, reaction)
        const answer = await driver.handshake({ credentials: TARGET_USER })
        expect(answer.opcode).toBe(Opcode.ERROR)
        rig.target.off(rule)
        const again = await driver.handshake({ credentials: TARGET_USER })
        expect(again.opcode).toBe(asks ? Opcode.AUTH_SUCCESS : Opcode.READY)
        expect(resultKind(await driver.query(WRITE))).toBe(ResultKind.VOID)
      },
    )
  }

  test('is down: an error that names it, and READY when it is back', async () => {
    const rig = await startPlane()
    await rig.target.stopListening()
    const driver = await rig.connect()
    const error = readError(await driver.handshake())
    expect(error.code).toBe(ErrorCode.OVERLOADED)
    expect(error.message).toContain('Target: cannot connect')
    await rig.target.resume()
    expect((await driver.handshake()).opcode).toBe(Opcode.READY)
  })

  test('a silent node with credentials costs a moment, not the connection time-out', async () => {
    const rig = await startPlane({
      origin: { nodes: 3, authenticator: authenticatorOf(ORIGIN_USER) },
      settings: { originUsername: ORIGIN_USER.username, originPassword: ORIGIN_USER.password },
    })
    await rig.origin.nodes[0]!.stopListening({ keepConnections: true })
    for (let i = 0; i < 4; i++) {
      const driver = await rig.connect()
      const answer = await driver.handshake({ credentials: ORIGIN_USER })
      expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
    }
  })
})

describe('a client that goes in the middle leaves no connection behind', () => {
  const STEPS: readonly (readonly [
    name: string,
    go: (driver: RawClient) => void,
    opcode: number,
  ])[] = [
    ['STARTUP', (driver) => void driver.request(Opcode.STARTUP, startupBody()), Opcode.STARTUP],
    [
      'AUTH_RESPONSE',
      (driver) => void driver.handshake({ credentials: TARGET_USER }).catch(() => {}),
      Opcode.AUTH_RESPONSE,
    ],
  ]
  for (const cluster of ['origin', 'target'] as const) {
    test.each(STEPS)(`after %s, while ${cluster} thinks`, async (_, go, opcode) => {
      const rig = await rigWith({ originAsks: true, targetAsks: true })
      const held = delay()
      rig[cluster].on({ opcode }, held)
      rig.clear()
      const driver = await rig.connect()
      go(driver)
      await rig[cluster].waitFor((request) => request.opcode === opcode)
      await driver.close()
      await eventually(() => rig.series().clientConnections === 0)
      held.release()
      await nothingLeft(rig)
      expect(rig.log.filter(({ msg }) => msg.includes('refused'))).toEqual([])
    })
  }

  test('after AUTHENTICATE', async () => {
    const rig = await rigWith({ originAsks: true, targetAsks: true })
    const driver = await rig.connect()
    await driver.request(Opcode.STARTUP, startupBody())
    await driver.close()
    await nothingLeft(rig)
  })

  test('per client, while its connections are opened', async () => {
    const rig = await startPlane({ settings: { upstreamConnections: 'per_client' } })
    const held = delay()
    rig.target.on({ opcode: Opcode.STARTUP }, held)
    rig.clear()
    const driver = await rig.connect()
    driver.handshake().catch(() => {})
    await rig.target.waitFor(({ opcode }) => opcode === Opcode.STARTUP)
    await driver.close()
    await eventually(() => rig.series().clientConnections === 0)
    held.release()
    await nothingLeft(rig)
    expect(rig.plane.profiles.size).toBe(0)
  })
})

test('a thousand refused handshakes are one line in the log', async () => {
  const rig = await rigWith({ originAsks: true, targetAsks: false })
  const driver = await rig.connect()
  await driver.request(Opcode.STARTUP, startupBody())
  const token = plainTokenBody(WRONG.username, WRONG.password)
  for (let i = 0; i < 100; i++) await driver.request(Opcode.AUTH_RESPONSE, token)
  const lines = rig.log.filter(({ code }) => code === 'CLUSTER_AUTHENTICATION')
  expect(lines).toHaveLength(1)
  expect(lines[0]!.level).toBe('warn')
  rig.origin.on({ opcode: Opcode.STARTUP }, drop())
})
