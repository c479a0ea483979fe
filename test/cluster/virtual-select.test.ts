import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { orderValues, planVirtualSelect } from '../../src/cluster/virtual-select.ts'
import {
  VIRTUAL_SELECTORS_MAX,
  VIRTUAL_TEXT_LENGTH_MAX,
} from '../../src/cluster/virtual-select-parser.ts'
import type { VirtualTables } from '../../src/cluster/virtual-tables.ts'
import { VirtualSelectError } from '../../src/cluster/virtual-value.ts'
import type { ColumnSpec } from '../../src/cql/messages/metadata.ts'
import type { BoundValue } from '../../src/cql/messages/query-parameters.ts'
import { ErrorCode, TypeId } from '../../src/cql/protocol.ts'
import { NOT_SET } from '../../src/cql/reader.ts'
import { nativeType, type TypeOption } from '../../src/cql/type-option.ts'
import {
  decodeBigint,
  decodeBoolean,
  decodeElements,
  decodeInet,
  decodeInt,
  decodeText,
  decodeUuid,
  encodeElements,
  encodeInet,
  encodeInt,
  encodeText,
  encodeUuid,
} from '../../src/cql/values.ts'
import {
  HOST_ID,
  OTHER_HOST_ID,
  TABLES,
  TABLES_ALONE,
  THIRD_HOST_ID,
} from './virtual-select-tables.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

type Shown = string | number | bigint | boolean | null | readonly string[]

const show = (type: TypeOption, bytes: Uint8Array | null): Shown => {
  if (bytes === null) return null
  if (type.kind === 'set') return decodeElements(bytes).map((one) => decodeText(one!))
  const id = type.kind === 'native' ? type.id : null
  switch (id) {
    case TypeId.VARCHAR:
      return decodeText(bytes)
    case TypeId.INT:
      return decodeInt(bytes)
    case TypeId.BIGINT:
      return decodeBigint(bytes)
    case TypeId.BOOLEAN:
      return decodeBoolean(bytes)
    case TypeId.UUID:
      return decodeUuid(bytes)
    case TypeId.INET:
      return decodeInet(bytes)
    default:
      throw new Error(`no reader for ${JSON.stringify(type)}`)
  }
}

type Given = {
  readonly values?: readonly BoundValue[]
  readonly names?: readonly string[]
  readonly tables?: VirtualTables
}

const select = (text: string, given: Given = {}): { names: string[]; rows: Shown[][] } => {
  const plan = planVirtualSelect(utf8(text), given.tables ?? TABLES)
  const rows = plan.rows(orderValues(plan, given.values ?? [], given.names ?? null))
  return {
    names: plan.columns.map(({ name }) => name),
    rows: rows.map((row) => row.map((value, at) => show(plan.columns[at]!.type, value))),
  }
}

/** The last octets of the peers found: enough to tell which rows they are. */
const peersWhere = (where: string, given: Given = {}): number[] =>
  select(`SELECT peer FROM system.peers ${where}`, given).rows.map(([peer]) =>
    Number(String(peer).split('.').at(-1)),
  )

const errorOf = (text: string, given: Given = {}): { code: ErrorCode; message: string } | null => {
  try {
    select(text, given)
    return null
  } catch (error) {
    if (!(error instanceof VirtualSelectError)) throw error
    return { code: error.errorCode, message: error.message }
  }
}

