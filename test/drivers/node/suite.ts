/**
 * Runs a driver suite (../suite.json) with cassandra-driver for Node. Argument: a JSON list of runs
 * {label, suite, host, port, version, compression, keyspace}. Prints a JSON line per case: run, case, ok,
 * outcome. What outcomes must be is the caller's business; `ok` is false where a value was not what
 * had been written.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import cassandra, { type Client, type QueryOptions, type types as Types } from 'cassandra-driver'
import type { SuiteRun } from '../../support/driver-runs.ts'

const { policies, types } = cassandra

type Values = readonly unknown[] | Readonly<Record<string, unknown>>

type Step = {
  readonly do: string
  readonly cql: string
  readonly values?: Values
  readonly type?: string
  readonly children?: readonly (Step & { readonly prepared?: boolean })[]
  readonly serial?: 'SERIAL' | 'LOCAL_SERIAL'
  readonly tracing?: boolean
  readonly payload?: Readonly<Record<string, string>>
  readonly table?: string
  readonly key?: number
  readonly bytes?: number
  readonly requests?: number
  readonly atOnce?: number
  readonly pageSize?: number
}

type Suite = {
  readonly types: readonly {
    name: string
    cql: string
    literals: readonly string[]
    /** Why a language's driver cannot read it. */
    unreadBy?: Readonly<Record<string, string>>
  }[]
  readonly cases: readonly { name: string; from?: number; steps: readonly Step[] }[]
}

const TIMEOUT_MS = 60_000
const KEY_OFFSET = 1000
const EVENT_TIMEOUT_MS = 15_000
const REQUESTS_PER_CONNECTION_MAX = 4096

/** A value came back other than it had been written. */
class Mismatch extends Error {}

const show = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => {
    if (one instanceof Map) return [...one]
    if (one instanceof Set) return [...one]
    return typeof one === 'bigint' || Object.is(one, -0) ? String(one) : one
  }) ?? 'undefined'

const bound = (value: unknown): unknown =>
  value !== null && typeof value === 'object' ? types.unset : value

const boundValues = (values: Values | undefined): unknown[] | Record<string, unknown> => {
  if (values === undefined) return []
  if (Array.isArray(values)) return values.map(bound)
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, bound(value)]))
}

/** Without preparing, this driver takes every number for a double. */
const hintsOf = (values: Values | undefined): string[] | Record<string, string> => {
  const hint = (value: unknown) => (typeof value === 'number' ? 'int' : 'text')
  if (values === undefined) return []
  if (Array.isArray(values)) return values.map(hint)
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, hint(value)]))
}

class Run {
  readonly #run: SuiteRun
  readonly suite: Suite
  #client: Client

  constructor(run: SuiteRun) {
    this.#run = run
    this.suite = JSON.parse(readFileSync(run.suite, 'utf8'))
    this.#client = this.#newClient()
  }

