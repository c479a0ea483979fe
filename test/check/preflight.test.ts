/** What `--check` finds in fake clusters that are well, and in those that are not. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Preflight, preflight, type Question } from '../../src/check/preflight.ts'
import type { CheckRow } from '../../src/check/verdict.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Settings } from '../../src/config/settings.ts'
import { ErrorCode, Opcode, Version } from '../../src/cql/protocol.ts'
import { encodeBigint } from '../../src/cql/values.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import type { FakeCluster, FakeClusterOptions } from '../support/fake-cluster/cluster.ts'
import { rowsAnswer } from '../support/fake-cluster/results.ts'
import {
  drop,
  type Reaction,
  type Rule,
  respond,
  respondError,
} from '../support/fake-cluster/script.ts'
import { settingsFor, startCluster } from '../support/instance.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const NAME = { keyspace: 'system', table: 't' }

/** Stands still: what clusters tell was written down before they were asked. */
const WALL_MS = 1_800_000_000_000
const CLOCK: Clock = { ...systemClock, wallMs: () => WALL_MS }

const rules = new WeakMap<FakeCluster, Map<string, Rule>>()

/** The cluster's answer from now on; a script's first rule would win otherwise. */
const react = (cluster: FakeCluster, text: RegExp, reaction: Reaction): void => {
  const known = rules.get(cluster) ?? new Map<string, Rule>()
  rules.set(cluster, known)
  const before = known.get(text.source)
  if (before !== undefined) cluster.off(before)
  known.set(text.source, cluster.on({ text }, reaction))
}

const tellTime = (cluster: FakeCluster, aheadMs: number): void => {
  const value = encodeBigint(BigInt(WALL_MS + aheadMs))
  const columns = [{ name: 't', type: 'blob' }] as const
  const rows = [[value]]
  react(cluster, /toUnixTimestamp/, respond(rowsAnswer({ name: NAME, columns, rows })))
}

/** The names of tables by keyspace; every other table of system_schema is empty. */
const tellSchema = (cluster: FakeCluster, keyspaces: Readonly<Record<string, string[]>>): void => {
  const tell = (text: RegExp, names: readonly string[], rows: readonly string[][]): void => {
    const columns = names.map((name) => ({ name, type: 'varchar' }) as const)
    react(cluster, text, respond(rowsAnswer({ name: NAME, columns, rows })))
  }
  const names = Object.keys(keyspaces)
  tell(
    /system_schema\.keyspaces/,
    ['keyspace_name'],
    names.map((name) => [name]),
  )
  for (const [name, tables] of Object.entries(keyspaces)) {
    const rows = tables.map((table) => [name, table])
    tell(new RegExp(`system_schema\\.tables .*'${name}'`), ['keyspace_name', 'table_name'], rows)
    const columns = rows.map(([, table]) => [table!, 'id', 'int', 'partition_key'])
    const columnNames = ['table_name', 'column_name', 'type', 'kind']
    tell(new RegExp(`system_schema\\.columns .*'${name}'`), columnNames, columns)
  }
  tell(/system_schema\.(?!keyspaces|tables|columns)/, ['keyspace_name'], [])
}

const tellSettings = (cluster: FakeCluster, settings: Readonly<Record<string, string>>): void => {
  const columns = [
    { name: 'name', type: 'varchar' },
    { name: 'value', type: 'varchar' },
  ] as const
  const rows = Object.entries(settings)
  react(cluster, /system_views\.settings/, respond(rowsAnswer({ name: NAME, columns, rows })))
}

type RigOptions = {
  readonly origin?: Partial<FakeClusterOptions>
  readonly target?: Partial<FakeClusterOptions>
  readonly settings?: Partial<Settings>
}

type Rig = {
  readonly origin: FakeCluster
  readonly target: FakeCluster
  readonly settings: Settings
}