describe('the select list', () => {
  const cases: readonly (readonly [text: string, names: string[], rows: Shown[][]])[] = [
    ['SELECT key, graph FROM system.local', ['key', 'graph'], [['local', true]]],
    ['SELECT KEY, "key" FROM local', ['key', 'key'], [['local', 'local']]],
    ['SELECT "Odd""Name", "from" FROM system.local', ['Odd"Name', 'from'], [['it"s', 'x']]],
    ['SELECT key AS K, key as "K" FROM system.local;', ['k', 'K'], [['local', 'local']]],
    ['SELECT tokens FROM "system"."local"', ['tokens'], [[['-1', '2']]]],
    ['SELECT truncated_at FROM system.local', ['truncated_at'], [[null]]],
    ['SELECT rack FROM system.peers', ['rack'], [['rack0'], ["r'1"], [null]]],
    ['SELECT count(*) FROM system.peers', ['count'], [[3n]]],
    ['SELECT COUNT ( 1 ) FROM system.peers', ['count'], [[3n]]],
    ['SELECT count(*) AS "N" FROM system.local', ['N'], [[1n]]],
    ['SELECT count(rack) FROM system.peers', ['system.count(rack)'], [[2n]]],
    ['SELECT rack, count(*) FROM system.peers', ['rack', 'count'], [['rack0', 3n]]],
    ['SELECT count(*), rack FROM system.peers WHERE port = 1', ['count', 'rack'], [[0n, null]]],
    ['SELECT DISTINCT peer FROM system.peers LIMIT 1', ['peer'], [['10.0.0.1']]],
    [
      'SELECT peer, count(*) FROM system.peers GROUP BY peer',
      ['peer', 'count'],
      [
        ['10.0.0.1', 1n],
        ['10.0.0.2', 1n],
        ['10.0.0.3', 1n],
      ],
    ],
    ['SELECT key FROM system.local BYPASS CACHE USING TIMEOUT 500ms;;', ['key'], [['local']]],
    ['/* x */ SELECT key -- y\nFROM // z\nsystem . local', ['key'], [['local']]],
  ]
  test.each(cases)('%s', (text, names, rows) => {
    expect(select(text)).toEqual({ names, rows })
  })

  test('* is every column in the order of the table', () => {
    const plan = planVirtualSelect(utf8('SELECT * FROM system.peers'), TABLES)
    const columns = TABLES.get('peers')!.columns
    const specs = columns.map(
      (column): ColumnSpec => ({
        keyspace: 'system',
        table: 'peers',
        ...column,
      }),
    )
    expect(plan.columns).toEqual(specs)
    expect(plan.isOfAllColumns).toBe(true)
    expect(plan.rows([])).toEqual(TABLES.get('peers')!.rows)
  })

  test('has its columns where the table has no rows', () => {
    const alone = { tables: TABLES_ALONE }
    expect(select('SELECT peer, rack FROM system.peers', alone)).toEqual({
      names: ['peer', 'rack'],
      rows: [],
    })
    expect(select('SELECT count(*), rack FROM system.peers', alone).rows).toEqual([[0n, null]])
  })

  test('count is a bigint, as a server has it', () => {
    const plan = planVirtualSelect(utf8('SELECT count(*) FROM system.peers'), TABLES)
    const count = {
      keyspace: 'system',
      table: 'peers',
      name: 'count',
      type: nativeType(TypeId.BIGINT),
    }
    expect(plan.columns).toEqual([count])
  })
})

describe('JSON', () => {
  const cases: readonly (readonly [text: string, rows: string[]])[] = [
    [
      'SELECT JSON * FROM system.local',
      [
        '{"key": "local", "gossip_generation": 7, "graph": true, "\\"Odd\\"Name\\"": "it\\"s", ' +
          '"from": "x", "tokens": ["-1", "2"], "truncated_at": null}',
      ],
    ],
    [
      'SELECT JSON peer AS p, host_id, load FROM system.peers LIMIT 1',
      [`{"p": "10.0.0.1", "host_id": "${HOST_ID}", "load": -5}`],
    ],
    ['SELECT JSON count(*) FROM system.peers', ['{"count": 3}']],
    ['SELECT JSON DISTINCT peer FROM system.peers LIMIT 1', ['{"peer": "10.0.0.1"}']],
  ]
  test.each(cases)('%s', (text, rows) => {
    expect(select(text)).toEqual({ names: ['[json]'], rows: rows.map((row) => [row]) })
  })

  test('writes maps, and blobs in hex', () => {
    const at = encodeElements([encodeUuid(HOST_ID), Uint8Array.of(0xca, 0xfe)])
    // One entry of a map has the layout of a list of two, but for its count.
    at.set(encodeInt(1))
    const columns = TABLES.get('local')!.columns.filter(({ name }) => name === 'truncated_at')
    const table = { name: 'local', partitionKey: 'key', columns, rows: [[at]] }
    expect(
      select('SELECT JSON * FROM system.local', { tables: new Map([['local', table]]) }).rows,
    ).toEqual([[`{"truncated_at": {"${HOST_ID}": "0xcafe"}}`]])
  })

  test('refuses a type that it cannot write', () => {
    const column = { name: 'at', type: nativeType(TypeId.DURATION) }
    const table = { name: 'local', partitionKey: 'at', columns: [column], rows: [[null]] }
    const error = errorOf('SELECT JSON at FROM local', { tables: new Map([['local', table]]) })
    expect(error).toMatchObject({ code: ErrorCode.INVALID, message: expect.stringContaining('at') })
  })

  test.each(['json', 'distinct'])('%s may be a column', (name) => {
    const column = { name, type: nativeType(TypeId.VARCHAR) }
    const table = { name: 'local', partitionKey: name, columns: [column], rows: [[utf8('x')]] }
    const tables = new Map([['local', table]])
    for (const list of [name, `${name} AS ${name}`, `${name.toUpperCase()}, ${name}`]) {
      expect(select(`SELECT ${list} FROM local`, { tables }).rows[0]?.[0], list).toBe('x')
    }
  })
})

