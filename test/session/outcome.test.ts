/** Whose answer the client gets (request-path §5.1): the whole cross product, byte for byte. */
import { describe, expect, test } from 'vitest'
import { EnvelopeFlag, ErrorCode, Opcode, Version, versionTraits } from '../../src/cql/protocol.ts'
import { BodyWriter } from '../../src/cql/writer.ts'
import type { FakeCluster } from '../support/fake-cluster/cluster.ts'
import {
  batchBody,
  executeBody,
  prepareBody,
  queryBody,
} from '../support/fake-cluster/request-bodies.ts'
import {
  type Answer,
  errorAnswer,
  preparedAnswer,
  rowsAnswer,
  voidAnswer,
} from '../support/fake-cluster/results.ts'
import { delay, proceed, type Rule, respond } from '../support/fake-cluster/script.ts'
import type { Envelope } from '../support/fake-cluster/wire.ts'
import { eventually, type PlaneRig, startPlane } from '../support/plane.ts'
import type { RawClient } from '../support/raw-client.ts'

const WRITE = 'INSERT INTO ks.t (k, v) VALUES (1, 2)'
const KINDS = ['QUERY', 'EXECUTE', 'BATCH', 'PREPARE'] as const
type Kind = (typeof KINDS)[number]
const ORDERS = ['origin', 'target'] as const
type ClusterKey = (typeof ORDERS)[number]

const name = { keyspace: 'ks', table: 't' }

/** Tracing id, one warning and a payload in front of the message; each names the cluster. */
const decorated = (cluster: string, { opcode, body }: Answer): Answer => {
  const prefix = new BodyWriter()
    .writeRaw(Buffer.alloc(16, cluster))
    .writeStringList([`${cluster} warns`])
    .writeShort(1)
    .writeString('from')
    .writeBytes(Buffer.from(cluster))
    .toBytes()
  const flags = EnvelopeFlag.TRACING | EnvelopeFlag.WARNING | EnvelopeFlag.CUSTOM_PAYLOAD
  return { opcode, flags, body: Buffer.concat([prefix, body]) }
}

type Scripted = { readonly name: string; readonly isError: boolean; of(cluster: string): Answer }

const error = (code: number, text = '', detail?: Uint8Array): Scripted => ({
  name: `ERROR 0x${code.toString(16)}`,
  isError: true,
  of: (cluster) => errorAnswer(code, `${cluster} refuses${text}`, detail),
})

const ROWS: Scripted = {
  name: 'ROWS',
  isError: false,
  of: (cluster) =>
    rowsAnswer({ name, columns: [{ name: '[applied]', type: 'varchar' }], rows: [[cluster]] }),
}
const VOID: Scripted = { name: 'VOID', isError: false, of: () => voidAnswer() }
const VOID_WITH_WARNINGS: Scripted = {
  name: 'VOID with warnings',
  isError: false,
  of: (cluster) => decorated(cluster, voidAnswer()),
}
const ERROR_WITH_WARNINGS: Scripted = {
  name: 'ERROR with warnings',
  isError: true,
  of: (cluster) => decorated(cluster, errorAnswer(ErrorCode.INVALID, `${cluster} refuses`)),
}
/** Body of an ERROR that ends in the middle of its code. */
const CUT_OFF_ERROR: Scripted = {
  name: 'cut-off ERROR',
  isError: true,
  of: (cluster) => ({ opcode: Opcode.ERROR, body: Buffer.from(cluster.slice(0, 3)) }),
}
/** The flags announce warnings that the body has not. */
const CUT_OFF_WARNINGS: Scripted = {
  name: 'ERROR with cut-off warnings',
  isError: true,
  of: (cluster) => ({
    opcode: Opcode.ERROR,
    flags: EnvelopeFlag.WARNING,
    body: Buffer.from(cluster),
  }),
}

