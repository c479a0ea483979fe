/**
 * Drivers of four languages on every protocol version that they have: directly against Origin, through
 * the proxy, and through the proxy with every message decoded and encoded again. What they see must be
 * the same, but for docs/differences.md; what they have written must be in both clusters.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client, types } from 'cassandra-driver'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { afterFile } from '../support/after-test.ts'
import type { DriverProgram, Language } from '../support/driver-programs.ts'
import { differences, type RunResults, runSuite, type SuiteRun } from '../support/driver-runs.ts'
import { offeredCompressions } from '../support/offered-compressions.ts'
import { ReEncoder } from '../support/re-encoder.ts'
import { connectDirect, newKeyspaceName, startRealInstance } from '../support/real-instance.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const SUITES_TIMEOUT_MS = 1_200_000
const CLEAN_UP_TIMEOUT_MS = 300_000

/** `v5`, or `v5 lz4`: only where the proxy offers it, but always directly. */
type Variant = `v${number}` | `v${number} ${'lz4' | 'snappy'}`

const VARIANTS: Readonly<Record<Language, readonly Variant[]>> = {
  python: ['v3', 'v4', 'v5', 'v3 snappy', 'v4 lz4', 'v5 lz4'],
  java: ['v3', 'v4', 'v5', 'v4 snappy', 'v5 lz4'],
  go: ['v3', 'v4', 'v5', 'v4 snappy', 'v5 lz4'],
  // Its driver has neither v5 nor compression.
  node: ['v3', 'v4'],
}

const describeVariant = (
  variant: Variant,
): { readonly version: number; readonly compression: string | null } => {
  const [version, compression = null] = variant.slice(1).split(' ')
  return { version: Number(version), compression }
}

const offered = await Promise.all(
  Object.values(inject('clusters')).map(({ contactPoints }) =>
    offeredCompressions(contactPoints[0]!),
  ),
)

type Compressed = Pick<SuiteRun, 'compression'>

const isPlain = ({ compression }: Compressed): boolean => compression === null

/** The proxy offers what both clusters do. */
const isOffered = ({ compression }: Compressed): boolean =>
  compression === null || offered.every((some) => some.includes(compression))

/** Each version, and frames that are compressed (v5). Bodies that are (v2 to v4) have a suite of their own. */
const hasHeavyCases = (variant: Variant): boolean =>
  isPlain(describeVariant(variant)) || variant === 'v5 lz4'

/** Two at a time: most of a run is waiting for the clusters. */
const SIDE_BY_SIDE: readonly (readonly Language[])[] = [
  ['python', 'node'],
  ['java', 'go'],
]

/** Tables that the suite has written, and how their rows are read to be compared. */
const WRITTEN: readonly (readonly [table: string, select: string, pageSize: number])[] = [
  ['types', 'SELECT JSON *', 5000],
  ['t', 'SELECT JSON *', 5000],
  ['counters', 'SELECT JSON *', 5000],
  ['changing', 'SELECT JSON *', 5000],
  ['page_rows', 'SELECT JSON *', 5000],
  ['sizes', 'SELECT k, v', 2],
]
/** Of these, what the heavy cases alone write. */
const WRITTEN_BY_HEAVY = 'page_rows'

type Case = {
  readonly name: string
  readonly fails?: boolean
  readonly from?: number
  readonly heavy?: boolean
}

const SUITE = join(import.meta.dirname, '../drivers/suite.json')
const WHOLE: { readonly cases: readonly Case[] } = JSON.parse(readFileSync(SUITE, 'utf8'))
const CASES = WHOLE.cases
/** Without what takes the clusters most of the time; the runs that have all of it are `hasHeavyCases`. */
const LIGHT_CASES = CASES.filter(({ heavy }) => heavy !== true)
const LIGHT_SUITE = join(temporaryDirectory(afterFile), 'suite.json')
writeFileSync(LIGHT_SUITE, JSON.stringify({ ...WHOLE, cases: LIGHT_CASES }))
/** Cases that are about errors. */
const FAILING = new Set(CASES.filter(({ fails }) => fails === true).map(({ name }) => name))

type Difference = { readonly where: string; readonly drivers: ReadonlySet<string> }

/** The lines of the table in docs/differences.md. */
const listedDifferences = (): Difference[] => {
  const path = join(import.meta.dirname, '../../docs/differences.md')
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [, where, drivers] = line.split('|').map((cell) => cell.trim())
      return { where: where!.replaceAll('`', ''), drivers: new Set(drivers!.split(', ')) }
    })
}

const LISTED = listedDifferences()
const occurred = new Set<string>()