describe('WHERE', () => {
  const cases: readonly (readonly [where: string, peers: number[]])[] = [
    ["WHERE peer = '10.0.0.2'", [2]],
    ["WHERE peer = '::1'", []],
    ["WHERE peer IN ('10.0.0.3', '10.0.0.1')", [1, 3]],
    ['WHERE peer IN ()', []],
    ["WHERE peer > '10.0.0.1' AND peer <= '10.0.0.3'", [2, 3]],
    ["WHERE rack = 'rack0' ALLOW FILTERING", [1]],
    ["WHERE rack = 'r''1'", [2]],
    ["WHERE rack = $$r'1$$", [2]],
    ["WHERE rack >= ''", [1, 2]],
    ["WHERE rack < 'rack0'", [2]],
    [`WHERE host_id = ${OTHER_HOST_ID}`, [2]],
    [`WHERE host_id IN (${THIRD_HOST_ID.toUpperCase()})`, [3]],
    ['WHERE load = -5', [1]],
    ['WHERE load > -6', [1, 2]],
    ['WHERE load >= 9000000000', [2]],
    ['WHERE port < 9044 AND port > 9042', [2]],
    ['WHERE port>=9043', [2, 3]],
    ['WHERE ((port = 9043)) AND (graph = FALSE)', [2]],
    ['WHERE graph = true', [1]],
    ['WHERE graph IN (true, false)', [1, 2]],
    ['LIMIT 2', [1, 2]],
    ['WHERE port > 9042 PER PARTITION LIMIT 1 LIMIT 1', [2]],
    ['LIMIT 99', [1, 2, 3]],
  ]
  test.each(cases)('%s', (where, peers) => {
    expect(peersWhere(where)).toEqual(peers)
  })

  test('on a table of one row', () => {
    expect(select("SELECT key FROM system.local WHERE key = 'local'").rows).toEqual([['local']])
    expect(select("SELECT key FROM system.local WHERE key = 'Local'").rows).toEqual([])
  })
})