const startRig = async (options: RigOptions = {}): Promise<Rig> => {
  const origin = await startCluster({ name: 'origin', ...options.origin })
  const hostId = '00000000-0000-4000-8000-00000000000b'
  const nodes = [{ hostId }]
  const target = await startCluster({ name: 'target', nodes, ...options.target })
  for (const cluster of [origin, target]) {
    tellTime(cluster, 0)
    tellSchema(cluster, { ks: ['a', 'b'], system_auth: ['roles'] })
    tellSettings(cluster, { batch_size_fail_threshold: '50KiB' })
  }
  return { origin, target, settings: settingsFor(origin, target, options.settings) }
}

const resolveNothing = (name: string): Promise<readonly string[]> =>
  Promise.reject(new Error(`no such name: ${name}`))

const examine = (
  settings: Settings,
  question: Partial<Question> = {},
  clock: Clock = CLOCK,
): Promise<Preflight> =>
  preflight(
    settings,
    { keyspaces: [], faultIs: 'fail', warnings: [], timeoutMs: 60_000, ...question },
    { clock, resolve: resolveNothing },
  )

const check = async (
  settings: Settings,
  warnings: readonly string[] = [],
  clock: Clock = CLOCK,
): Promise<readonly CheckRow[]> => (await examine(settings, { warnings }, clock)).rows

const find = (rows: readonly CheckRow[], subject: string, name: string): CheckRow =>
  rows.find((row) => row.subject === subject && row.name === name)!

const verdicts = (rows: readonly CheckRow[], subject: string): string =>
  rows
    .filter((row) => row.subject === subject)
    .map(({ name, verdict }) => `${name}: ${verdict}`)
    .join(', ')

describe('two clusters that are well', () => {
  test('pass everything; only what is not there is skipped', async () => {
    const authenticator = passwordAuthenticator('u', 'p')
    const rows = await check(
      (
        await startRig({
          origin: { authenticator },
          target: { authenticator },
          settings: {
            originUsername: 'u',
            originPassword: 'p',
            targetUsername: 'u',
            targetPassword: 'p',
          },
        })
      ).settings,
    )
    const cluster =
      'names: pass, TCP: pass, TLS: skipped, protocol version: pass, credentials: pass, datacenter: pass, nodes: pass, release: pass, clock: pass, schema: pass'
    expect(verdicts(rows, 'Settings')).toBe(
      'values: pass, files: skipped, certificates: skipped, proxy topology: pass',
    )
    expect(verdicts(rows, 'Origin')).toBe(cluster)
    expect(verdicts(rows, 'Target')).toBe(cluster)
    expect(verdicts(rows, 'Both')).toBe(
      'two clusters: pass, releases: pass, client protocol: pass, partitioners: pass, clocks: pass, node settings: pass, schemas: pass',
    )
    expect(find(rows, 'Both', 'schemas').detail).toBe(
      '2 tables in keyspaces ks: 0 errors, 0 warnings, 2 notes',
    )
    expect(find(rows, 'Origin', 'schema').detail).toBe('2 tables in 1 keyspace can be read')
    expect(find(rows, 'Origin', 'protocol version').detail).toBe('version 5')
  })

  test('leave no connection behind', async () => {
    const { settings, origin, target } = await startRig()
    await check(settings)
    for (const cluster of [origin, target]) {
      await cluster.waitUntil(() => cluster.openConnections.length === 0)
    }
  })

  test('without authentication are warned of', async () => {
    const rows = await check((await startRig()).settings)
    expect(find(rows, 'Target', 'credentials')).toMatchObject({ verdict: 'warn' })
  })

  test('step down to a lower protocol version', async () => {
    const { settings } = await startRig({ target: { maxVersion: Version.V3 } })
    const rows = await check(settings)
    expect(find(rows, 'Target', 'protocol version').detail).toBe('version 3')
    expect(find(rows, 'Target', 'schema').verdict).toBe('pass')
  })
})

