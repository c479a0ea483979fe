/** Clients grouped by what tells applications apart, and what of their texts is shown. */
import { describe, expect, test } from 'vitest'
import { ErrorCode, ResultKind } from '../../src/cql/protocol.ts'
import {
  CLIENT_GROUPS_MAX,
  type ClientView,
  groupClients,
  isSelected,
  mergeGroups,
  shown,
} from '../../src/proxy/client-groups.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { readError, resultKind } from '../support/fake-cluster/request-bodies.ts'
import { delay } from '../support/fake-cluster/script.ts'
import { type Rig, startRig } from '../support/instance.ts'
import { eventually, someTurns } from '../support/plane.ts'

const NOW_MS = 1_000_000

type Fields = {
  readonly peer?: string
  readonly user?: string
  readonly options?: Readonly<Record<string, string>>
  readonly inFlight?: number
  readonly ageMs?: number
  readonly silentMs?: number
}

/** As much of a session as is looked at. */
const client = (fields: Fields = {}): ClientView => {
  const { peer = '10.0.0.1:50000', user = '', options, inFlight = 0 } = fields
  const { ageMs = 5_000, silentMs = 0 } = fields
  const profile = { profile: { startupOptions: new Map(Object.entries(options ?? {})) } }
  return {
    transport: { peer },
    user,
    profile: options === undefined ? null : profile,
    traits: options === undefined ? null : { version: 4 },
    inFlight,
    acceptedAtMs: NOW_MS - ageMs,
    lastReadAtMs: NOW_MS - silentMs,
  }
}

const JAVA = { DRIVER_NAME: 'java', DRIVER_VERSION: '4.17.0' }

describe('groups', () => {
  test('have an address, a user, a driver and an application each', () => {
    const { groups } = groupClients(
      [
        client({ options: JAVA, user: 'orders', ageMs: 9_000, silentMs: 4_500, inFlight: 2 }),
        client({ options: JAVA, user: 'orders', peer: '10.0.0.1:50001', silentMs: 1_999 }),
        client({ options: { ...JAVA, APPLICATION_NAME: 'shop', APPLICATION_VERSION: '2' } }),
        client({ options: JAVA, peer: '[::ffff:10.0.0.2]:50000' }),
        client(),
      ],
      NOW_MS,
    )
    const nobody = { applicationName: '', applicationVersion: '', user: '', inFlight: 0 }
    const java = { driverName: 'java', driverVersion: '4.17.0', protocolVersion: 4 }
    const one = { connections: 1, oldestSeconds: 5, idleSeconds: 0 }
    expect(groups).toEqual([
      {
        ...nobody,
        ...java,
        address: '10.0.0.1',
        user: 'orders',
        connections: 2,
        inFlight: 2,
        oldestSeconds: 9,
        idleSeconds: 1,
      },
      {
        ...nobody,
        ...java,
        ...one,
        address: '10.0.0.1',
        applicationName: 'shop',
        applicationVersion: '2',
      },
      { ...nobody, ...java, ...one, address: '10.0.0.2' },
      {
        ...nobody,
        ...one,
        address: '10.0.0.1',
        driverName: '',
        driverVersion: '',
        protocolVersion: null,
      },
    ])
  })

  test('are the largest, and the rest is counted, of one plane and of all', () => {
    const many = Array.from({ length: CLIENT_GROUPS_MAX + 2 }, (_, i) =>
      client({ user: `user ${i}` }),
    )
    const busy = [client({ user: 'busy' }), client({ user: 'busy' })]
    const plane = groupClients([...many, ...busy], NOW_MS)
    expect(plane.groups).toHaveLength(CLIENT_GROUPS_MAX)
    expect(plane.groups[0]).toMatchObject({ user: 'busy', connections: 2 })
    expect(plane.unlistedConnections).toBe(3)
    const other = groupClients([client({ user: 'elsewhere' }), ...busy], NOW_MS)
    const all = mergeGroups([plane, other])
    expect(all.groups[0]).toMatchObject({ user: 'busy', connections: 4 })
    expect(all).toMatchObject({ unlistedConnections: 4 })
    expect(all.groups).toHaveLength(CLIENT_GROUPS_MAX)
  })

  test.each([
    ['shop', 'shop'],
    ['Händler 店', 'Händler 店'],
    ['\u001b[2Jgone', '\ufffd[2Jgone'],
    ['a\nb\u0000\u009b', 'a\ufffdb\ufffd\ufffd'],
    ['txt.\u202eexe', 'txt.\ufffdexe'],
    ['x'.repeat(101), `${'x'.repeat(99)}…`],
    [`${'x'.repeat(98)}😀😀`, `${'x'.repeat(98)}\ufffd…`],
  ])('show %j as %j', (text, expected) => {
    expect(shown(text)).toBe(expected)
    const options = { DRIVER_NAME: text, DRIVER_VERSION: text }
    const application = { APPLICATION_NAME: text, APPLICATION_VERSION: text }
    const { groups } = groupClients(
      [client({ user: text, options: { ...options, ...application } })],
      NOW_MS,
    )
    expect(groups[0]).toMatchObject({
      user: expected,
      driverName: expected,
      driverVersion: expected,
      applicationName: expected,
      applicationVersion: expected,
    })
  })

  test.each([
    ['10.0.0.1', null, true],
    ['10.0.0.2', null, false],
    ['10.0.0.1', 'or\u001bders', true],
    ['10.0.0.1', 'or\ufffdders', true],
    ['10.0.0.1', '', false],
  ])('from %s of %j are meant: %s', (address, user, expected) => {
    expect(isSelected(client({ user: 'or\u001bders' }), { address, user })).toBe(expected)
  })
})