describe('bind markers', () => {
  const address = (last: number): Uint8Array => encodeInet(`10.0.0.${last}`)
  const cases: readonly (readonly [where: string, given: Given, peers: number[]])[] = [
    ['WHERE peer = ?', { values: [address(2)] }, [2]],
    ['WHERE peer IN (?, ?)', { values: [address(3), address(2)] }, [2, 3]],
    ['WHERE peer IN ?', { values: [encodeElements([address(3), address(1)])] }, [1, 3]],
    ['WHERE peer IN ?', { values: [encodeElements([])] }, []],
    ['WHERE port >= ? LIMIT ?', { values: [encodeInt(9043), encodeInt(1)] }, [2]],
    ['LIMIT ?', { values: [NOT_SET] }, [1, 2, 3]],
    ['PER PARTITION LIMIT ? LIMIT ?', { values: [encodeInt(1), encodeInt(2)] }, [1, 2]],
    ['WHERE peer = :p', { values: [address(2)], names: ['p'] }, [2]],
    ['WHERE peer = :"P"', { values: [address(2)], names: ['P'] }, [2]],
    ['WHERE peer = :P', { values: [address(2)] }, [2]],
    [
      'WHERE peer >= :a AND peer <= :a AND port > :b',
      { values: [encodeInt(0), address(2)], names: ['b', 'a'] },
      [2],
    ],
    [
      'WHERE peer = ? LIMIT ?',
      { values: [encodeInt(1), address(2)], names: ['[limit]', 'peer'] },
      [2],
    ],
    ['WHERE peer IN ?', { values: [encodeElements([address(3)])], names: ['in(peer)'] }, [3]],
  ]
  test.each(cases)('%s with %o', (where, given, peers) => {
    expect(peersWhere(where, given)).toEqual(peers)
  })

  test('are declared by name and type, in the order of the text', () => {
    const text =
      'SELECT peer FROM system.peers WHERE rack IN ? AND peer = ? AND port > :low ' +
      'AND host_id IN (?, :other) PER PARTITION LIMIT ? LIMIT :"Most"'
    const plan = planVirtualSelect(utf8(text), TABLES)
    const types = plan.variables.map(({ name, type }) => [name, type])
    const [inet, int, uuid] = [TypeId.INET, TypeId.INT, TypeId.UUID].map(nativeType)
    expect(types).toEqual([
      ['in(rack)', { kind: 'list', element: nativeType(TypeId.VARCHAR) }],
      ['peer', inet],
      ['low', int],
      ['host_id', uuid],
      ['other', uuid],
      ['[per_partition_limit]', int],
      ['Most', int],
    ])
    expect(plan.partitionKeyIndices).toEqual([1])
    expect(new Set(plan.variables.map(({ keyspace, table }) => `${keyspace}.${table}`))).toEqual(
      new Set(['system.peers']),
    )
  })

  test.each(['peer > ?', 'peer IN (?)', "peer = '::1'"])(
    '%s binds no whole partition key',
    (where) => {
      const plan = planVirtualSelect(utf8(`SELECT * FROM system.peers WHERE ${where}`), TABLES)
      expect(plan.partitionKeyIndices).toEqual([])
    },
  )

  const refusals: readonly (readonly [where: string, given: Given, message: string])[] = [
    ['WHERE peer = ?', {}, 'there were 1 markers(?) in CQL but 0 bound variables'],
    ['', { values: [null] }, 'there were 0 markers(?) in CQL but 1 bound variables'],
    [
      'WHERE peer = :p',
      { values: [address(1)], names: ['q'] },
      'No value is bound to the marker p',
    ],
    ['WHERE peer = ?', { values: [null] }, 'Invalid null value in condition for column peer'],
    ['WHERE peer = ?', { values: [NOT_SET] }, 'Invalid unset value for column peer'],
    ['WHERE peer IN ?', { values: [null] }, 'Invalid null value in condition for column peer'],
    ['WHERE peer IN ?', { values: [NOT_SET] }, 'Invalid unset value for column peer'],
    [
      'WHERE peer IN ?',
      { values: [Uint8Array.of(0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff)] },
      'Invalid null value in condition for column peer',
    ],
    ['WHERE peer IN ?', { values: [Uint8Array.of(9)] }, 'Invalid list for column peer'],
    [
      'WHERE peer IN ?',
      { values: [new Uint8Array(65 * 1024)] },
      'The list for column peer is 66560 bytes',
    ],
    ['WHERE port = ?', { values: [utf8('x')] }, 'Invalid value for column port: expected 4 bytes'],
    ['LIMIT ?', { values: [encodeInt(0)] }, 'LIMIT must be strictly positive'],
    ['PER PARTITION LIMIT ?', { values: [encodeInt(-1)] }, 'PER PARTITION LIMIT must be strictly'],
    ['LIMIT ?', { values: [null] }, 'Invalid null value in condition for column [limit]'],
  ]
  test.each(refusals)('%s with %o is refused', (where, given, message) => {
    expect(errorOf(`SELECT * FROM system.peers ${where}`, given)).toEqual({
      code: ErrorCode.INVALID,
      message: expect.stringContaining(message),
    })
  })
})