describe('a cluster where something is wrong', () => {
  test('nobody listens: all behind it is skipped, the other cluster is checked', async () => {
    const { settings, origin } = await startRig()
    await origin.stopListening()
    const rows = await check(settings)
    expect(verdicts(rows, 'Origin')).toBe(
      'names: pass, TCP: fail, TLS: skipped, protocol version: skipped, credentials: skipped, datacenter: skipped, nodes: skipped, release: skipped, clock: skipped, schema: skipped',
    )
    expect(find(rows, 'Origin', 'TCP').detail).toContain('ECONNREFUSED')
    expect(find(rows, 'Origin', 'TCP').remedy).toContain('origin_port')
    expect(find(rows, 'Origin', 'schema').detail).toBe('needs "TCP" first')
    expect(find(rows, 'Target', 'schema').verdict).toBe('pass')
    expect(verdicts(rows, 'Both')).toBe(
      'two clusters: skipped, releases: skipped, client protocol: skipped, partitioners: skipped, clocks: skipped, node settings: skipped, schemas: skipped',
    )
  })

  test('a contact point that does not listen, beside one that does, is a warning', async () => {
    const { settings, origin } = await startRig()
    const points = [...settings.originContactPoints, '127.0.0.77']
    const rows = await check({ ...settings, originContactPoints: points })
    expect(find(rows, 'Origin', 'TCP')).toMatchObject({ verdict: 'warn' })
    expect(find(rows, 'Origin', 'TCP').detail).toContain(`127.0.0.77:${origin.port}: `)
    expect(find(rows, 'Origin', 'schema').verdict).toBe('pass')
  })

  test('a name that does not resolve', async () => {
    const { settings } = await startRig()
    const rows = await check({ ...settings, originContactPoints: ['nowhere.example'] })
    expect(find(rows, 'Origin', 'names')).toMatchObject({
      verdict: 'fail',
      detail: 'nowhere.example: no such name: nowhere.example',
    })
    expect(find(rows, 'Origin', 'TCP').detail).toBe('needs "names" first')
  })

  test('wrong credentials, which are not shown', async () => {
    const { settings } = await startRig({
      origin: { authenticator: passwordAuthenticator('u', 'p') },
      settings: { originUsername: 'u', originPassword: 'sEcReT' },
    })
    const rows = await check(settings)
    expect(find(rows, 'Origin', 'credentials')).toMatchObject({
      verdict: 'fail',
      remedy: 'correct origin_username and origin_password',
    })
    expect(find(rows, 'Origin', 'schema').verdict).toBe('skipped')
    expect(JSON.stringify(rows)).not.toContain('sEcReT')
  })

  test('a cluster that takes no user name and password', async () => {
    const name = 'org.example.KerberosAuthenticator'
    const { settings, origin } = await startRig({
      origin: { authenticator: { name, credentials: { u: 'p' } } },
      settings: { originUsername: 'u', originPassword: 'p' },
    })
    const body = new BodyWriter().writeBytes(Buffer.from('GSSAPI-START')).toBytes()
    const challenge = respond({ opcode: Opcode.AUTH_CHALLENGE, body })
    origin.on({ opcode: Opcode.AUTH_RESPONSE }, challenge)
    expect(find(await check(settings), 'Origin', 'credentials')).toMatchObject({
      verdict: 'fail',
      detail: expect.stringContaining(`its authenticator is ${name}`),
      remedy: expect.stringContaining('PasswordAuthenticator'),
    })
  })

  test('credentials that are missing', async () => {
    const { settings } = await startRig({
      target: { authenticator: passwordAuthenticator('u', 'p') },
    })
    expect(find(await check(settings), 'Target', 'credentials')).toMatchObject({
      verdict: 'fail',
      remedy: 'set target_username and target_password',
    })
  })

  test('a datacenter that is not there', async () => {
    const { settings } = await startRig({ settings: { originLocalDatacenter: 'dc9' } })
    const row = find(await check(settings), 'Origin', 'datacenter')
    expect(row.verdict).toBe('fail')
    expect(row.detail).toContain('there is no "dc9"')
  })

  test('two datacenters and no choice between them', async () => {
    const nodes = [{ datacenter: 'east' }, { datacenter: 'west' }]
    const { settings } = await startRig({ origin: { nodes } })
    const row = find(await check(settings), 'Origin', 'datacenter')
    expect(row.verdict).toBe('warn')
    expect(row.remedy).toContain('origin_local_datacenter')
    const strict = await check({ ...settings, strictLocalDatacenter: true })
    expect(find(strict, 'Origin', 'datacenter').verdict).toBe('fail')
  })

  test('a node that its own cluster names, and nobody reaches', async () => {
    const { settings } = await startRig({ origin: { absentPeers: [{ address: '127.0.0.99' }] } })
    const row = find(await check(settings), 'Origin', 'nodes')
    expect(row).toMatchObject({ verdict: 'warn' })
    expect(row.detail).toContain('1 of 2 reachable; 127.0.0.99')
  })

  test('no version in common', async () => {
    const { settings } = await startRig({ origin: { minVersion: Version.V5 } })
    const rows = await check({ ...settings, controlConnMaxProtocolVersion: '4' })
    expect(find(rows, 'Origin', 'protocol version')).toMatchObject({
      verdict: 'fail',
      detail: 'none of 4, 3, 2 is spoken',
    })
  })

  test('something that says nothing is bounded by the time-out', async () => {
    const { settings, origin } = await startRig()
    origin.on({ opcode: Opcode.OPTIONS }, drop())
    // Time runs a thousand times as fast.
    const clock: Clock = { ...systemClock, now: () => systemClock.now() * 1000 }
    const rows = await check(settings, [], clock)
    const row = find(rows, 'Origin', 'protocol version')
    expect(row.verdict).toBe('fail')
    expect(row.detail).toContain('did not answer OPTIONS within')
  })

  test('a schema that may not be read', async () => {
    const { settings, origin } = await startRig()
    react(origin, /system_schema\.keyspaces/, respondError(ErrorCode.UNAUTHORIZED, 'no SELECT'))
    const row = find(await check(settings), 'Origin', 'schema')
    expect(row.verdict).toBe('fail')
    expect(row.detail).toContain('no SELECT')
  })

  test('a cluster without system_schema (2.x) is warned of: it can be used', async () => {
    const { settings, origin } = await startRig()
    const gone = respondError(ErrorCode.INVALID, 'Keyspace system_schema does not exist')
    react(origin, /system_schema\.keyspaces/, gone)
    const { rows, schema } = await examine(settings)
    expect(find(rows, 'Origin', 'schema')).toMatchObject({ verdict: 'warn' })
    expect(find(rows, 'Both', 'schemas').verdict).toBe('skipped')
    expect(schema).toBeNull()
  })

  test('a check that takes too long ends, and says so', async () => {
    const { settings, origin } = await startRig()
    react(origin, /system_schema\.columns .*'ks'/, drop())
    const clock = new FakeClock()
    const done = examine(settings, { timeoutMs: 1000 }, clock)
    await origin.waitFor(({ text }) => text?.includes('system_schema.columns') === true)
    clock.advance(1000)
    const row = find((await done).rows, 'Origin', 'schema')
    expect(row).toMatchObject({ verdict: 'fail' })
    expect(row.detail).toContain('the check has taken too long')
  })

  test('a clock that cannot be asked is a warning, and the schema is still checked', async () => {
    const { settings, origin } = await startRig()
    react(origin, /toUnixTimestamp/, respondError(ErrorCode.INVALID, 'unknown function'))
    const rows = await check(settings)
    expect(find(rows, 'Origin', 'clock').verdict).toBe('warn')
    expect(find(rows, 'Origin', 'schema').verdict).toBe('pass')
    expect(find(rows, 'Both', 'clocks').verdict).toBe('skipped')
  })
})

