import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ProtocolError } from '../../src/cql/errors.ts'
import { ErrorCode } from '../../src/cql/protocol.ts'
import {
  classifyStatement,
  KeyspaceClass,
  keyspaceClassOf,
  StatementClass,
  useKeyspace,
} from '../../src/statement/classify.ts'
import { embed, SURROUNDINGS, tokensOf, utf8 } from './tokens.ts'

type ClassName = keyof typeof StatementClass

const CLASS_NAMES = new Map(Object.entries(StatementClass).map(([name, value]) => [value, name]))

const classOf = (text: string, keyspace = ''): string | undefined => {
  const bytes = utf8(text)
  return CLASS_NAMES.get(classifyStatement(bytes, 0, bytes.length, keyspaceClassOf(keyspace)))
}

type Table = Partial<Record<ClassName, readonly string[]>>

/** request-path §2.3, for a session without a keyspace. */
const BY_STATEMENT: Table = {
  VIRTUAL_READ: [
    'SELECT * FROM system.local',
    'SELECT * FROM system.peers',
    'SELECT * FROM system.peers_v2',
    "select key from SYSTEM.Local where key = 'local'",
    'SELECT * FROM "system"."local"',
    'SELECT * FROM "system" . peers ;',
    'SELECT JSON * FROM system.local',
    'SELECT DISTINCT peer FROM system.peers',
    'SELECT JSON DISTINCT peer FROM system.peers',
    'SELECT count(*) FROM system.peers LIMIT 1 ALLOW FILTERING',
    'SELECT toJson("from") FROM system.local',
    'SELECT * FROM system.local -- the end',
    'SELECT * FROM system.local // the end',
    'SELECT * FROM system.local;;',
    'SELECT*FROM"system"."peers"',
    'SELECT udt.from, udt . from FROM system.local',
    '\ufeffSELECT * FROM system.local',
    '-- x\nSELECT * FROM system.local',
    '/* x */ SELECT /* y */ * /* FROM ks.t */ FROM /* z */ system /* . */ . -- \n local',
    ' ;(SELECT * FROM system.local)',
  ],
  SYSTEM_READ: [
    'LIST ROLES',
    'list ALL PERMISSIONS OF r',
    'DESCRIBE KEYSPACES',
    'describe TABLE ks.t',
    'DESC SCHEMA',
    '/**/desc--\nfull schema;',
    'SELECT * FROM system.built_views',
    'SELECT * FROM system.local2',
    'SELECT * FROM system."Local"',
    'SELECT * FROM system."local""x"',
    'SELECT * FROM system.',
    'SELECT * FROM system.?',
    'SELECT * FROM system."localx',
    'SELECT * FROM system."',
    'SELECT * FROM system_schema.tables',
    'SELECT * FROM System_Auth.roles',
    'SELECT * FROM "system_distributed".t',
    'SELECT * FROM system_tracesx.events',
    'SELECT * FROM system_virtual_schema.tables',
    'SELECT * FROM system_.local',
    'SELECT * FROM system_views.local',
    'SELECT * FROM dse_insights.tokens',
    'SELECT * FROM dse_.t',
    'SELECT * FROM "dse_perf"."peers"',
    'SELECT token("keyspace_name") FROM system_schema.keyspaces WHERE token(keyspace_name) > 1',
  ],
  TRACE_READ: [
    'SELECT * FROM system_traces.events',
    'SELECT * FROM System_Traces . sessions WHERE session_id = ?',
    'SELECT * FROM "system_traces"."events"',
    'SELECT * FROM system_traces.',
  ],
  READ: [
    'SELECT * FROM ks.t',
    'SELECT * FROM t',
    'SELECT * FROM local',
    'SELECT * FROM peers',
    'SELECT * FROM ks.local',
    'SELECT * FROM dsefs.t',
    'SELECT * FROM "OpsCenter".t',
    'SELECT * FROM "System".local',
    'SELECT * FROM "SYSTEM".local',
    'SELECT * FROM "System_schema".tables',
    'SELECT * FROM "system "."local"',
    'SELECT * FROM "system.local',
    'SELECT * FROM "systemx',
    'SELECT * FROM systemx.local',
    'SELECT * FROM sys.tem_local',
    'SELECT * FROM dse.t',
    'SELECT * FROM "".local',
    "SELECT * FROM 'system'.local",
    'SELECT * FROM :system.local',
    'SELECT * FROM 1system.local',
    'SELECT * FROM (SELECT * FROM system.local)',
    'SELECT',
    'SELECT FROM',
    'SELECT 1',
    'SELECT * FROM',
    "SELECT 'FROM system.local' FROM ks.t",
    'SELECT $$ FROM system.local $$ FROM ks.t',
    'SELECT "a FROM system.local" FROM ks.t',
    'SELECT /* FROM system.local */ a FROM ks.t',
    'SELECT a -- FROM system.local\nFROM ks.t',
    'SELECT trim(a FROM system.local) FROM ks.t',
    'SELECT {a: [b FROM system.local]} FROM ks.t',
    'SELECT udt.from, system.from FROM ks.t',
    'SELECT xfrom system.local FROM ks.t',
    'SELECT from_x, fromage, "from" FROM ks.t',
    "SELECT * FROM ks.t WHERE a = 'x' AND b IN (SELECT FROM system.local)",
    "SELECT * FROM ks.t WHERE solr_query = '*:*' AND c : 'd';",
  ],
  USE: ['USE ks', 'use "Ks";', 'USE', 'USE a.b', '/**/Use--\nks'],
  WRITE: [
    'INSERT INTO ks.t (a) VALUES (1)',
    'INSERT INTO system.local JSON ?',
    "insert into t json '{}'",
    'UPDATE system.peers SET a = 1 WHERE b = 2',
    'DELETE FROM system.local WHERE key = ?',
    'BEGIN BATCH INSERT INTO t (a) VALUES (1); APPLY BATCH',
    'begin unlogged batch apply batch;',
    'BEGIN TRANSACTION SELECT * FROM ks.t; COMMIT TRANSACTION',
    '--\n;INSERT INTO t (a) VALUES (1)',
  ],
  INSIGHTS_CALL: [
    "CALL InsightsRpc.reportInsight('{}')",
    'call INSIGHTSRPC.reportInsight(?)',
    'CALL /* x */ insightsrpc . y()',
  ],
  OTHER: [
    '',
    ' ',
    ';',
    '(',
    '\ufeff',
    'CALL "InsightsRpc".reportInsight(?)',
    'CALL InsightsRpcs.reportInsight(?)',
    'CALL InsightsRpc',
    'CALL',
    'CALL OtherRpc.f()',
    'CREATE TABLE ks.t (a int PRIMARY KEY)',
    'DROP KEYSPACE ks',
    'ALTER TABLE ks.t ADD b int',
    'TRUNCATE ks.t',
    'GRANT SELECT ON ks.t TO r',
    'REVOKE SELECT ON ks.t FROM r',
    'LISTS ROLES',
    'DESCRIBES KEYSPACES',
    'DESCENDING',
    'DES KEYSPACES',
    'EXPLAIN SELECT * FROM system.local',
    'APPLY BATCH',
    "g.V().has('name', 'x')",
    'SELECTS * FROM system.local',
    'SELECT_ * FROM system.local',
    'SELECTé * FROM system.local',
    'SELEC * FROM system.local',
    '"SELECT" * FROM system.local',
    "'SELECT' * FROM system.local",
    '? SELECT',
    '[SELECT * FROM system.local',
    'INSERTS',
    'USER x',
    '/* SELECT * FROM system.local',
    '-- SELECT * FROM system.local',
    '\u0000\u0001',
  ],
}