const ANYBODY = { address: '127.0.0.1', user: null }
const READ = 'SELECT * FROM ks.t'
const WRITE = 'INSERT INTO ks.t (k) VALUES (1)'
const AUTHENTICATOR = {
  name: 'org.apache.cassandra.auth.PasswordAuthenticator',
  credentials: { orders: 'o-word', billing: 'b-word' },
}

/** Target asks for credentials, of the proxy itself too. */
const WITH_LOGINS = {
  target: { authenticator: AUTHENTICATOR },
  settings: { targetUsername: 'billing', targetPassword: 'b-word' },
}

/** Moves the clock on in steps that let sockets answer. */
const pass = async (clock: FakeClock, ms: number): Promise<void> => {
  for (let passed = 0; passed < ms; passed += 25) {
    await someTurns(3)
    clock.advance(25)
  }
  await someTurns()
}

const usersOf = async ({ instance }: Rig): Promise<readonly (readonly [string, number])[]> =>
  (await instance.clientGroups()).groups.map(({ user, connections }) => [user, connections])

describe('an instance', () => {
  test('tells who its clients are, and how long ago they were heard', async () => {
    const clock = new FakeClock()
    const rig = await startRig({ clock, ...WITH_LOGINS })
    const shop = { ...JAVA, APPLICATION_NAME: 'shop', APPLICATION_VERSION: '2' }
    const orders = { username: 'orders', password: 'o-word' }
    const talking = await rig.client(4, { credentials: orders, startupOptions: shop })
    await rig.connect()
    await eventually(() => rig.instance.clients?.count === 2)
    clock.advance(7_000)
    await talking.query(READ)
    clock.advance(2_500)
    expect((await rig.instance.clientGroups()).groups).toEqual([
      {
        address: '127.0.0.1',
        user: 'orders',
        driverName: 'java',
        driverVersion: '4.17.0',
        applicationName: 'shop',
        applicationVersion: '2',
        protocolVersion: 4,
        connections: 1,
        inFlight: 0,
        oldestSeconds: 9,
        idleSeconds: 2,
      },
      expect.objectContaining({ user: '', driverName: '', protocolVersion: null, idleSeconds: 9 }),
    ])
  })

  test('knows nobody by a name whose password was wrong', async () => {
    const rig = await startRig(WITH_LOGINS)
    const guess = await rig.connect()
    await guess.handshake({ credentials: { username: 'orders', password: 'guess' } })
    expect(await usersOf(rig)).toEqual([['', 1]])
  })

  test('lets those go that are meant, and serves the others', async () => {
    const clock = new FakeClock()
    const rig = await startRig({ clock, ...WITH_LOGINS })
    const of = (username: 'orders' | 'billing') => {
      const password = AUTHENTICATOR.credentials[username]
      return rig.client(4, { credentials: { username, password } })
    }
    const [going, staying] = [await of('orders'), await of('billing')]
    const selection = { address: '127.0.0.1', user: 'orders' }
    expect(await rig.instance.closeClients({ ...selection, address: '10.0.0.1' })).toBe(0)
    expect(await rig.instance.closeClients(selection)).toBe(1)
    // Again, while they are going: they are counted once.
    expect(await rig.instance.closeClients(selection)).toBe(0)
    await pass(clock, 100)
    await going.closed
    expect(going.unread).toEqual([])
    expect(resultKind(await staying.query(READ))).toBe(ResultKind.ROWS)
    expect(await usersOf(rig)).toEqual([['billing', 1]])
    // Nothing keeps them from coming back.
    await of('orders')
    expect(await usersOf(rig)).toHaveLength(2)
  })

  test('answers what is in flight before it closes, and refuses who does not stop asking', async () => {
    const clock = new FakeClock()
    const rig = await startRig({ clock })
    const busy = await rig.client()
    const held = delay()
    rig.target.on({ text: /INSERT/ }, held)
    const write = busy.query(WRITE)
    await rig.target.waitFor(({ text }) => text === WRITE)
    expect(await rig.instance.closeClients(ANYBODY)).toBe(1)
    await pass(clock, 500)
    expect(resultKind(await busy.query(READ))).toBe(ResultKind.ROWS)
    await pass(clock, 600)
    expect(readError(await busy.query(READ)).code).toBe(ErrorCode.OVERLOADED)
    held.release()
    expect(resultKind(await write)).toBe(ResultKind.VOID)
    await busy.closed
    expect(rig.instance.phase).toBe('running')
  })

  test('asks all of its threads', async () => {
    const rig = await startRig({ settings: { dataPlaneThreads: 2 } })
    const clients = await Promise.all(Array.from({ length: 8 }, () => rig.client()))
    expect(await usersOf(rig)).toEqual([['', 8]])
    expect(await rig.instance.closeClients(ANYBODY)).toBe(8)
    await Promise.all(clients.map(({ closed }) => closed))
    await eventually(() => rig.instance.clients?.count === 0)
    expect(await rig.instance.clientGroups()).toEqual({ groups: [], unlistedConnections: 0 })
  })
})