describe('clocks', () => {
  test.each([
    [0, 'pass', 'pass'],
    [4_000, 'warn', 'warn'],
    [-4_000, 'warn', 'warn'],
    [60_000, 'fail', 'fail'],
  ])('Origin %i ms ahead: %s, and of both %s', async (aheadMs, own, both) => {
    const { settings, origin } = await startRig()
    tellTime(origin, aheadMs)
    const rows = await check(settings)
    expect(find(rows, 'Origin', 'clock').verdict).toBe(own)
    expect(find(rows, 'Both', 'clocks').verdict).toBe(both)
  })

  test('both off alike do not differ', async () => {
    const { settings, origin, target } = await startRig()
    tellTime(origin, 60_000)
    tellTime(target, 60_000)
    const rows = await check(settings)
    expect(find(rows, 'Target', 'clock').verdict).toBe('fail')
    expect(find(rows, 'Both', 'clocks').verdict).toBe('pass')
  })
})

describe('settings', () => {
  test('one cluster under two names fails', async () => {
    const { settings } = await startRig()
    const { originContactPoints: targetContactPoints, originPort: targetPort } = settings
    const rows = await check({ ...settings, targetContactPoints, targetPort })
    expect(find(rows, 'Both', 'two clusters')).toMatchObject({
      verdict: 'fail',
      detail: expect.stringContaining('is in both: Origin and Target are one cluster'),
    })
  })

  test('a cloned machine, which the start takes for another node, is pointed out', async () => {
    const hostId = '00000000-0000-4000-8000-00000000000b'
    const { settings } = await startRig({ origin: { nodes: [{ hostId }] } })
    expect(find(await check(settings), 'Both', 'two clusters')).toMatchObject({
      verdict: 'warn',
      detail: expect.stringMatching(
        `^${hostId} is the host id of 127.*:\\d+ in Origin and of 127.*:\\d+ in Target$`,
      ),
    })
  })

  test('what is odd about values is told again', async () => {
    const { settings } = await startRig()
    expect(find(await check(settings, ['a is odd', 'b too']), 'Settings', 'values')).toMatchObject({
      verdict: 'warn',
      detail: 'a is odd; b too',
    })
  })

  test('files that are named must be readable', async () => {
    const { settings } = await startRig()
    const path = join(temporaryDirectory(), 'ca.pem')
    writeFileSync(path, '')
    const readable = { ...settings, originTlsServerCaPath: path }
    expect(find(await check(readable), 'Settings', 'files')).toMatchObject({
      verdict: 'pass',
      detail: '1 can be read',
    })
    const rows = await check({ ...readable, originTlsClientKeyPath: `${path}.gone` })
    expect(find(rows, 'Settings', 'files').verdict).toBe('fail')
    expect(find(rows, 'Settings', 'files').detail).toContain('origin_tls_client_key_path: ENOENT')
  })

  test('files of the admin API and of metrics must be usable, as those of the legs', async () => {
    const { settings } = await startRig()
    const directory = temporaryDirectory()
    const metricsTokenPath = join(directory, 'token')
    writeFileSync(metricsTokenPath, 'a-token-of-many-letters')
    const certificates = async (): Promise<CheckRow> =>
      find(await check({ ...settings, metricsTokenPath }), 'Settings', 'certificates')
    expect(await certificates()).toMatchObject({ verdict: 'pass' })
    writeFileSync(metricsTokenPath, 'short')
    expect(await certificates()).toMatchObject({
      verdict: 'fail',
      detail: expect.stringMatching(/^metrics_token_path: .* must hold one word of at least 16/),
    })
  })

  test('a proxy address that does not resolve', async () => {
    const { settings } = await startRig()
    const addresses = ['127.0.0.1', 'proxy-1.example']
    const rows = await check({ ...settings, proxyTopologyAddresses: addresses })
    expect(find(rows, 'Settings', 'proxy topology')).toMatchObject({ verdict: 'fail' })
  })
})