/** request-path §3.6: valid SELECTs that the reference takes for writes. */
const READS_OUTSIDE_THE_GRAMMAR = [
  'SELECT token(pk) FROM ks.t',
  'SELECT * FROM ks.t WHERE token(pk) > token(1)',
  "SELECT m['x'], a.b FROM ks.t",
  'SELECT a + b * -c FROM ks.t',
  'SELECT a FROM ks.t WHERE b = 1 - 2',
  'SELECT a FROM ks.t WHERE b BETWEEN 1 AND 2',
  'SELECT a FROM ks.t WHERE b NOT IN (1) AND c NOT CONTAINS 2 AND d IS NULL',
  'SELECT a FROM ks.t WHERE (b = 1 AND c = 2)',
  "SELECT a FROM ks.t WHERE expr(idx, 'x')",
  'SELECT a FROM ks.t ORDER BY v ANN OF [1.0, 2.0] LIMIT 3',
  "SELECT a FROM ks.t ORDER BY v BM25 OF 'x'",
  'SELECT a FROM ks.t GROUP BY floor(ts, 1h)',
  'SELECT a FROM ks.t LIMIT 1 PER PARTITION LIMIT 2',
  'SELECT DISTINCT JSON a FROM ks.t',
  'SELECT (int) a FROM ks.t',
  'SELECT größe FROM ks.größen',
  'SELECT _a, 1b FROM _ks.2t',
  'SELECT a FROM ks.t BYPASS CACHE USING TIMEOUT 50ms',
  'SELECT a FROM ks.t;;',
  'SELECT a FROM ks.t -- the end',
  'SELECT x.a FROM ks.t AS x',
  'SELECT call FROM ks.call',
  'SELECT P FROM P.P',
]