describe('INVALID names what is wrong', () => {
  const cases: readonly (readonly [text: string, message: string])[] = [
    ['SELECT * FROM system.peers_v2', 'unconfigured table peers_v2'],
    ['SELECT * FROM system."Local"', 'unconfigured table Local'],
    ['SELECT * FROM ks.local', 'unconfigured table local'],
    ['SELECT nope, neither FROM system.local', 'Undefined column name nope'],
    ['SELECT "KEY" FROM system.local', 'Undefined column name KEY'],
    ['SELECT count(nope) FROM system.local', 'Undefined column name nope'],
    ['SELECT * FROM system.local WHERE nope = 1', 'Undefined column name nope'],
    ['SELECT * FROM system.local GROUP BY nope', 'Undefined column name nope'],
    ['SELECT * FROM system.local ORDER BY nope', 'Undefined column name nope'],
    ['SELECT writetime(rack) FROM system.peers', 'The function writetime(…)'],
    ['SELECT ttl(rack) FROM system.peers', 'The function ttl(…)'],
    ['SELECT cast(port AS text) FROM system.peers', 'The function cast(…)'],
    ['SELECT max(port) FROM system.peers', 'The function max(…)'],
    ['SELECT system.now() FROM system.peers', 'A part of column system'],
    ['SELECT tokens[1] FROM system.local', 'A part of column tokens'],
    ['SELECT port + 1 FROM system.peers', 'Arithmetic on column port'],
    ["SELECT 'x' FROM system.peers", "Selecting 'x'"],
    ['SELECT (int) port FROM system.peers', 'Selecting ('],
    ['SELECT -port FROM system.peers', 'Selecting -'],
    ['SELECT ? FROM system.peers', 'Selecting ?'],
    ['SELECT 1 FROM system.peers', 'Selecting 1'],
    ['SELECT * FROM system.peers WHERE token(peer) > 1', 'The function token(…)'],
    ["SELECT * FROM system.peers WHERE (peer, rack) = ('a', 'b')", 'A relation on several columns'],
    ["SELECT * FROM system.peers WHERE (peer) IN ('a')", 'A relation on several columns'],
    ["SELECT * FROM system.peers WHERE rack != 'x'", '!= on column rack'],
    ["SELECT * FROM system.peers WHERE rack LIKE 'x%'", 'LIKE on column rack'],
    ['SELECT * FROM system.peers WHERE rack IS NOT NULL', 'IS on column rack'],
    ["SELECT * FROM system.peers WHERE rack NOT IN ('x')", 'NOT on column rack'],
    ['SELECT * FROM system.peers WHERE port between 1 and 2', 'BETWEEN on column port'],
    ["SELECT * FROM system.local WHERE tokens CONTAINS '1'", 'CONTAINS on column tokens'],
    ["SELECT * FROM system.local WHERE tokens = {'1'}", 'A value other than a constant'],
    ['SELECT * FROM system.local WHERE tokens = ?', 'Cannot restrict column tokens'],
    ['SELECT * FROM system.local WHERE key = now()', 'The function now(…)'],
    ["SELECT * FROM system.local WHERE key = 'a' OR key = 'b'", 'OR is not supported'],
    [
      'SELECT * FROM system.local WHERE key = 5',
      'Invalid INTEGER constant (5) for "key" of type text',
    ],
    [
      'SELECT * FROM system.local WHERE key = null',
      'Invalid null value in condition for column key',
    ],
    ['SELECT * FROM system.local WHERE gossip_generation = 2147483648', 'Invalid INTEGER constant'],
    ['SELECT * FROM system.local WHERE gossip_generation = 1.5', 'Invalid FLOAT constant (1.5)'],
    ['SELECT * FROM system.local WHERE gossip_generation = NaN', 'Invalid FLOAT constant (NaN)'],
    ['SELECT * FROM system.local WHERE graph = 0x01', 'Invalid BLOB constant (0x01)'],
    ["SELECT * FROM system.peers WHERE peer = 'localhost'", 'Invalid STRING constant (localhost)'],
    ["SELECT * FROM system.peers WHERE host_id = 'x'", 'Invalid STRING constant (x)'],
    ['SELECT DISTINCT rack FROM system.peers', '(not rack)'],
    ['SELECT DISTINCT * FROM system.peers', '(not rack)'],
    ['SELECT DISTINCT count(*) FROM system.peers', '(not count)'],
    ['SELECT DISTINCT peer FROM system.peers PER PARTITION LIMIT 1', 'SELECT DISTINCT'],
    ['SELECT count(*) FROM system.peers PER PARTITION LIMIT 1', 'aggregate queries'],
    ['SELECT count(*) FROM system.peers GROUP BY rack', 'Group by is only supported'],
    ['SELECT * FROM system.peers GROUP BY floor(port)', 'The function floor(…)'],
    ['SELECT * FROM system.peers ORDER BY rack', 'restricted by an EQ or an IN'],
    [
      "SELECT * FROM system.peers WHERE peer = '10.0.0.1' ORDER BY rack DESC, peer ASC",
      'Order by is currently only supported on the clustered columns of the PRIMARY KEY, got rack',
    ],
    ['SELECT * FROM system.peers LIMIT 0', 'LIMIT must be strictly positive'],
    ['SELECT * FROM system.peers LIMIT -1', 'LIMIT must be strictly positive'],
    ['SELECT * FROM system.peers LIMIT 2147483648', 'Invalid INTEGER constant (2147483648)'],
    ['SELECT * FROM system.peers PER PARTITION LIMIT 0', 'PER PARTITION LIMIT must be strictly'],
  ]
  test.each(cases)('%s', (text, message) => {
    expect(errorOf(text)).toEqual({
      code: ErrorCode.INVALID,
      message: expect.stringContaining(message),
    })
  })
})

