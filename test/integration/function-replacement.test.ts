/**
 * replace_cql_functions and unify_write_timestamps on two real clusters: what each function stored, and
 * when it was written, is the same in both, whatever message carried it.
 */
import { type Client, policies, types } from 'cassandra-driver'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  connectDirect,
  connectDriver,
  createKeyspace,
  newKeyspaceName,
  plainRows,
  type RealInstance,
  startRealInstance,
} from '../support/real-instance.ts'

const NO_TIMESTAMPS: unknown = { timestampGeneration: null }

type Direct = { readonly origin: Client; readonly target: Client }

const CONFIGURATIONS = [
  { version: 4, dataPlaneThreads: 2 },
  { version: 3, dataPlaneThreads: 1 },
] as const

/** A column, and a call whose result it takes. */
const CALLS = [
  ['t', 'now()'],
  ['u', 'now()'],
  ['t', 'System . NOW ( )'],
  ['t', '"system"."now"()'],
  ['t', '(timeuuid) now()'],
  ['t', 'currentTimeUUID()'],
  ['u', 'uuid()'],
  ['ts', 'currentTimestamp()'],
  ['b', 'currentTimestamp()'],
  ['d', 'currentDate()'],
  ['tm', 'currentTime()'],
  ['ts', 'toTimestamp(now())'],
  ['ts', 'toTimestamp(currentTimeUUID())'],
  ['ts', 'toTimestamp(currentDate())'],
  ['b', 'toUnixTimestamp(now())'],
  ['d', 'toDate(now())'],
  ['t', 'minTimeuuid(currentTimestamp())'],
  ['ts', 'currentTimestamp() - 1d'],
  ['bl', 'timeuuidAsBlob(now())'],
  ['tp', '(now(), 7)'],
  ['ud', '{a: now(), b: currentTimestamp(), "C": uuid()}'],
] as const

/** A literal, which takes no markers: only a text that runs once can have its calls replaced. */
const COLLECTION_CALLS = [
  ['l', '[now(), now()]'],
  ['s', '{uuid(), uuid()}'],
  ['m', '{now() : currentTimestamp()}'],
] as const

