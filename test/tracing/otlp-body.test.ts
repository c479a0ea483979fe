import { expect, test } from 'vitest'
import { otlpBody } from '../../src/tracing/otlp-body.ts'
import type { TracedRequest } from '../../src/tracing/traced-request.ts'

const REQUEST: TracedRequest = {
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  parentSpanId: '',
  client: '[2001:db8::1]:5000',
  opcode: 'EXECUTE',
  operation: 'INSERT',
  keyspace: 'ks',
  requestId: 'ff01',
  startMs: 1_700_000_000_000.25,
  endMs: 1_700_000_000_003,
  error: '0x1100',
  legs: [
    {
      spanId: 'c'.repeat(16),
      cluster: 'origin',
      node: '10.0.0.1:9042',
      startMs: 1_700_000_000_000.25,
      endMs: 1_700_000_000_001,
      error: null,
    },
    {
      spanId: 'd'.repeat(16),
      cluster: 'target',
      node: '5b9a0a4e-0000-4000-8000-000000000001',
      startMs: 1_700_000_000_000.25,
      endMs: 1_700_000_000_003,
      error: '0x1100',
    },
  ],
}

type Attribute = { key: string; value: { stringValue?: string; intValue?: string } }
type Span = { attributes: Attribute[] } & Record<string, unknown>

const flat = (attributes: readonly Attribute[]) =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]),
  )

const parse = (request: TracedRequest) => {
  const resource = { version: '1.2.3', instance: '10.0.0.9' }
  const { resourceSpans } = JSON.parse(otlpBody([request], resource))
  const [one] = resourceSpans
  return {
    resource: flat(one.resource.attributes),
    spans: (one.scopeSpans[0].spans as Span[]).map((span) => ({
      ...span,
      attributes: flat(span.attributes),
    })),
  }
}

test('a request is a SERVER span, and each question to a node a CLIENT span below it', () => {
  const { resource, spans } = parse(REQUEST)
  expect(resource).toEqual({
    'service.name': 'zdm-proxy',
    'service.version': '1.2.3',
    'service.instance.id': '10.0.0.9',
  })
  const database = {
    'db.system.name': 'cassandra',
    'db.operation.name': 'INSERT',
    'db.namespace': 'ks',
  }
  const failed = { 'db.response.status_code': '0x1100', 'error.type': '0x1100' }
  const status = { code: 2, message: '0x1100' }
  const ids = { traceId: 'a'.repeat(32), startTimeUnixNano: '1700000000000250000' }
  expect(spans).toEqual([
    {
      ...ids,
      spanId: 'b'.repeat(16),
      parentSpanId: '',
      name: 'INSERT ks',
      kind: 2,
      endTimeUnixNano: '1700000000003000000',
      attributes: {
        ...database,
        'client.address': '2001:db8::1',
        'client.port': 5000,
        'zdm.opcode': 'EXECUTE',
        'zdm.request_id': 'ff01',
        ...failed,
      },
      status,
    },
    {
      ...ids,
      spanId: 'c'.repeat(16),
      parentSpanId: 'b'.repeat(16),
      name: 'origin INSERT ks',
      kind: 3,
      endTimeUnixNano: '1700000000001000000',
      attributes: {
        ...database,
        'server.address': '10.0.0.1',
        'server.port': 9042,
        'zdm.cluster': 'origin',
      },
      status: {},
    },
    {
      ...ids,
      spanId: 'd'.repeat(16),
      parentSpanId: 'b'.repeat(16),
      name: 'target INSERT ks',
      kind: 3,
      endTimeUnixNano: '1700000000003000000',
      attributes: {
        ...database,
        'server.address': '5b9a0a4e-0000-4000-8000-000000000001',
        'zdm.cluster': 'target',
        ...failed,
      },
      status,
    },
  ])
})

test('what is not known is left out, and a time-out has no code of the protocol', () => {
  const unknown = { operation: null, keyspace: null, requestId: null, error: 'timeout', legs: [] }
  const { spans } = parse({ ...REQUEST, ...unknown })
  expect(spans[0]).toMatchObject({ name: 'EXECUTE' })
  expect(spans[0]!.attributes).toEqual({
    'db.system.name': 'cassandra',
    'client.address': '2001:db8::1',
    'client.port': 5000,
    'zdm.opcode': 'EXECUTE',
    'error.type': 'timeout',
  })
})
