/** As whom clients are signed in to the cluster that does not get their own credentials (operations §11 S3). */
import { describe, expect, test } from 'vitest'
import { ErrorCode, Opcode, ResultKind, Version } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { dataPlaneSettings } from '../../src/proxy/derived-settings.ts'
import { type Authenticator, passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import {
  plainTokenBody,
  readError,
  resultKind,
  startupBody,
} from '../support/fake-cluster/request-bodies.ts'
import { respond } from '../support/fake-cluster/script.ts'
import { settingsFor } from '../support/instance.ts'
import { eventually, type PlaneRig, startPlane } from '../support/plane.ts'

const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'
const READ = 'SELECT v FROM ks.t'
const VERSIONS = [Version.V3, Version.V4, Version.V5]

/** Users of the cluster that gets the clients' own credentials. */
const CLIENTS = { orders: 'orders-word', billing: 'billing-word', third: 'third-word' }
/** Users of the other one. */
const OTHERS = { orders_there: 'there-word', billing_there: 'b-word', proxy: 'proxy-word' }

type Client = keyof typeof CLIENTS

const MAP = `
users:
  orders: { username: orders_there, password: there-word }
  billing: { username: billing_there, password: b-word }
`
const REFUSING = `unlisted: refuse\n${MAP}`

const authenticator = (credentials: Readonly<Record<string, string>>): Authenticator => ({
  name: 'org.apache.cassandra.auth.PasswordAuthenticator',
  credentials,
})

type Options = {
  readonly forward: boolean
  readonly map?: string
  readonly connections?: 'shared' | 'per_client'
  readonly name?: string
  readonly mirrorsReads?: boolean
}

type MapRig = PlaneRig & {
  /** The cluster of the clients' own users, and the other one. */
  readonly own: FakeCluster
  readonly other: FakeCluster
  readonly otherName: 'origin' | 'target'
}

const rigWith = async (options: Options): Promise<MapRig> => {
  const { forward, map = MAP, connections = 'shared', name, mirrorsReads = false } = options
  const named = (credentials: Readonly<Record<string, string>>): Authenticator =>
    name === undefined ? authenticator(credentials) : { name, credentials }
  const own = { authenticator: named(CLIENTS) }
  const other = { authenticator: named(OTHERS) }
  const control = { username: 'orders', password: CLIENTS.orders }
  const proxy = { username: 'proxy', password: OTHERS.proxy }
  const [origin, target] = forward ? [control, proxy] : [proxy, control]
  const rig = await startPlane({
    origin: forward ? own : other,
    target: forward ? other : own,
    settings: {
      originUsername: origin.username,
      originPassword: origin.password,
      targetUsername: target.username,
      targetPassword: target.password,
      forwardClientCredentialsToOrigin: forward,
      credentialsMap: map,
      upstreamConnections: connections,
      upstreamConnectionsMaxPerNode: 1,
      readMode: mirrorsReads ? 'DUAL_ASYNC_ON_SECONDARY' : 'PRIMARY_ONLY',
      // Copies go to the other cluster.
      primaryCluster: forward ? 'ORIGIN' : 'TARGET',
    },
  })
  return {
    ...rig,
    own: forward ? rig.origin : rig.target,
    other: forward ? rig.target : rig.origin,
    otherName: forward ? 'target' : 'origin',
  }
}

const credentialsOf = (username: Client) => ({ username, password: CLIENTS[username] })

/** Of request connections: the control connection is the first. */
const usersOf = (cluster: FakeCluster): readonly (string | undefined)[] =>
  cluster.openConnections
    .filter(({ index }) => index > 0)
    .map(({ username }) => username)
    .sort()

const nothingLeft = (rig: PlaneRig): Promise<void> =>
  eventually(() => rig.series().nodes.every(({ connections }) => connections === 0))

describe.each([false, true])('forwarded to Origin: %s', (forward) => {
  test.each(VERSIONS)(
    'v%i: each user is the one of its entry, who has none the proxy’s own',
    async (version) => {
      const rig = await rigWith({ forward })
      for (const user of ['orders', 'billing', 'third'] as const) {
        const client = await rig.client(version, { credentials: credentialsOf(user) })
        expect(resultKind(await client.query(WRITE))).toBe(ResultKind.VOID)
      }
      expect(usersOf(rig.own)).toEqual(['billing', 'orders', 'third'])
      expect(usersOf(rig.other)).toEqual(['billing_there', 'orders_there', 'proxy'])
    },
  )

  test.each(VERSIONS)(
    'v%i: who has no entry is refused where the map says so, and says why',
    async (version) => {
      const rig = await rigWith({ forward, map: REFUSING })
      const client = await rig.connect({ version })
      const error = readError(await client.handshake({ credentials: credentialsOf('third') }))
      expect(error.code).toBe(ErrorCode.AUTHENTICATION_ERROR)
      expect(error.message).toMatch(
        new RegExp(`^${rig.otherName}: user "third" has no entry in the proxy's map of users`, 'i'),
      )
      await nothingLeft(rig)
      const lines = rig.log.filter(({ code }) => code === 'CLIENT_NOT_MAPPED')
      expect(lines).toMatchObject([{ level: 'warn', msg: expect.stringContaining('"third"') }])
      const { authenticationFailures } = rig.series()
      expect(authenticationFailures[rig.otherName]).toBe(1)
      const listed = await rig.client(version, { credentials: credentialsOf('orders') })
      expect(resultKind(await listed.query(WRITE))).toBe(ResultKind.VOID)
    },
  )

  test('a wrong password is refused by the client’s own cluster, which tells nothing of the map', async () => {
    const rig = await rigWith({ forward, map: REFUSING })
    for (const username of ['orders', 'third', 'nobody']) {
      const client = await rig.connect({ version: 4 })
      const answer = await client.handshake({ credentials: { username, password: 'guess' } })
      const { code, message } = readError(answer)
      expect(code).toBe(ErrorCode.AUTHENTICATION_ERROR)
      expect(message).toContain('and/or password are incorrect')
      expect(message).not.toContain('entry')
    }
    expect(rig.log.filter(({ code }) => code === 'CLIENT_NOT_MAPPED')).toEqual([])
    await nothingLeft(rig)
  })

  test('refused for the map, a client may come with another user on the same connection', async () => {
    const rig = await rigWith({ forward, map: REFUSING })
    const client = await rig.connect({ version: 4 })
    await client.handshake({ credentials: credentialsOf('third') })
    const token = plainTokenBody('orders', CLIENTS.orders)
    const answer = await client.request(Opcode.AUTH_RESPONSE, token)
    expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
    expect(usersOf(rig.other)).toEqual(['orders_there'])
  })

  test('refusals are one line a minute for each user', async () => {
    const rig = await rigWith({ forward, map: `unlisted: refuse\nusers: {}` })
    for (const user of ['third', 'orders', 'third', 'third'] as const) {
      const client = await rig.connect({ version: 4 })
      await client.handshake({ credentials: credentialsOf(user) })
    }
    const lines = rig.log.filter(({ code }) => code === 'CLIENT_NOT_MAPPED')
    expect(lines).toHaveLength(2)
  })

  test('an entry that the other cluster refuses is said to be the map’s', async () => {
    const map = 'users:\n  orders: { username: orders_there, password: wR0ng }'
    const rig = await rigWith({ forward, map })
    const client = await rig.connect({ version: 4 })
    const error = readError(await client.handshake({ credentials: credentialsOf('orders') }))
    expect(error.code).toBe(ErrorCode.AUTHENTICATION_ERROR)
    expect(error.message).toMatch(
      new RegExp(`^${rig.otherName}: .*the entry of the application's user`, 'i'),
    )
    expect(JSON.stringify([error, rig.log])).not.toContain('wR0ng')
    await nothingLeft(rig)
  })

  test.each(['shared', 'per_client'] as const)(
    '%s connections are never those of another user',
    async (connections) => {
      // On the other cluster all are one user.
      const same =
        'users:\n  orders: { username: proxy, password: proxy-word }\n  billing: { username: proxy, password: proxy-word }'
      const rig = await rigWith({ forward, map: same, connections })
      const users = ['orders', 'orders', 'billing', 'third'] as const
      for (const user of users) {
        const client = await rig.client(4, { credentials: credentialsOf(user) })
        await client.query(WRITE)
      }
      const perClient = ['billing', 'orders', 'orders', 'third']
      const shared = ['billing', 'orders', 'third']
      const expected = connections === 'shared' ? shared : perClient
      await eventually(() => usersOf(rig.own).length === expected.length)
      expect(usersOf(rig.own)).toEqual(expected)
      await eventually(() => usersOf(rig.other).length === expected.length)
    },
  )

  test('connections of copied reads are the same users’', async () => {
    const rig = await rigWith({ forward, mirrorsReads: true })
    const client = await rig.client(4, { credentials: credentialsOf('orders') })
    const copies = (): number => rig.other.received.filter(({ text }) => text === READ).length
    while (copies() === 0) await client.query(READ)
    expect(usersOf(rig.other).length).toBeGreaterThan(1)
    expect(new Set(usersOf(rig.other))).toEqual(new Set(['orders_there']))
  })

  test('a map that has changed is in effect for the next client', async () => {
    const rig = await rigWith({ forward })
    await rig.client(4, { credentials: credentialsOf('third') })
    const credentialsMap = 'users:\n  third: { username: billing_there, password: b-word }'
    const { origin, target } = rig
    const forwarding = { forwardClientCredentialsToOrigin: forward }
    const next = settingsFor(origin, target, { credentialsMap, ...forwarding })
    rig.plane.setSettings({
      ...dataPlaneSettings(next),
      credentials: rig.plane.settings.credentials,
    })
    await rig.client(4, { credentials: credentialsOf('third') })
    expect(usersOf(rig.other)).toEqual(['billing_there', 'proxy'])
  })

  test('DSE’s authenticator on both gets the same users', async () => {
    const rig = await rigWith({
      forward,
      map: REFUSING,
      name: 'com.datastax.bdp.cassandra.auth.DseAuthenticator',
    })
    const shakeHands = async (user: Client) => {
      const client = await rig.connect({ version: 4 })
      await client.request(Opcode.STARTUP, startupBody())
      const choice = new BodyWriter().writeBytes(Buffer.from('PLAIN')).toBytes()
      expect((await client.request(Opcode.AUTH_RESPONSE, choice)).opcode).toBe(
        Opcode.AUTH_CHALLENGE,
      )
      return client.request(Opcode.AUTH_RESPONSE, plainTokenBody(user, CLIENTS[user]))
    }
    expect((await shakeHands('billing')).opcode).toBe(Opcode.AUTH_SUCCESS)
    expect(usersOf(rig.other)).toEqual(['billing_there'])
    expect(readError(await shakeHands('third')).message).toContain('has no entry')
  })
})

test('a client whose own cluster asks no more is nobody on the other until that has seen its password', async () => {
  const rig = await rigWith({ forward: false })
  const ready = respond({ opcode: Opcode.READY, body: new Uint8Array(0) })
  rig.own.on({ opcode: Opcode.STARTUP }, ready)
  const client = await rig.connect({ version: 4 })
  const answer = await client.handshake({ credentials: { username: 'orders', password: 'any' } })
  expect(readError(answer).message).toMatch(/^Origin: .*username orders .*incorrect/)
  await nothingLeft(rig)
})

describe.each(['origin', 'target'] as const)('where only %s asks', (asking) => {
  test('the map has no effect: the client’s own credentials are all there is', async () => {
    const rig = await startPlane({
      [asking]: { authenticator: authenticator(CLIENTS) },
      settings: {
        [`${asking}Username`]: 'orders',
        [`${asking}Password`]: CLIENTS.orders,
        credentialsMap: 'unlisted: refuse\nusers: {}',
      },
    })
    const client = await rig.client(4, { credentials: credentialsOf('third') })
    expect(resultKind(await client.query(WRITE))).toBe(ResultKind.VOID)
    expect(usersOf(rig[asking])).toEqual(['third'])
  })
})

describe('a cluster that asks for another mechanism', () => {
  const KERBEROS = 'org.example.KerberosAuthenticator'
  const challenge = respond({
    opcode: Opcode.AUTH_CHALLENGE,
    body: new BodyWriter().writeBytes(Buffer.from('GSSAPI-START')).toBytes(),
  })

  test.each(['origin', 'target'] as const)(
    '%s: is named, with its authenticator and what the proxy has',
    async (asking) => {
      const asks = { name: KERBEROS, credentials: { client: 'c' } }
      const plain = passwordAuthenticator('client', 'c')
      const rig = await startPlane({
        origin: { authenticator: asking === 'origin' ? asks : plain },
        target: { authenticator: asking === 'target' ? asks : plain },
        settings: {
          originUsername: 'client',
          originPassword: 'c',
          targetUsername: 'client',
          targetPassword: 'c',
        },
      })
      rig[asking].on({ opcode: Opcode.AUTH_RESPONSE }, challenge)
      const client = await rig.connect({ version: 4 })
      const answer = await client.handshake({ credentials: { username: 'client', password: 'c' } })
      const error = readError(answer)
      expect(error.code).toBe(ErrorCode.AUTHENTICATION_ERROR)
      expect(error.message).toMatch(
        new RegExp(`^${asking}: .*SASL PLAIN.* its authenticator is ${KERBEROS}$`, 'i'),
      )
      await nothingLeft(rig)
      await eventually(() => rig.log.some(({ code }) => code === 'CLUSTER_MECHANISM'))
    },
  )

  test('a refusal by a class that nobody here knows names it', async () => {
    const rig = await startPlane({
      origin: { authenticator: passwordAuthenticator('client', 'c') },
      target: { authenticator: { name: KERBEROS, credentials: { client: 'c' } } },
      settings: {
        originUsername: 'client',
        originPassword: 'c',
        targetUsername: 'client',
        targetPassword: 'c',
      },
    })
    const client = await rig.connect({ version: 4 })
    const answer = await client.handshake({ credentials: { username: 'client', password: 'x' } })
    expect(readError(answer).message).toContain(
      `(its authenticator is ${KERBEROS}, and the proxy has SASL PLAIN only)`,
    )
  })
})
