/**
 * `zdm check` on two real clusters whose keyspaces differ in each way that matters: the command, the admin API
 * of an instance, and what the clusters themselves say of their schemas.
 */
import { beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { listenHttp } from '../../src/admin/http-server.ts'
import { systemClock } from '../../src/clock.ts'
import type { CheckReport, Difference } from '../../src/control/report.ts'
import type { ProxyInstance } from '../../src/proxy/instance.ts'
import { afterFile, afterTest } from '../support/after-test.ts'
import { startTestControl, testApp } from '../support/controlled.ts'
import {
  connectDirect,
  createKeyspace,
  newKeyspaceName,
  startRealInstance,
} from '../support/real-instance.ts'
import { type RanZdm, zdm as runZdm } from '../support/zdm.ts'

const KS = newKeyspaceName()
const SAME = newKeyspaceName()
const ONLY_ORIGIN = newKeyspaceName()

/** More columns than a page of system_schema has rows; the last of them comes last. */
const WIDE = Array.from({ length: 1100 }, (_, at) => `c${at} int`).join(', ')

/** What each cluster is given; `$` is the keyspace. */
const SCHEMAS: Readonly<Record<'origin' | 'target', readonly string[]>> = {
  origin: [
    `CREATE TYPE $.address (street text, zip int)`,
    `CREATE TYPE $.lost_type (a int)`,
    `CREATE TABLE $.same (p int, c timeuuid, s text static, v frozen<address>, PRIMARY KEY (p, c)) WITH CLUSTERING ORDER BY (c DESC)`,
    `CREATE TABLE $.lost (p int PRIMARY KEY)`,
    `CREATE TABLE $.columns (p int, c int, missing text, changed int, "Odd Name" int, PRIMARY KEY (p, c)) WITH CLUSTERING ORDER BY (c DESC)`,
    `CREATE TABLE $.keys (a int, b int, v int, PRIMARY KEY (a, b))`,
    `CREATE TABLE $.options (p int PRIMARY KEY, v int) WITH gc_grace_seconds = 1000 AND compaction = {'class': 'LeveledCompactionStrategy'}`,
    `CREATE TABLE $.expires (p int PRIMARY KEY, v int)`,
    `CREATE TABLE $.compact (p int, c int, PRIMARY KEY (p, c)) WITH COMPACT STORAGE`,
    `CREATE TABLE $.hits (p int PRIMARY KEY, n counter)`,
    `CREATE INDEX by_changed ON $.columns (changed)`,
    `CREATE TABLE $.renamed_index (p int PRIMARY KEY, v int)`,
    `CREATE INDEX one_name ON $.renamed_index (v)`,
    `CREATE TABLE $.wide (p int PRIMARY KEY, ${WIDE}, zz int)`,
  ],
  target: [
    `CREATE TYPE $.address (street text, zip text)`,
    `CREATE TABLE $.same (p int, c timeuuid, s text static, v frozen<address>, PRIMARY KEY (p, c)) WITH CLUSTERING ORDER BY (c DESC)`,
    `CREATE TABLE $.columns (p int, c int, changed text, more int, PRIMARY KEY (p, c))`,
    `CREATE TABLE $.keys (a int, b int, v int, PRIMARY KEY ((a, b)))`,
    `CREATE TABLE $.options (p int PRIMARY KEY, v int)`,
    `CREATE TABLE $.expires (p int PRIMARY KEY, v int) WITH default_time_to_live = 60`,
    `CREATE TABLE $.compact (p int, c int, PRIMARY KEY (p, c))`,
    `CREATE TABLE $.hits (p int PRIMARY KEY, n counter)`,
    `CREATE TABLE $.renamed_index (p int PRIMARY KEY, v int)`,
    `CREATE INDEX another_name ON $.renamed_index (v)`,
    `CREATE TABLE $.more (p int PRIMARY KEY)`,
    `CREATE TABLE $.wide (p int PRIMARY KEY, ${WIDE})`,
  ],
}

let address: string

const zdm = (...argv: readonly string[]): Promise<RanZdm> => runZdm(['--address', address, ...argv])

const report = async (
  ...argv: readonly string[]
): Promise<CheckReport & Pick<RanZdm, 'status'>> => {
  const { status, out } = await zdm('--json', 'check', ...argv)
  return { ...(JSON.parse(out) as CheckReport), status }
}

let instance: ProxyInstance

/** The instance's admin API, until the end of the test. */
const serve = async (): Promise<string> => {
  const control = startTestControl(instance.settings, instance)
  const where = { address: '127.0.0.1', port: 0, purpose: 'the test' }
  const server = await listenHttp(testApp(control), where, systemClock)
  afterTest(() => server.close())
  control.setAdminPort(server.port)
  return `http://127.0.0.1:${server.port}`
}

beforeEach(async () => {
  address = await serve()
})

beforeAll(async () => {
  const direct = await connectDirect()
  for (const name of ['origin', 'target'] as const) {
    const cluster = direct[name]
    await cluster.execute(createKeyspace(KS))
    await cluster.execute(createKeyspace(SAME))
    for (const text of SCHEMAS[name]) await cluster.execute(text.replaceAll('$', KS))
    await cluster.execute(
      `CREATE TABLE ${SAME}.t (p int PRIMARY KEY, v map<text, frozen<list<int>>>)`,
    )
  }
  await direct.origin.execute(createKeyspace(ONLY_ORIGIN))
  afterFile(async () => {
    for (const name of [KS, SAME]) {
      await direct.origin.execute(`DROP KEYSPACE ${name}`)
      await direct.target.execute(`DROP KEYSPACE ${name}`)
    }
    await direct.origin.execute(`DROP KEYSPACE ${ONLY_ORIGIN}`)
  })
  instance = (await startRealInstance()).instance
})

describe('two keyspaces that differ', () => {
  let found: readonly Difference[]

  beforeAll(async () => {
    address = await serve()
    const { schema, status, isFeasible } = await report('--keyspace', KS)
    expect(status).toBe(3)
    expect(isFeasible).toBe(false)
    found = schema!.differences.filter(({ subject }) => subject.startsWith(KS))
  })

  test.each([
    ['error', 'address', 'zip int) in Origin'],
    ['error', 'lost_type', 'missing in Target'],
    ['error', 'lost', 'every write to it fails'],
    ['error', 'columns.missing', 'missing in Target'],
    ['error', 'columns.Odd Name', 'missing in Target'],
    ['error', 'columns.changed', 'is int in Origin and text in Target'],
    ['warning', 'columns.c', 'ordered desc in Origin and asc in Target'],
    ['note', 'columns.more', 'is in Target only'],
    ['warning', 'by_changed', 'indexes changed of columns and is missing'],
    ['error', 'keys.b', 'is a clustering column in Origin and a partition_key column in Target'],
    ['note', 'options', 'gc_grace_seconds 1000 and 864000, compaction LeveledCompactionStrategy'],
    ['error', 'expires', 'for ever in Origin and 60 s in Target: writes are lost'],
    ['note', 'compact', 'COMPACT STORAGE yes and no'],
    ['note', 'more', 'is in Target only'],
    ['error', 'wide.zz', 'missing in Target'],
  ])('%s: %s', (severity, subject, text) => {
    expect(found.find((one) => one.subject === `${KS}.${subject}`)).toMatchObject({
      severity,
      text: expect.stringContaining(text),
    })
  })

  test('and no other differences, but a word about counters', () => {
    const subjects = found.map(({ subject }) => subject.slice(KS.length))
    expect(subjects.filter((subject) => /same|renamed|hits|one_name/.test(subject))).toEqual([])
    expect(found.find(({ subject }) => subject === KS)).toMatchObject({ severity: 'note' })
    expect(found).toHaveLength(16)
  })

  test('can be made alike by what the remedies say', async () => {
    const { target } = await connectDirect()
    const statements = found.flatMap(
      ({ remedy }) => /^on Target: ((?:ALTER|CREATE) .*)$/.exec(remedy)?.[1] ?? [],
    )
    expect(statements).toHaveLength(5)
    for (const text of statements) await target.execute(text)
    const { schema } = await report('--keyspace', KS)
    const left = schema!.differences.map(({ subject }) => subject)
    for (const mended of ['lost_type', 'columns.missing', 'columns.Odd Name', 'expires']) {
      expect(left).not.toContain(`${KS}.${mended}`)
    }
  })
})

describe('the command', () => {
  test('finds nothing in keyspaces that are alike, and shows what it looked at', async () => {
    const { origin, target } = inject('clusters')
    const ran = await zdm('check', '--keyspace', SAME)
    expect(ran).toMatchObject({ status: 0, error: '' })
    expect(ran.out).toContain(`Origin ${origin.version}, Target ${target.version}`)
    expect(ran.out).toMatch(/Both +client protocol +ok +versions 3\/v3, 4\/v4, 5\/v5; /)
    expect(ran.out).toMatch(/Both +node settings +ok/)
    expect(ran.out).toMatch(new RegExp(`1 table in keyspaces ${SAME}: 0 errors, 0 warnings`))
    expect(ran.out).toContain('Nothing found that stands in the way of the migration.')
  })

  test('fails for a keyspace that nobody has, and for one that Target lacks', async () => {
    const nobody = await zdm('check', '--keyspace', 'no_such_keyspace')
    expect(nobody.status).toBe(3)
    expect(nobody.out).toContain('Origin does not have no_such_keyspace (nor has Target)')
    const { schema, status } = await report('--keyspace', ONLY_ORIGIN, SAME)
    expect(status).toBe(3)
    expect(schema).toMatchObject({ keyspaces: [ONLY_ORIGIN, SAME].sort(), errors: 1 })
    expect(schema!.differences[0]).toMatchObject({ subject: ONLY_ORIGIN, severity: 'error' })
  })

  test('without names looks at every keyspace but the clusters’ own', async () => {
    const { schema } = await report()
    expect(schema!.keyspaces).toEqual(expect.arrayContaining([KS, SAME, ONLY_ORIGIN]))
    expect(schema!.keyspaces.filter((name) => name.startsWith('system'))).toEqual([])
  })

  test('what it found decides whether the migration may go on', async () => {
    await zdm('check', '--keyspace', KS)
    const refused = await zdm('plan', 'advance')
    expect(refused.status).toBe(3)
    expect(refused.out).toMatch(/clusters-checked: zdm check at .* found \d+ faults/)
    await zdm('check', '--keyspace', SAME)
    await zdm('check', '--keyspace', 'a_typing_error')
    const allowed = await zdm('plan', 'advance')
    expect(allowed.out).toMatch(/✓ clusters-checked: .* found nothing that loses writes/)
    expect(allowed.status).toBe(0)
  })
})