/** request-path §3.3: names and comments. */
const NAMES: readonly { text: string; expected: ClassName }[] = [
  { text: 'SELECT a FROM SyStEm.PeErS', expected: 'VIRTUAL_READ' },
  { text: 'SELECT a FROM "system"."Peers"', expected: 'SYSTEM_READ' },
  { text: 'SELECT a FROM "sys""tem".peers', expected: 'READ' },
  { text: 'SELECT count, json, key, list, ttl FROM system.local', expected: 'VIRTUAL_READ' },
  { text: 'SELECT\ta\r\nFROM\tsystem\n.\rlocal', expected: 'VIRTUAL_READ' },
  { text: 'SELECT a /* /* */ FROM system.local', expected: 'VIRTUAL_READ' },
  { text: 'SELECT a FROM system.local P', expected: 'VIRTUAL_READ' },
  { text: "SELECT 'it''s FROM x', $$y'$$ FROM system.local", expected: 'VIRTUAL_READ' },
]

describe.each(Object.entries(BY_STATEMENT))('%s', (expected, texts) => {
  test.each(texts)('%j', (text) => {
    expect(classOf(text)).toBe(expected)
  })
})

test.each(READS_OUTSIDE_THE_GRAMMAR)(
  'READ, or SYSTEM_READ after USE of a system keyspace: %s',
  (text) => {
    expect(classOf(text)).toBe('READ')
    expect(classOf(text, 'system')).toBe(
      text.includes('ks.') || text.includes('P.P') ? 'READ' : 'SYSTEM_READ',
    )
    expect(classOf(text.replaceAll(/(FROM|from) \S+/g, 'FROM system.local'))).toBe('VIRTUAL_READ')
    expect(classOf(text.replaceAll(/(FROM|from) \S+/g, 'FROM system_schema.t'))).toBe('SYSTEM_READ')
  },
)

test.each(NAMES)('$expected by its names: $text', ({ text, expected }) => {
  expect(classOf(text)).toBe(expected)
})