describe('SYNTAX_ERROR tells where', () => {
  const cases: readonly (readonly [text: string, message: string])[] = [
    ['SELECT * FROM system.local key', "line 1:27 mismatched input 'key' expecting the end"],
    ['SELECT *\n  FRM system.local', "line 2:2 mismatched input 'FRM' expecting ',' or FROM"],
    ['SELECT FROM system.local', "line 1:7 mismatched input 'FROM' expecting a column"],
    ['SELECT , FROM system.local', "line 1:7 mismatched input ',' expecting a column"],
    ['SELECT key, FROM system.local', "line 1:12 mismatched input 'FROM'"],
    ['SELECT key AS FROM', "line 1:18 mismatched input '<EOF>'"],
    ["SELECT key AS 'k' FROM system.local", "line 1:14 mismatched input ''k'' expecting an alias"],
    ['SELECT "" FROM system.local', 'line 1:7 mismatched input \'""\''],
    ['SELECT count(* FROM system.local', "line 1:15 mismatched input 'FROM' expecting ')'"],
    ['SELECT * FROM system.', "line 1:21 mismatched input '<EOF>' expecting a table's name"],
    ['SELECT * FROM', "line 1:13 mismatched input '<EOF>'"],
    ['SELECT * FROM system.local WHERE', "line 1:32 mismatched input '<EOF>'"],
    ['SELECT * FROM system.local WHERE key', 'expecting an operator'],
    ['SELECT * FROM system.local WHERE key < = 1', 'expecting a constant or bind marker'],
    ['SELECT * FROM system.local WHERE key = local', 'expecting a constant or bind marker'],
    ["SELECT * FROM system.local WHERE key = 'local", "mismatched input ''local' expecting"],
    ["SELECT * FROM system.local WHERE key = -'x'", 'expecting a constant or bind marker'],
    ['SELECT * FROM system.local WHERE key = :', "expecting a bind marker's name"],
    ['SELECT * FROM system.local WHERE key = 1abc', 'expecting a constant'],
    ["SELECT * FROM system.local WHERE key IN 'a'", "expecting '('"],
    ["SELECT * FROM system.local WHERE key IN ('a'", "expecting ')'"],
    ["SELECT * FROM system.local WHERE (key = 'a'", "expecting ')'"],
    ["SELECT * FROM system.local WHERE key = 'a' AND", "mismatched input '<EOF>'"],
    ['SELECT * FROM system.local GROUP key', 'expecting BY'],
    ['SELECT * FROM system.local LIMIT', "mismatched input '<EOF>'"],
    ["SELECT * FROM system.local LIMIT 'x'", 'LIMIT x is no integer'],
    ['SELECT * FROM system.local LIMIT 1 PER PARTITION LIMIT 1', "mismatched input 'PER'"],
    ['SELECT * FROM system.local PER LIMIT 1', 'expecting PARTITION'],
    ['SELECT * FROM system.local ALLOW', 'expecting FILTERING'],
    ['SELECT * FROM system.local BYPASS', 'expecting CACHE'],
    ['SELECT * FROM system.local USING TIMEOUT soon', 'expecting a duration'],
    ['(SELECT * FROM system.local)', "line 1:0 mismatched input '(' expecting SELECT"],
  ]
  test.each(cases)('%s', (text, message) => {
    expect(errorOf(text)).toEqual({
      code: ErrorCode.SYNTAX_ERROR,
      message: expect.stringContaining(message),
    })
  })
})