const ANSWERS: readonly Scripted[] = [
  ROWS,
  VOID,
  VOID_WITH_WARNINGS,
  error(ErrorCode.WRITE_TIMEOUT),
  error(ErrorCode.CAS_WRITE_UNKNOWN),
  error(0x7abc),
  ERROR_WITH_WARNINGS,
  CUT_OFF_ERROR,
  CUT_OFF_WARNINGS,
]

const preparedBy = (version: Version): Scripted => ({
  name: 'PREPARED',
  isError: false,
  of: (cluster) => {
    const id = Buffer.alloc(16, cluster)
    const prepared = { id, resultMetadataId: id, name, binds: [], columns: [] }
    return preparedAnswer(prepared, versionTraits(version)!)
  },
})

/** The rule itself, written down once more: an error wins, Origin's first; else the preferred one's. */
const winner = (origin: Scripted, target: Scripted, preferred: ClusterKey): ClusterKey => {
  if (origin.isError) return 'origin'
  return target.isError ? 'target' : preferred
}

const ask = (driver: RawClient, kind: Kind, id: Uint8Array): Promise<Envelope> => {
  const { version } = driver
  const ids = { id, resultMetadataId: id }
  switch (kind) {
    case 'QUERY':
      return driver.request(Opcode.QUERY, queryBody(version, WRITE))
    case 'EXECUTE':
      return driver.request(Opcode.EXECUTE, executeBody(version, ids))
    case 'BATCH':
      return driver.request(Opcode.BATCH, batchBody(version, [{ id }, { text: WRITE }]))
    case 'PREPARE':
      return driver.request(Opcode.PREPARE, prepareBody(version, WRITE))
  }
}

/** Asks with both answers scripted; the second cluster answers when the first one's has arrived. */
const askBoth = async (
  rig: PlaneRig,
  driver: RawClient,
  kind: Kind,
  id: Uint8Array,
  answers: Readonly<Record<ClusterKey, Answer>>,
  first: ClusterKey,
): Promise<Envelope> => {
  const held = delay(respond(answers[first === 'origin' ? 'target' : 'origin']))
  const clusters: Readonly<Record<ClusterKey, FakeCluster>> = rig
  const rules = ORDERS.map((key): [FakeCluster, Rule] => {
    const reaction = key === first ? respond(answers[key]) : held
    return [clusters[key], clusters[key].on({ opcode: Opcode[kind] }, reaction)]
  })
  const answer = ask(driver, kind, id)
  await eventually(() => rules.every(([, rule]) => rule.hits === 1))
  await eventually(() => rig.used(first) === 0)
  held.release()
  const envelope = await answer
  for (const [cluster, rule] of rules) cluster.off(rule)
  return envelope
}

const content = (answer: { opcode: number; flags?: number; body: Uint8Array }): string =>
  `${answer.opcode} ${answer.flags ?? 0} ${Buffer.from(answer.body).toString('hex')}`

const PRIMARIES = ['ORIGIN', 'TARGET'] as const
const COMBINATIONS = PRIMARIES.flatMap((primary) => [
  { primary, connections: 'shared' as const, version: Version.V4 },
  { primary, connections: 'shared' as const, version: Version.V5 },
  { primary, connections: 'per_client' as const, version: Version.V4 },
])

describe.each(COMBINATIONS)('primary $primary, $connections, v$version', (combination) => {
  const { primary, connections, version } = combination
  test.each(KINDS)('%s', async (kind) => {
    const rig = await startPlane({
      settings: { primaryCluster: primary, upstreamConnections: connections },
    })
    const driver = await rig.client(version)
    const { id } = await driver.prepare(WRITE)
    const possible =
      kind === 'PREPARE'
        ? [preparedBy(version), ...ANSWERS.filter(({ isError }) => isError)]
        : ANSWERS
    const preferred = kind === 'PREPARE' ? 'origin' : primary === 'ORIGIN' ? 'origin' : 'target'
    const actual: string[] = []
    const wanted: string[] = []
    for (const origin of possible) {
      for (const target of possible) {
        for (const first of ORDERS) {
          const answers = { origin: origin.of('origin'), target: target.of('target') }
          const label = `origin ${origin.name}, target ${target.name}, ${first} first`
          const got = await askBoth(rig, driver, kind, id, answers, first)
          actual.push(`${label}: ${content(got)}`)
          wanted.push(`${label}: ${content(answers[winner(origin, target, preferred)])}`)
        }
      }
    }
    expect(actual).toEqual(wanted)
    await rig.idle()
    expect(rig.series().upstreamConnectionsLost).toEqual({ origin: 0, target: 0 })
  })
})