/** What a language's runs came to. A compressed body is not encoded again: such runs are as they are. */
type Suite = {
  readonly direct: ReadonlyMap<Variant, RunResults>
  readonly plain: ReadonlyMap<Variant, RunResults>
  readonly encoded: ReadonlyMap<Variant, RunResults>
  readonly encoder: ReEncoder
}

const runLanguage = async (
  program: DriverProgram,
  variants: readonly Variant[],
): Promise<Suite> => {
  const { address, port } = inject('clusters').origin.contactPoints[0]!
  const encoder = new ReEncoder()
  const asIs = await startRealInstance()
  const reEncoding = await startRealInstance({}, encoder.rewrite)
  const newRuns = (
    name: string,
    host: string,
    at: number,
    isRun: (run: SuiteRun) => boolean,
    isHeavy: (variant: Variant) => boolean = hasHeavyCases,
  ): Map<Variant, SuiteRun> => {
    const runs = variants.map((variant): [Variant, SuiteRun] => {
      const suite = isHeavy(variant) ? SUITE : LIGHT_SUITE
      const place = { suite, host, port: at, keyspace: newKeyspaceName() }
      return [variant, { label: `${name} ${variant}`, ...place, ...describeVariant(variant) }]
    })
    return new Map(runs.filter(([, run]) => isRun(run)))
  }
  // Encoding again is the same work for each version's large values and many requests.
  const newest = variants.findLast((variant) => isPlain(describeVariant(variant)))
  const isNewest = (variant: Variant): boolean => variant === newest
  const direct = newRuns('direct', address, port, () => true)
  const plain = newRuns('proxy', '127.0.0.1', asIs.port, isOffered)
  const encoded = newRuns('re-encoding proxy', '127.0.0.1', reEncoding.port, isPlain, isNewest)
  const runs = [direct, plain, encoded].flatMap((some) => [...some.values()])
  const results = await runSuite(program, runs)
  const withResults = (some: ReadonlyMap<Variant, SuiteRun>) =>
    new Map([...some].map(([variant, run]) => [variant, { run, results: results.get(run.label)! }]))
  return {
    direct: withResults(direct),
    plain: withResults(plain),
    encoded: withResults(encoded),
    encoder,
  }
}

const runsOf = ({ direct, plain, encoded }: Suite): RunResults[] =>
  [direct, plain, encoded].flatMap((runs) => [...runs.values()])

/** Of the direct run, the cases that the other has too; that each run has all of its own is another test. */
const inBoth = ({ run, results }: RunResults, other: RunResults): RunResults => {
  const names = new Set(other.results.map((result) => result.case))
  return { run, results: results.filter((result) => names.has(result.case)) }
}

/** How long the runs took, and their slowest cases, for whoever wants them faster. */
const describeTimes = (language: Language, suite: Suite, totalMs: number): string => {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
  const lines = runsOf(suite).map(({ run, results }) => {
    const slowest = [...results].sort((a, b) => b.ms - a.ms).slice(0, 3)
    const sumMs = results.reduce((before, { ms }) => before + ms, 0)
    const shown = slowest.map((one) => `${one.case} ${seconds(one.ms)}`)
    return `  ${run.label}: ${seconds(sumMs)}; ${shown.join('; ')}`
  })
  return `${[`driver suite in ${language}: ${seconds(totalMs)}`, ...lines].join('\n')}\n`
}

const suites = new Map<string, Suite>()
const faults = new Map<string, unknown>()
let clusters: { readonly origin: Client; readonly target: Client }

const runAndKeep = async (language: Language): Promise<void> => {
  const program = inject('driverPrograms')[language]
  if ('unavailable' in program) return
  const startedMs = Date.now()
  try {
    const suite = await runLanguage(program, VARIANTS[language])
    suites.set(language, suite)
    process.stderr.write(describeTimes(language, suite, Date.now() - startedMs))
  } catch (error) {
    faults.set(language, error)
  }
}

beforeAll(async () => {
  clusters = await connectDirect()
  await Promise.all(
    SIDE_BY_SIDE.map(async (languages) => {
      for (const language of languages) await runAndKeep(language)
    }),
  )
}, SUITES_TIMEOUT_MS)

afterAll(async () => {
  // Clusters of this run alone go anyway.
  if ((process.env['ZDM_TEST_ORIGIN'] ?? '') === '') return
  const keyspaces = [...suites.values()].flatMap(runsOf).map(({ run }) => run.keyspace)
  for (const keyspace of keyspaces) {
    const drop = `DROP KEYSPACE IF EXISTS ${keyspace}`
    await Promise.all([clusters.origin.execute(drop), clusters.target.execute(drop)])
  }
}, CLEAN_UP_TIMEOUT_MS)

type Stored = (string | Buffer)[]