describe('limits', () => {
  test('a select list', () => {
    const list = (length: number): string => new Array(length).fill('key').join(',')
    const atLimit = select(`SELECT ${list(VIRTUAL_SELECTORS_MAX)} FROM system.local`)
    expect(atLimit.names).toHaveLength(VIRTUAL_SELECTORS_MAX)
    expect(errorOf(`SELECT ${list(VIRTUAL_SELECTORS_MAX + 1)} FROM system.local`)).toMatchObject({
      code: ErrorCode.INVALID,
      message: expect.stringContaining(`more than ${VIRTUAL_SELECTORS_MAX} columns`),
    })
  })

  test('the text', () => {
    const text = (length: number): string => 'SELECT key FROM system.local'.padEnd(length)
    expect(select(text(VIRTUAL_TEXT_LENGTH_MAX)).rows).toHaveLength(1)
    expect(errorOf(text(VIRTUAL_TEXT_LENGTH_MAX + 1))).toMatchObject({
      code: ErrorCode.INVALID,
      message: expect.stringContaining(`${VIRTUAL_TEXT_LENGTH_MAX + 1} bytes`),
    })
  })

  test('parentheses nest as deep as the text is long', () => {
    const depth = 30_000
    const where = `${'('.repeat(depth)}key = 'local'${')'.repeat(depth)}`
    expect(select(`SELECT key FROM system.local WHERE ${where}`).rows).toHaveLength(1)
  })
})

test('any text has rows or a VirtualSelectError', () => {
  const fragment = fc.constantFrom(
    ...[
      'SELECT',
      'JSON',
      'DISTINCT',
      '*',
      'key',
      'count',
      '(',
      ')',
      ',',
      'AS',
      'FROM',
      'system',
      '.',
    ],
    ...[
      'local',
      'peers',
      'WHERE',
      'peer',
      '=',
      '<',
      '>',
      'IN',
      '?',
      ':a',
      "'local'",
      '1',
      '-',
      'AND',
    ],
    ...[
      'GROUP',
      'ORDER',
      'BY',
      'LIMIT',
      'PER',
      'PARTITION',
      'ALLOW',
      'FILTERING',
      ';',
      'true',
      "'",
    ],
  )
  const tail = fc.array(fragment, { maxLength: 15 }).map((parts) => parts.join(' '))
  const heads = ['', 'SELECT * FROM system.local WHERE ', 'SELECT ', 'SELECT * FROM system.peers ']
  fc.assert(
    fc.property(fc.constantFrom(...heads), tail, (head, rest) => {
      const error = errorOf(head + rest)
      expect(error?.code ?? ErrorCode.INVALID).toBeOneOf([
        ErrorCode.INVALID,
        ErrorCode.SYNTAX_ERROR,
      ])
    }),
    { numRuns: 2_000 },
  )
})

test('text values are compared as bytes', () => {
  expect(peersWhere('WHERE rack > ?', { values: [encodeText('r')] })).toEqual([1, 2])
})
