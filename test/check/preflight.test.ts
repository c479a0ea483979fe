/** What `--check` finds in fake clusters that are well, and in those that are not. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { preflight } from '../../src/check/preflight.ts'
import type { CheckRow } from '../../src/check/verdict.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Settings } from '../../src/config/settings.ts'
import { ErrorCode, Opcode, Version } from '../../src/cql/protocol.ts'
import { encodeBigint } from '../../src/cql/values.ts'
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

const SCHEMA_COLUMNS = [
  { name: 'keyspace_name', type: 'varchar' },
  { name: 'table_name', type: 'varchar' },
] as const

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
  const rows = [
    ['ks', 'a'],
    ['ks', 'b'],
    ['system_auth', 'roles'],
  ]
  for (const cluster of [origin, target]) {
    tellTime(cluster, 0)
    const schema = rowsAnswer({ name: NAME, columns: SCHEMA_COLUMNS, rows })
    react(cluster, /system_schema/, respond(schema))
  }
  return { origin, target, settings: settingsFor(origin, target, options.settings) }
}

const resolveNothing = (name: string): Promise<readonly string[]> =>
  Promise.reject(new Error(`no such name: ${name}`))

const check = (
  settings: Settings,
  warnings: readonly string[] = [],
  clock: Clock = CLOCK,
): Promise<readonly CheckRow[]> => preflight(settings, warnings, { clock, resolve: resolveNothing })

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
      'names: pass, TCP: pass, TLS: skipped, protocol version: pass, credentials: pass, datacenter: pass, nodes: pass, clock: pass, schema: pass'
    expect(verdicts(rows, 'Settings')).toBe(
      'values: pass, files: skipped, certificates: skipped, proxy topology: pass',
    )
    expect(verdicts(rows, 'Origin')).toBe(cluster)
    expect(verdicts(rows, 'Target')).toBe(cluster)
    expect(verdicts(rows, 'Both')).toBe('two clusters: pass, clocks: pass')
    expect(find(rows, 'Origin', 'schema').detail).toBe('2 tables in 1 keyspaces can be read')
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
      'names: pass, TCP: fail, TLS: skipped, protocol version: skipped, credentials: skipped, datacenter: skipped, nodes: skipped, clock: skipped, schema: skipped',
    )
    expect(find(rows, 'Origin', 'TCP').detail).toContain('ECONNREFUSED')
    expect(find(rows, 'Origin', 'TCP').remedy).toContain('origin_port')
    expect(find(rows, 'Origin', 'schema').detail).toBe('needs "TCP" first')
    expect(find(rows, 'Target', 'schema').verdict).toBe('pass')
    expect(verdicts(rows, 'Both')).toBe('two clusters: skipped, clocks: skipped')
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
    react(origin, /system_schema/, respondError(ErrorCode.UNAUTHORIZED, 'no SELECT'))
    const row = find(await check(settings), 'Origin', 'schema')
    expect(row.verdict).toBe('fail')
    expect(row.detail).toContain('no SELECT')
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
    const { settings } = await startRig({
      origin: { nodes: [{ hostId: '00000000-0000-4000-8000-00000000000b' }] },
    })
    expect(find(await check(settings), 'Both', 'two clusters')).toMatchObject({ verdict: 'fail' })
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
    const path = join(mkdtempSync(join(tmpdir(), 'zdm-check-')), 'ca.pem')
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

  test('a proxy address that does not resolve', async () => {
    const { settings } = await startRig()
    const addresses = ['127.0.0.1', 'proxy-1.example']
    const rows = await check({ ...settings, proxyTopologyAddresses: addresses })
    expect(find(rows, 'Settings', 'proxy topology')).toMatchObject({ verdict: 'fail' })
  })
})