describe.each(CONFIGURATIONS)(
  'v$version, $dataPlaneThreads threads',
  ({ version, dataPlaneThreads }) => {
    const keyspace = newKeyspaceName()
    let instance: RealInstance
    let driver: Client
    let direct: Direct
    let nextKey = 0
    const newKey = (): string => `k${nextKey++}`

    const storedInBoth = async (column: string, key: string): Promise<unknown> => {
      const text = `SELECT ${column} FROM ${keyspace}.t WHERE k = '${key}'`
      const [origin, target] = await Promise.all([
        direct.origin.execute(text),
        direct.target.execute(text),
      ])
      expect(plainRows(target)).toEqual(plainRows(origin))
      const value: unknown = plainRows(origin)[0]?.[column]
      expect(value).not.toBeNull()
      expect(value).not.toBeUndefined()
      return value
    }

    beforeAll(async () => {
      const settings = { replaceCqlFunctions: true, unifyWriteTimestamps: true, dataPlaneThreads }
      instance = await startRealInstance(settings)
      driver = await connectDriver(`127.0.0.1:${instance.port}`, {
        protocolOptions: { maxVersion: version },
        policies: {
          loadBalancing: new policies.loadBalancing.RoundRobinPolicy(),
          retry: new policies.retry.FallthroughRetryPolicy(),
          // The driver sends no timestamps then; its types do not know that.
          ...Object(NO_TIMESTAMPS),
        },
      })
      direct = await connectDirect()
      await driver.execute(createKeyspace(keyspace))
      await driver.execute(`CREATE TYPE ${keyspace}.u (a timeuuid, b timestamp, "C" uuid)`)
      await driver.execute(
        `CREATE TABLE ${keyspace}.t (k text PRIMARY KEY, t timeuuid, u uuid, ts timestamp, d date, tm time,
         b bigint, bl blob, l list<timeuuid>, s set<uuid>, m map<timeuuid, timestamp>,
         tp frozen<tuple<timeuuid, int>>, ud frozen<u>, x text)`,
      )
      await driver.execute(
        `CREATE TABLE ${keyspace}.p (a timeuuid, b int, c timeuuid, v text, PRIMARY KEY ((a, b), c))`,
      )
      await driver.execute(`CREATE TABLE ${keyspace}.counters (k text PRIMARY KEY, n counter)`)
    })

    describe.each([...CALLS, ...COLLECTION_CALLS])('%s = %s', (column, call) => {
      test('QUERY', async () => {
        const key = newKey()
        const text = `/* é✓ */ INSERT INTO ${keyspace}.t (k, x, ${column}) VALUES ('${key}', 'é✓', ${call})`
        await driver.execute(text)
        await storedInBoth(column, key)
      })

      test('a child of a BATCH, and in a BATCH text', async () => {
        const keys = [newKey(), newKey(), newKey()] as const
        const insert = (key: string): string =>
          `INSERT INTO ${keyspace}.t (k, ${column}) VALUES ('${key}', ${call})`
        await driver.batch([insert(keys[0]), insert(keys[1])])
        await driver.execute(`BEGIN BATCH ${insert(keys[2])}; APPLY BATCH`)
        const stored = []
        for (const key of keys) stored.push(await storedInBoth(column, key))
        if (/now|uuid/i.test(call) && !/to|min/i.test(call)) expect(new Set(stored).size).toBe(3)
      })
    })

    describe.each(CALLS)('%s = %s', (column, call) => {
      test.each([
        ['positional', `VALUES (?, ${call}, ?)`, (key: string) => [key, 'é']],
        ['named', `VALUES (:k, ${call}, :x)`, (key: string) => ({ k: key, x: 'é' })],
      ] as const)('EXECUTE, %s', async (_, values, parameters) => {
        const text = `INSERT INTO ${keyspace}.t (k, ${column}, x) ${values}`
        const keys = [newKey(), newKey()] as const
        for (const key of keys) await driver.execute(text, parameters(key), { prepare: true })
        const stored = [await storedInBoth(column, keys[0]), await storedInBoth(column, keys[1])]
        expect(await storedInBoth('x', keys[0])).toBe('é')
        if (/now|uuid/i.test(call) && !/to|min/i.test(call)) expect(stored[0]).not.toBe(stored[1])
      })

      test('a prepared child of a BATCH', async () => {
        const query = `UPDATE ${keyspace}.t SET ${column} = ${call}, x = ? WHERE k = ?`
        const keys = [newKey(), newKey()] as const
        const queries = keys.map((key) => ({ query, params: ['y', key] }))
        await driver.batch(queries, { prepare: true })
        for (const key of keys) {
          await storedInBoth(column, key)
          expect(await storedInBoth('x', key)).toBe('y')
        }
      })
    })

    test('statements that become the same text keep their own variables', async () => {
      const v = types.TimeUuid.now()
      const table = `${keyspace}.p`
      const texts = [
        [`INSERT INTO ${table} (b, c, a, v) VALUES (?, ?, now(), ?)`, [1, v, 'same']],
        [`INSERT INTO ${table} (b, c, a, v) VALUES (?, now(), ?, ?)`, [2, v, 'same']],
        [`INSERT INTO ${table} (b, c, a, v) VALUES (?, ?, ?, ?)`, [3, v, v, 'same']],
        [`INSERT INTO ${table} (b, c, a, v) VALUES (?, now(), now(), ?)`, [4, 'same']],
      ] as const
      for (let round = 0; round < 3; round++) {
        for (const [text, values] of texts) {
          await driver.execute(text, [...values], { prepare: true })
        }
      }
      const rows = await Promise.all(
        [direct.origin, direct.target].map(async (client) =>
          plainRows(await client.execute(`SELECT a, b, c, v FROM ${table}`))
            .map((row) => JSON.stringify(row))
            .sort(),
        ),
      )
      expect(rows[1]).toEqual(rows[0])
      const count = (b: number): number => rows[0]!.filter((row) => row.includes(`"b":${b}`)).length
      expect([1, 2, 3, 4].map(count)).toEqual([3, 3, 1, 3])
    })

    test('conditions, element access and IN lists', async () => {
      const key = newKey()
      await driver.execute(`INSERT INTO ${keyspace}.t (k, x) VALUES ('${key}', 'a')`)
      await driver.execute(
        `UPDATE ${keyspace}.t SET m[now()] = currentTimestamp() WHERE k = ?`,
        [key],
        {
          prepare: true,
        },
      )
      await storedInBoth('m', key)
      const condition = `UPDATE ${keyspace}.t SET x = ? WHERE k = ? IF t IN (now(), ?) `
      const result = await driver.execute(condition, ['b', key, types.TimeUuid.now()], {
        prepare: true,
      })
      expect(result.first()?.get('[applied]')).toBe(false)
      expect(await storedInBoth('x', key)).toBe('a')
    })

    test('what cannot be replaced works as it does without the proxy, and is reported', async () => {
      const key = newKey()
      const text = `INSERT INTO ${keyspace}.t (k, l) VALUES (?, [now()])`
      await driver.execute(text, [key], { prepare: true })
      const wrong = `INSERT INTO ${keyspace}.t (k, x) VALUES (?, now())`
      await expect(driver.execute(wrong, [key], { prepare: true })).rejects.toThrow(/system.now/)
      if (dataPlaneThreads === 1) {
        expect(instance.log).toContainEqual(
          expect.objectContaining({ code: 'FUNCTION_NOT_REPLACED', reason: 'collection' }),
        )
      }
    })

    describe('write times without one of the client’s', () => {
      const writeTimes = async (key: string): Promise<unknown[]> => {
        const text = `SELECT writetime(x) AS w FROM ${keyspace}.t WHERE k = '${key}'`
        const [origin, target] = await Promise.all([
          direct.origin.execute(text),
          direct.target.execute(text),
        ])
        return [origin, target].map((result) => String(result.first()?.get('w')))
      }
      const insert = (key: string, tail = ''): string =>
        `INSERT INTO ${keyspace}.t (k, x) VALUES ('${key}', 'x') ${tail}`

      test('are the same for QUERY, EXECUTE, BATCH and BATCH text', async () => {
        const keys = Array.from({ length: 5 }, newKey)
        const prepared = `INSERT INTO ${keyspace}.t (k, x) VALUES (?, 'x')`
        await driver.execute(insert(keys[0]!))
        await driver.execute(prepared, [keys[1]], { prepare: true })
        await driver.batch([insert(keys[2]!)])
        await driver.batch([{ query: prepared, params: [keys[3]] }], { prepare: true })
        await driver.execute(`BEGIN BATCH ${insert(keys[4]!)}; APPLY BATCH`)
        const times: string[] = []
        for (const key of keys) {
          const [origin, target] = await writeTimes(key)
          expect(target).toBe(origin)
          times.push(String(origin))
        }
        // Each later than the one before.
        expect(times.map(Number)).toEqual([...new Set(times.map(Number))].sort((a, b) => a - b))
      })

      test('are the statement’s or the client’s where it says one', async () => {
        const keys = Array.from({ length: 4 }, newKey)
        await driver.execute(insert(keys[0]!, 'USING TIMESTAMP 71'))
        await driver.execute(insert(keys[1]!, 'USING TTL 1000 AND TIMESTAMP 72'))
        await driver.execute(insert(keys[2]!), [], { timestamp: types.Long.fromNumber(73) })
        await driver.batch([insert(keys[3]!, 'USING TIMESTAMP 74')])
        for (const [at, key] of keys.entries()) {
          expect(await writeTimes(key)).toEqual([`${71 + at}`, `${71 + at}`])
        }
      })

      test('lightweight transactions and counters work', async () => {
        const key = newKey()
        const first = await driver.execute(insert(key, 'IF NOT EXISTS'))
        expect(first.first()?.get('[applied]')).toBe(true)
        const count = `UPDATE ${keyspace}.counters SET n = n + 1 WHERE k = '${key}'`
        const countBy = `UPDATE ${keyspace}.counters SET n = n + ? WHERE k = ?`
        await driver.execute(count)
        await driver.execute(countBy, [types.Long.fromNumber(2), key], { prepare: true })
        await driver.batch([count], { counter: true })
        const text = `SELECT n FROM ${keyspace}.counters WHERE k = '${key}'`
        for (const client of [direct.origin, direct.target]) {
          expect(String((await client.execute(text)).first()?.get('n'))).toBe('4')
        }
      })
    })
  },
)