  #newClient(): Client {
    const { host, port, version } = this.#run
    return new cassandra.Client({
      contactPoints: [`${host}:${port}`],
      protocolOptions: { maxVersion: version },
      pooling: {
        coreConnectionsPerHost: { [types.distance.local]: 1 },
        maxRequestsPerConnection: REQUESTS_PER_CONNECTION_MAX,
      },
      socketOptions: { readTimeout: TIMEOUT_MS, connectTimeout: TIMEOUT_MS },
      queryOptions: { consistency: types.consistencies.one },
      policies: {
        loadBalancing: new policies.loadBalancing.RoundRobinPolicy(),
        retry: new policies.retry.FallthroughRetryPolicy(),
      },
    })
  }

  async connect(client = this.#client): Promise<Client> {
    await client.connect()
    await client.execute(
      `CREATE KEYSPACE IF NOT EXISTS ${this.#run.keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
    )
    await client.execute(`USE ${this.#run.keyspace}`)
    return client
  }

  close(): Promise<void> {
    return this.#client.shutdown()
  }

  async step(step: Step): Promise<unknown> {
    try {
      return await this.#dispatch(step)
    } catch (error) {
      if (error instanceof Mismatch || !(error instanceof Error)) throw error
      const code = 'code' in error ? String(error.code) : error.name
      return { error: code, message: error.message }
    }
  }

  #dispatch(step: Step): Promise<unknown> {
    const steps: Readonly<Record<string, () => Promise<unknown>>> = {
      simple: () => this.#execute(step, { hints: hintsOf(step.values) as string[] }),
      prepared: () => this.#execute(step, { prepare: true }),
      batch: () => this.#batch(step),
      topology: () => this.#topology(),
      'create-types-table': () => this.#createTypesTable(),
      schema: () => this.#schema(),
      'schema-event': () => this.#schemaEvent(step),
      types: () => this.#types(),
      size: () => this.#size(step),
      'in-flight': () => this.#inFlight(step),
      page: () => this.#page(step),
      use: async () => this.#client.execute(`USE ${this.#run.keyspace}`).then(() => 'used'),
      reconnect: () => this.#reconnect(),
    }
    const run = steps[step.do]
    if (run === undefined) throw new Mismatch(`no such step: ${step.do}`)
    return run()
  }

  async #execute(step: Step, options: QueryOptions): Promise<unknown> {
    const result = await this.#client.execute(step.cql, boundValues(step.values), {
      ...options,
      ...(step.serial && {
        serialConsistency:
          step.serial === 'SERIAL' ? types.consistencies.serial : types.consistencies.localSerial,
      }),
      ...(step.tracing && { traceQuery: true }),
      ...(step.payload && {
        customPayload: Object.fromEntries(
          Object.entries(step.payload).map(([name, value]) => [name, Buffer.from(value)]),
        ),
      }),
    })
    return this.#describe(result, step.tracing === true)
  }

  async #describe(result: Types.ResultSet, isTraced: boolean): Promise<unknown> {
    const { info } = result
    const payload: unknown = info.customPayload
    return {
      rows: (result.rows ?? []).map(show),
      applied: result.wasApplied(),
      ...(info.warnings && { warnings: info.warnings }),
      ...(payload !== undefined && payload !== null && { payload: show(payload) }),
      ...(isTraced && { traced: (await this.#client.metadata.getTrace(info.traceId)).requestType }),
    }
  }

  async #batch(step: Step): Promise<unknown> {
    const children = step.children ?? []
    // All of them prepared, or none: this driver knows no mixture.
    const prepare = children.some(({ prepared }) => prepared === true)
    const queries = children.map(({ cql, values }) => ({ query: cql, params: boundValues(values) }))
    const result = await this.#client.batch(queries as { query: string; params: unknown[] }[], {
      prepare,
      logged: step.type === 'logged',
      counter: step.type === 'counter',
    })
    return this.#describe(result, false)
  }

  async #topology(): Promise<unknown> {
    const local =
      'SELECT cluster_name, partitioner, data_center, rack, release_version FROM system.local'
    const result = await this.#client.execute(local)
    const { cluster_name: cluster, ...rest } = result.first()
    return {
      cluster,
      local: show(rest),
      hosts: this.#client.hosts
        .values()
        .map((host) => [host.datacenter, host.rack, host.cassandraVersion, host.isUp()]),
      tokens: this.#client.hosts.values().every((host) => (host.tokens?.length ?? 0) > 0),
    }
  }

  async #createTypesTable(): Promise<unknown> {
    const columns = this.suite.types.map(({ name, cql }) => `, c_${name} ${cql}`).join('')
    await this.#client.execute(`CREATE TABLE types (k int PRIMARY KEY${columns})`)
    return 'created'
  }

  async #schema(): Promise<unknown> {
    const { metadata } = this.#client
    const table = await metadata.getTable(this.#run.keyspace, 'types')
    const person = await metadata.getUdt(this.#run.keyspace, 'person')
    const functions = await metadata.getFunctions(this.#run.keyspace, 'fails')
    return {
      table: table.columns.map((column) => show(column)),
      keys: table.partitionKeys.map(({ name }) => name),
      udt: show(person.fields),
      functions: functions.map((one) => show([one.name, one.language, one.body])),
    }
  }

  async #schemaEvent(step: Step): Promise<unknown> {
    const other = await this.connect(this.#newClient())
    await other.execute(step.cql)
    await other.shutdown()
    const deadlineMs = Date.now() + EVENT_TIMEOUT_MS
    while ((await this.#client.metadata.getTable(this.#run.keyspace, step.table!)) === null) {
      if (Date.now() > deadlineMs) {
        throw new Mismatch('the first session did not hear of the new table')
      }
      await delay(50)
    }
    return 'heard of'
  }

  async #types(): Promise<unknown> {
    const outcome: Record<string, string[]> = {}
    const prepared = { prepare: true }
    let key = 0
    for (const { name, literals, unreadBy } of this.suite.types) {
      if (unreadBy?.['node'] !== undefined) continue
      const column = `c_${name}`
      const select = `SELECT ${column} FROM types WHERE k = ?`
      const read = async (at: number): Promise<unknown> =>
        (await this.#client.execute(select, [at], prepared)).first().get(0)
      const seen: string[] = []
      for (const literal of [...literals, 'null']) {
        key++
        await this.#client.execute(`INSERT INTO types (k, ${column}) VALUES (${key}, ${literal})`)
        const written = await read(key)
        await this.#client.execute(
          `INSERT INTO types (k, ${column}) VALUES (?, ?)`,
          [key + KEY_OFFSET, written],
          prepared,
        )
        const again = await read(key + KEY_OFFSET)
        if (show(again) !== show(written)) {
          throw new Mismatch(`${column}: ${literal} was ${show(written)}, then ${show(again)}`)
        }
        seen.push(show(again))
      }
      outcome[name] = seen
    }
    return outcome
  }

  async #size(step: Step): Promise<unknown> {
    const written = Buffer.alloc(step.bytes!, Buffer.from(Array.from({ length: 251 }, (_, i) => i)))
    const prepared = { prepare: true }
    await this.#client.execute(
      'INSERT INTO sizes (k, v) VALUES (?, ?)',
      [step.key, written],
      prepared,
    )
    const result = await this.#client.execute(
      'SELECT v FROM sizes WHERE k = ?',
      [step.key],
      prepared,
    )
    const read: Buffer = result.first().get('v')
    if (!read.equals(written)) {
      throw new Mismatch(`${written.length} bytes were written, ${read.length} read`)
    }
    return read.length
  }

  async #inFlight(step: Step): Promise<unknown> {
    const faults: string[] = []
    let next = 0
    const work = async (): Promise<void> => {
      while (next < step.requests!) {
        const i = next++
        await this.#client
          .execute(step.cql, [i, `value ${i}`], { prepare: true })
          .catch((error: unknown) => faults.push(String(error)))
      }
    }
    await Promise.all(Array.from({ length: step.atOnce! }, work))
    return { faults }
  }

  async #page(step: Step): Promise<unknown> {
    const pages: number[] = []
    let expected = 0
    let pageState: string | undefined
    do {
      // By its paging state, as an application does that keeps it between two requests.
      const result: Types.ResultSet = await this.#client.execute(step.cql, [], {
        fetchSize: step.pageSize!,
        ...(pageState !== undefined && { pageState }),
      })
      pages.push(result.rows.length)
      for (const row of result.rows) {
        if (row['c'] !== expected || row['v'] !== `value ${expected}`) {
          throw new Mismatch('the rows are not those that were written, in order')
        }
        expected++
      }
      pageState = result.pageState ?? undefined
    } while (pageState !== undefined)
    return pages
  }

  async #reconnect(): Promise<unknown> {
    await this.#client.shutdown()
    this.#client = await this.connect(this.#newClient())
    return 'connected'
  }
}

const runCase = async (run: Run, steps: readonly Step[]) => {
  const outcome: unknown[] = []
  try {
    for (const step of steps) outcome.push(await run.step(step))
    return { ok: true, outcome }
  } catch (error) {
    if (error instanceof Mismatch) return { ok: false, outcome: error.message }
    throw error
  }
}

const runs: SuiteRun[] = JSON.parse(process.argv[2] ?? '[]')
for (const spec of runs) {
  const run = new Run(spec)
  await run.connect()
  for (const { name, from = 0, steps } of run.suite.cases) {
    if (spec.version < from) continue
    const startedMs = Date.now()
    const result = await runCase(run, steps)
    const line = { run: spec.label, case: name, ...result, ms: Date.now() - startedMs }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
  await run.close()
}
