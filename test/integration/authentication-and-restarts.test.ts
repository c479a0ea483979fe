/**
 * Clusters of this file's own, with users and passwords: whose credentials go where, and what a node that
 * stops, comes back and has forgotten every prepared statement means to a client: nothing but time.
 */
import { auth, type Client, errors } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_CREDENTIALS, type RunningCluster } from '../../clusters/cluster.ts'
import { ORIGIN, startCluster, TARGET } from '../../clusters/start.ts'
import type { Settings } from '../../src/config/settings.ts'
import { ErrorCode } from '../../src/cql/protocol.ts'
import { afterFile } from '../support/after-test.ts'
import {
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  startInstanceBetween,
} from '../support/real-instance.ts'

/** A user that only Origin has, and one that only Target has. */
const ORIGIN_USER = { username: 'application_origin', password: 'origin secret' }
const TARGET_USER = { username: 'application_target', password: 'target secret' }
const PROXY: Partial<Settings> = {
  originUsername: DEFAULT_CREDENTIALS.username,
  originPassword: DEFAULT_CREDENTIALS.password,
  targetUsername: DEFAULT_CREDENTIALS.username,
  targetPassword: DEFAULT_CREDENTIALS.password,
}

type Credentials = { readonly username: string; readonly password: string }

const login = ({ username, password }: Credentials) => ({
  authProvider: new auth.PlainTextAuthProvider(username, password),
})

let origin: RunningCluster
let target: RunningCluster
const keyspace = newKeyspaceName()

const endpoint = ({ contactPoints }: RunningCluster): string =>
  `${contactPoints[0]!.address}:${contactPoints[0]!.port}`

const createUser = async (cluster: RunningCluster, user: Credentials): Promise<void> => {
  const admin = await connectDriver(endpoint(cluster), login(DEFAULT_CREDENTIALS))
  await admin.execute(
    `CREATE ROLE ${user.username} WITH PASSWORD = '${user.password}' AND LOGIN = true AND SUPERUSER = true`,
  )
}

beforeAll(async () => {
  const start = (spec: typeof ORIGIN) => startCluster({ ...spec, authentication: true })
  const started = await Promise.allSettled([start(ORIGIN), start(TARGET)])
  for (const one of started) if (one.status === 'fulfilled') afterFile(() => one.value.stop())
  const [first, second] = started
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'rejected') throw second.reason
  origin = first.value
  target = second.value
  await createUser(origin, ORIGIN_USER)
  await createUser(target, TARGET_USER)
})

const clientOf = async (
  overrides: Partial<Settings>,
  credentials: Credentials,
): Promise<Client> => {
  const { port } = await startInstanceBetween(origin, target, { ...PROXY, ...overrides })
  return connectDriver(`127.0.0.1:${port}`, login(credentials))
}

describe('where both clusters authenticate', () => {
  test("a client presents a user of Target; the proxy's own serves Origin", async () => {
    const client = await clientOf({}, TARGET_USER)
    await client.execute(createKeyspace(keyspace))
    await client.execute(`CREATE TABLE ${keyspace}.t (k int PRIMARY KEY, v text)`)
    await client.execute(`INSERT INTO ${keyspace}.t (k, v) VALUES (1, 'in both')`)
    for (const cluster of [origin, target]) {
      const direct = await connectDriver(endpoint(cluster), login(DEFAULT_CREDENTIALS))
      const result = await direct.execute(`SELECT v FROM ${keyspace}.t WHERE k = 1`)
      expect(result.first().get('v')).toBe('in both')
    }
  })

  test('with forward_client_credentials_to_origin it presents a user of Origin', async () => {
    const client = await clientOf({ forwardClientCredentialsToOrigin: true }, ORIGIN_USER)
    const result = await client.execute(`SELECT v FROM ${keyspace}.t WHERE k = 1`)
    expect(result.first().get('v')).toBe('in both')
  })

  test.each([
    ['a user that only Origin has', {}, ORIGIN_USER, 'Target'],
    ['a wrong password', {}, { ...TARGET_USER, password: 'wrong' }, 'Target'],
    [
      'a user of Target, forwarded',
      { forwardClientCredentialsToOrigin: true },
      TARGET_USER,
      'Origin',
    ],
  ])('%s is refused with an authentication error that names the cluster', async (...row) => {
    const [, overrides, credentials, cluster] = row
    const failure: unknown = await clientOf(overrides, credentials).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(errors.NoHostAvailableError)
    const [refusal] = Object.values((failure as errors.NoHostAvailableError).innerErrors)
    expect(refusal).toBeInstanceOf(errors.AuthenticationError)
    expect(String(refusal)).toContain(cluster)
  })
})

describe('asynchronous reads', () => {
  test.each(['ORIGIN', 'TARGET'] as const)(
    'primary %s: a secondary that stops and comes back costs the client nothing, and gets reads again',
    async (primaryCluster) => {
      const { instance, port } = await startInstanceBetween(origin, target, {
        ...PROXY,
        readMode: 'DUAL_ASYNC_ON_SECONDARY',
        primaryCluster,
        compareAsyncReads: true,
      })
      const client = await connectDriver(`127.0.0.1:${port}`, login(TARGET_USER))
      await client.execute(`INSERT INTO ${keyspace}.t (k, v) VALUES (20, 'in both')`)
      const read = async (): Promise<void> => {
        const select = `SELECT v FROM ${keyspace}.t WHERE k = ?`
        const rows = await client.execute(select, [20], { prepare: true })
        expect(rows.first().get('v')).toBe('in both')
      }
      const counts = async () => (await instance.series()!)[0]!.asyncReads
      const readUntil = async (isDone: (now: Awaited<ReturnType<typeof counts>>) => boolean) => {
        const startMs = performance.now()
        while (!isDone(await counts())) {
          expect(performance.now() - startMs).toBeLessThan(60_000)
          await read()
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
      }
      await readUntil(({ compared }) => compared.equal >= 3)
      const node = (primaryCluster === 'ORIGIN' ? target : origin).nodes[0]!
      await node.stop()
      await readUntil(({ dropped }) => dropped.noConnection >= 10)
      await node.start()
      const { equal } = (await counts()).compared
      await readUntil(({ compared }) => compared.equal >= equal + 3)
      expect((await counts()).compared.mismatch).toBe(0)
    },
    180_000,
  )
})

describe('a node that is restarted', () => {
  test.each(['target', 'origin'] as const)(
    'the %s node has forgotten its statements: the proxy teaches it again, the client sees no error',
    async (name) => {
      const client = await clientOf({}, TARGET_USER)
      const insert = `INSERT INTO ${keyspace}.t (k, v) VALUES (?, ?)`
      await client.execute(insert, [10, 'before'], { prepare: true })
      const node = (name === 'target' ? target : origin).nodes[0]!
      await node.stop()
      const failed: unknown = await client
        .execute(insert, [11, 'while it is down'], { prepare: true })
        .catch((error: unknown) => error)
      expect(failed).toMatchObject({ code: ErrorCode.OVERLOADED })
      await node.start()
      await expect
        .poll(
          () =>
            client.execute(insert, [12, 'after'], { prepare: true }).then(
              () => 'written',
              (error: unknown) => String(error),
            ),
          { timeout: 60_000, interval: 200 },
        )
        .toBe('written')
      for (const cluster of [origin, target]) {
        const direct = await connectDriver(endpoint(cluster), login(DEFAULT_CREDENTIALS))
        const rows = await direct.execute(`SELECT v FROM ${keyspace}.t WHERE k = 12`)
        expect(rows.first().get('v')).toBe('after')
      }
    },
    180_000,
  )
})