describe('both clusters', () => {
  test('one that is older than Origin is warned of', async () => {
    const { settings } = await startRig({
      origin: { releaseVersion: '4.1.3' },
      target: { releaseVersion: '4.0.9' },
    })
    expect(find((await examine(settings)).rows, 'Both', 'releases')).toMatchObject({
      verdict: 'warn',
      detail: 'Origin 4.1.3, Target 4.0.9: what only the newer one knows fails on Target',
    })
  })

  test('without a protocol version in common no client gets in', async () => {
    const { settings } = await startRig({
      origin: { maxVersion: Version.V3 },
      target: { minVersion: Version.V4 },
    })
    expect(find((await examine(settings)).rows, 'Both', 'client protocol').verdict).toBe('fail')
    const blocked = { ...(await startRig()).settings, blockedProtocolVersions: ['3', '4', '5'] }
    expect(find((await examine(blocked)).rows, 'Both', 'client protocol').remedy).toContain(
      'blocked_protocol_versions',
    )
  })

  test('a table that Target lacks fails the check, or warns before a start', async () => {
    const { settings, target } = await startRig()
    tellSchema(target, { ks: ['a'] })
    const found = await examine(settings)
    expect(find(found.rows, 'Both', 'schemas')).toMatchObject({
      verdict: 'fail',
      detail: '2 tables in keyspaces ks: 1 error, 0 warnings, 2 notes',
    })
    expect(found.schema?.differences[0]).toMatchObject({ severity: 'error', subject: 'ks.b' })
    const before = await examine(settings, { faultIs: 'warn' })
    expect(find(before.rows, 'Both', 'schemas').verdict).toBe('warn')
  })

  test('only the keyspaces that were asked for are compared, and must be there', async () => {
    const { settings, origin, target } = await startRig()
    tellSchema(origin, { ks: ['a'], other: ['x'] })
    tellSchema(target, { ks: ['a'], new: [] })
    const wanted = await examine(settings, { keyspaces: ['ks'] })
    expect(wanted.schema).toMatchObject({ keyspaces: ['ks'], tables: 1 })
    expect(find(wanted.rows, 'Both', 'schemas').verdict).toBe('pass')
    const lost = await examine(settings, { keyspaces: ['ks', 'nope', 'new'] })
    expect(find(lost.rows, 'Both', 'keyspaces')).toMatchObject({
      verdict: 'fail',
      detail: 'Origin does not have nope (nor has Target), new (Target has it)',
    })
  })

  test('schemas are left alone where nobody asks for them', async () => {
    const { settings, origin } = await startRig()
    const { rows, schema } = await examine(settings, { keyspaces: null })
    expect(schema).toBeNull()
    expect(find(rows, 'Origin', 'schema').verdict).toBe('skipped')
    expect(origin.received.some(({ text }) => text?.includes('system_schema'))).toBe(false)
  })

  test('a limit that is stricter in Target is a warning among the differences', async () => {
    const { settings, target } = await startRig()
    tellSettings(target, { batch_size_fail_threshold: '10KiB' })
    const { rows, schema } = await examine(settings)
    expect(find(rows, 'Both', 'node settings')).toMatchObject({ verdict: 'warn' })
    expect(schema?.differences[0]).toMatchObject({ subject: 'batch_size_fail_threshold' })
  })

  test('what the settings leave to the clusters is noted, until it is turned on', async () => {
    const { settings } = await startRig()
    const subjects = async (changes: Partial<Settings>): Promise<string[]> =>
      (await examine({ ...settings, ...changes })).schema!.differences.map((one) => one.subject)
    expect(await subjects({})).toEqual(['replace_cql_functions', 'unify_write_timestamps'])
    expect(await subjects({ replaceCqlFunctions: true, unifyWriteTimestamps: true })).toEqual([])
  })
})