describe('unqualified names mean the keyspace that is given', () => {
  const tables = ['local', '"peers"', 'PEERS_V2', 'built_views', '"Local"', 't']
  const expected: Record<string, readonly ClassName[]> = {
    '': ['READ', 'READ', 'READ', 'READ', 'READ', 'READ'],
    ks: ['READ', 'READ', 'READ', 'READ', 'READ', 'READ'],
    system: [
      'VIRTUAL_READ',
      'VIRTUAL_READ',
      'VIRTUAL_READ',
      'SYSTEM_READ',
      'SYSTEM_READ',
      'SYSTEM_READ',
    ],
    system_schema: tables.map(() => 'SYSTEM_READ'),
    dse_perf: tables.map(() => 'SYSTEM_READ'),
    system_traces: tables.map(() => 'TRACE_READ'),
    System: tables.map(() => 'READ'),
  }
  test.each(Object.entries(expected))('keyspace %j', (keyspace, classes) => {
    expect(tables.map((table) => classOf(`SELECT * FROM ${table}`, keyspace))).toEqual(classes)
    expect(classOf('SELECT * FROM ks.local', keyspace)).toBe('READ')
    expect(classOf('SELECT * FROM system.local', keyspace)).toBe('VIRTUAL_READ')
    expect(classOf('INSERT INTO local (key) VALUES (?)', keyspace)).toBe('WRITE')
  })
})

test('keyspaces are classed by their exact internal names', () => {
  const classes: Record<string, KeyspaceClass> = {
    '': KeyspaceClass.USER,
    ks: KeyspaceClass.USER,
    System: KeyspaceClass.USER,
    SYSTEM_AUTH: KeyspaceClass.USER,
    systems: KeyspaceClass.USER,
    dse: KeyspaceClass.USER,
    dsefs: KeyspaceClass.USER,
    OpsCenter: KeyspaceClass.USER,
    system: KeyspaceClass.SYSTEM,
    system_: KeyspaceClass.SYSTEM_LIKE,
    system_auth: KeyspaceClass.SYSTEM_LIKE,
    dse_security: KeyspaceClass.SYSTEM_LIKE,
    system_traces: KeyspaceClass.TRACES,
    system_traces_: KeyspaceClass.SYSTEM_LIKE,
  }
  const actual = Object.keys(classes).map((name) => [name, keyspaceClassOf(name)])
  expect(Object.fromEntries(actual)).toEqual(classes)
})