/** The rows of a table as they are stored, in the order of the cluster. */
const storedRows = async (
  client: Client,
  table: string,
  select: string,
  fetchSize: number,
): Promise<Stored[]> => {
  const rows: Stored[] = []
  let pageState: string | undefined
  do {
    const result: types.ResultSet = await client.execute(`${select} FROM ${table}`, [], {
      fetchSize,
      readTimeout: 60_000,
      ...(pageState !== undefined && { pageState }),
    })
    for (const row of result.rows) {
      rows.push(row.values().map((value) => (Buffer.isBuffer(value) ? value : String(value))))
    }
    pageState = result.pageState ?? undefined
  } while (pageState !== undefined)
  return rows
}

/** For values of 20 MiB, for which a comparison that could show what differs takes minutes. */
const isSame = (a: Stored, b: Stored | undefined): boolean =>
  a.every((value, index) => {
    const other = b?.[index]
    return Buffer.isBuffer(value) && Buffer.isBuffer(other) ? value.equals(other) : value === other
  })

/** Who has no toolchain here is told before the tests (support/real-clusters.ts). */
const RUN = Object.entries(VARIANTS).filter(
  ([language]) => !('unavailable' in inject('driverPrograms')[language as Language]),
)

describe.each(RUN)('%s', (language, variants) => {
  let suite: Suite

  beforeAll(() => {
    const found = suites.get(language)
    if (found === undefined) throw faults.get(language)
    suite = found
  })

  describe.each(variants)('protocol %s', (variant) => {
    const described = describeVariant(variant)
    const { version } = described
    const ways = isPlain(described) ? (['plain', 'encoded'] as const) : (['plain'] as const)
    const through = isOffered(described) ? ways : []

    test('every case is run, and every value comes back as it was written', () => {
      for (const way of ['direct', ...through] as const) {
        const { run, results } = suite[way].get(variant)!
        const cases = (run.suite === SUITE ? CASES : LIGHT_CASES)
          .filter(({ from = 0 }) => version >= from)
          .map(({ name }) => name)
        expect(results.map((one) => one.case)).toEqual(cases)
        expect(results.filter(({ ok }) => !ok)).toEqual([])
      }
    })

    test('directly, only the cases about errors meet any', () => {
      const { results } = suite.direct.get(variant)!
      const met = results.filter(
        (result) => !FAILING.has(result.case) && JSON.stringify(result).includes('"error":'),
      )
      expect(met).toEqual([])
    })

    test.each(through)('all cases tell the same through the proxy: %s', (way) => {
      const run = suite[way].get(variant)!
      const found = differences(inBoth(suite.direct.get(variant)!, run), run)
      const unlisted = found.filter(({ where }) => {
        const line = LISTED.find((one) => one.where === where && one.drivers.has(language))
        if (line !== undefined) occurred.add(`${where} ${language}`)
        return line === undefined
      })
      expect(unlisted).toEqual([])
    })

    const isWritten = (table: string, isHeavy: boolean): boolean =>
      isHeavy || table !== WRITTEN_BY_HEAVY

    test.each(
      through.length > 0
        ? WRITTEN.filter(([table]) => isWritten(table, hasHeavyCases(variant)))
        : [],
    )('the rows of %s are the same in both clusters', async (table, select, pageSize) => {
      const written = through
        .map((way) => suite[way].get(variant)!)
        .filter(({ run }) => isWritten(table, run.suite === SUITE))
      for (const { run } of written) {
        const name = `${run.keyspace}.${table}`
        const origin = await storedRows(clusters.origin, name, select, pageSize)
        const target = await storedRows(clusters.target, name, select, pageSize)
        expect(origin.length).toBeGreaterThan(0)
        expect(target.length).toBe(origin.length)
        const unequal = origin.flatMap((one, index) =>
          isSame(one, target[index]) ? [] : [[String(one), String(target[index])]],
        )
        expect(unequal).toEqual([])
      }
    })
  })

  test('every kind of message has been encoded again, byte for byte the same', () => {
    const { encoder } = suite
    const kinds = ['STARTUP', 'READY', 'QUERY', 'PREPARE', 'EXECUTE', 'BATCH', 'RESULT', 'ERROR']
    expect([...encoder.counts.keys()]).toEqual(expect.arrayContaining(kinds))
    expect(encoder.passed).toBe(0)
    expect(encoder.differences).toEqual([])
  })
})

test('every line of docs/differences.md occurs', () => {
  const lines = LISTED.flatMap(({ where, drivers }) =>
    [...drivers].filter((one) => suites.has(one)).map((driver) => `${where} ${driver}`),
  )
  expect(lines.filter((line) => !occurred.has(line))).toEqual([])
})