describe('one cluster only', () => {
  test.each(PRIMARIES)(
    'the answer of the primary %s is relayed, whatever it is',
    async (primary) => {
      const rig = await startPlane({ settings: { primaryCluster: primary } })
      const driver = await rig.client()
      const key = primary === 'ORIGIN' ? 'origin' : 'target'
      const actual: string[] = []
      for (const scripted of ANSWERS) {
        const rule = rig[key].on({ opcode: Opcode.QUERY }, respond(scripted.of(key)))
        actual.push(`${scripted.name}: ${content(await driver.query('SELECT * FROM ks.t'))}`)
        rig[key].off(rule)
      }
      expect(actual).toEqual(ANSWERS.map((each) => `${each.name}: ${content(each.of(key))}`))
      await rig.idle()
    },
  )
})

describe('what is counted', () => {
  const CASES = [
    { origin: VOID, target: VOID, failed: { origin: 0, target: 0, both: 0 } },
    { origin: ERROR_WITH_WARNINGS, target: VOID, failed: { origin: 1, target: 0, both: 0 } },
    { origin: VOID, target: CUT_OFF_ERROR, failed: { origin: 0, target: 1, both: 0 } },
    { origin: ERROR_WITH_WARNINGS, target: VOID, failed: { origin: 1, target: 0, both: 0 } },
    { origin: CUT_OFF_ERROR, target: CUT_OFF_ERROR, failed: { origin: 0, target: 0, both: 1 } },
  ]
  test.each(CASES)('$origin.name on origin, $target.name on target', async (each) => {
    const rig = await startPlane()
    const driver = await rig.client()
    const answers = { origin: each.origin.of('origin'), target: each.target.of('target') }
    await askBoth(rig, driver, 'QUERY', Buffer.alloc(0), answers, 'origin')
    const { failedWrites, inflight, requestDuration } = rig.series()
    expect({ failedWrites, inflight, writes: requestDuration.writes.count }).toEqual({
      failedWrites: each.failed,
      inflight: { readsOrigin: 0, readsTarget: 0, writes: 0 },
      writes: 1,
    })
  })
})

test('tracing and the custom payload of a request reach both clusters; the primary’s tracing id comes back', async () => {
  const rig = await startPlane({ settings: { primaryCluster: 'TARGET' } })
  const driver = await rig.client()
  const payload = new BodyWriter().writeShort(1).writeString('key').writeBytes(Buffer.from('value'))
  const body = Buffer.concat([payload.toBytes(), queryBody(4, WRITE)])
  const flags = EnvelopeFlag.CUSTOM_PAYLOAD | EnvelopeFlag.TRACING
  rig.target.on({ opcode: Opcode.QUERY }, respond(decorated('target', voidAnswer())))
  rig.origin.on({ opcode: Opcode.QUERY }, proceed())
  const answer = await driver.request(Opcode.QUERY, body, { flags })
  expect(content(answer)).toBe(content(decorated('target', voidAnswer())))
  for (const { received } of [rig.origin, rig.target]) {
    const request = received.at(-1)!
    expect(request.flags).toBe(flags)
    expect(Buffer.from(request.customPayload!.get('key')!).toString()).toBe('value')
    expect(request.envelope.body.toString('hex')).toBe(body.toString('hex'))
  }
})