describe('USE', () => {
  const use = (text: string, around = ''): string => {
    const { bytes, start, end } = embed(utf8(text), around)
    return useKeyspace(bytes, start, end)
  }
  const keyspaces: readonly (readonly [text: string, keyspace: string])[] = [
    ['USE ks', 'ks'],
    ['use KS;', 'ks'],
    ['USE "Ks"', 'Ks'],
    ['USE"a""b" ; ;', 'a"b'],
    ['USE /* x */ system -- y', 'system'],
    ['\ufeff USE größe', 'größe'],
    ['USE ttl', 'ttl'],
  ]
  test.each(keyspaces)('%j is %j', (text, keyspace) => {
    expect(use(text)).toBe(keyspace)
    for (const around of SURROUNDINGS) expect(use(text, around), around).toBe(keyspace)
  })

  const malformed: readonly (readonly [text: string, message: string])[] = [
    ['USE', "line 1:3 mismatched input '<EOF>' expecting a keyspace's name"],
    ['USE ;', "line 1:4 mismatched input ';' expecting a keyspace's name"],
    ['USE a.b', "line 1:5 mismatched input '.' expecting the end of the statement"],
    ['USE a\n  b', "line 2:2 mismatched input 'b' expecting the end of the statement"],
    ['USE a; b', "line 1:7 mismatched input 'b' expecting the end of the statement"],
    ['USE ""', `line 1:4 mismatched input '""' expecting a keyspace's name`],
    ['USE "é', `line 1:4 mismatched input '"é' expecting a keyspace's name`],
    ["USE 'ks'", `line 1:4 mismatched input ''ks'' expecting a keyspace's name`],
    ['USE 1', "line 1:4 mismatched input '1' expecting a keyspace's name"],
    ['USE ?', "line 1:4 mismatched input '?' expecting a keyspace's name"],
    ['(USE a)', "line 1:0 mismatched input '(' expecting USE"],
  ]
  test.each(malformed)('%j is a syntax error', (text, message) => {
    expect(classOf(text)).toBe('USE')
    let error: unknown
    try {
      use(text, "'x")
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(ProtocolError)
    expect(error).toMatchObject({
      code: 'STATEMENT_USE',
      errorCode: ErrorCode.SYNTAX_ERROR,
      message,
    })
  })
})

describe('any input', () => {
  const all = [...Object.values(BY_STATEMENT).flat(), ...READS_OUTSIDE_THE_GRAMMAR]
  const keyspaceClass = fc.constantFrom(...Object.values(KeyspaceClass))
  const fragment = fc.constantFrom(
    ...['SELECT', 'FROM', 'system', '.', 'local', 'CALL', 'InsightsRpc', 'USE', '(', ')', '*'],
    ...["'", '"', '$$', '--', '//', '/*', '*/', '\n', ' ', ';', ',', 'f', 'fro', '\ufeff', 'ü'],
  )
  const input = fc.oneof(
    fc.array(fragment, { maxLength: 20 }).map((parts) => utf8(parts.join(''))),
    fc.array(fragment, { maxLength: 20 }).map((parts) => utf8(parts.join(' '))),
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom(...all).chain((text) => {
      const bytes = utf8(text)
      return fc.nat(bytes.length).map((length) => bytes.slice(0, length))
    }),
  )

  test('has a class, which does not depend on what surrounds the text', () => {
    fc.assert(
      fc.property(input, keyspaceClass, fc.constantFrom(...SURROUNDINGS), (text, of, around) => {
        const { bytes, start, end } = embed(text, around)
        const alone = classifyStatement(text, 0, text.length, of)
        expect(CLASS_NAMES.has(alone)).toBe(true)
        expect(classifyStatement(bytes, start, end, of)).toBe(alone)
      }),
      { numRuns: 3_000 },
    )
  })

  test('is not read outside of its bounds', () => {
    fc.assert(
      fc.property(input, keyspaceClass, (text, of) => {
        const { bytes, start, end } = embed(text, 'SELECT')
        const guarded = new Proxy(bytes, {
          get: (target, key) => {
            const at = typeof key === 'string' ? Number(key) : Number.NaN
            if (Number.isInteger(at) && (at < start || at >= end)) throw new Error(`read at ${at}`)
            return Reflect.get(target, key)
          },
        })
        classifyStatement(guarded, start, end, of)
      }),
    )
  })

  test('keeps its class with other white space, comments and case of its words', () => {
    const blank = fc.constantFrom(
      ' ',
      '\n',
      '\t',
      '/* FROM system.local */',
      '-- x\n',
      '// (\r\n',
      '/**/',
    )
    const blanks = fc.array(blank, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(''))
    const closed = all.filter(
      (text) => !/^\ufeff|"systemx|"system\.local|\/\* SELECT|-- SELECT/.test(text),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...closed),
        fc.array(blanks, { minLength: 40, maxLength: 40 }),
        fc.infiniteStream(fc.boolean()),
        keyspaceClass,
        (text, between, isUpper, of) => {
          const flip = (word: string): string =>
            [...word]
              .map((letter) =>
                /[a-z]/i.test(letter) && isUpper.next().value === true
                  ? letter.toUpperCase()
                  : letter.toLowerCase(),
              )
              .join('')
          const tokens = tokensOf(utf8(text)).map(([kind, token]) =>
            kind === 'WORD' ? flip(token) : token,
          )
          const spaced = tokens.map((token, at) => (between[at] ?? ' ') + token).join('')
          const bytes = utf8(`${spaced} `)
          const original = utf8(text)
          const expected = classifyStatement(original, 0, original.length, of)
          expect(CLASS_NAMES.get(classifyStatement(bytes, 0, bytes.length, of)), spaced).toBe(
            CLASS_NAMES.get(expected),
          )
        },
      ),
      { numRuns: 2_000 },
    )
  })
})
