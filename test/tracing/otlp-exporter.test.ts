import type { ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { createLogger } from '../../src/log.ts'
import { OtlpExporter, QUEUE_MAX } from '../../src/tracing/otlp-exporter.ts'
import type { TracedRequest } from '../../src/tracing/traced-request.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startCollector } from '../support/trace-collector.ts'

const traced = (spanId: string): TracedRequest => ({
  traceId: 'a'.repeat(32),
  spanId,
  parentSpanId: '',
  client: '10.0.0.1:1',
  opcode: 'QUERY',
  operation: 'SELECT',
  keyspace: null,
  requestId: null,
  startMs: 1,
  endMs: 2,
  error: null,
  legs: [],
})

const several = (count: number): TracedRequest[] =>
  Array.from({ length: count }, (_, i) => traced(String(i).padStart(16, '0')))

const start = (endpoint: string) => {
  const clock = new FakeClock()
  const log: { code: string; msg: string }[] = []
  const sink = { write: (line: string): void => void log.push(JSON.parse(line)) }
  const exporter = new OtlpExporter({
    endpoint,
    resource: { version: '1', instance: 'a' },
    clock,
    log: createLogger({ level: 'info', clock, sink }),
  })
  return { clock, exporter, log }
}

describe('the exporter', () => {
  test('posts what has come within a second, as JSON to the path that was given', async () => {
    const collector = await startCollector()
    const { clock, exporter } = start(collector.endpoint)
    exporter.add(several(2))
    exporter.add([traced('f'.repeat(16))])
    expect(collector.requests).toEqual([])
    clock.advance(1000)
    await expect.poll(() => exporter.series().exported).toBe(3)
    expect(collector.requests.map(({ path, type }) => [path, type])).toEqual([
      ['POST /v1/traces', 'application/json'],
    ])
    expect(collector.spans.map(({ spanId }) => spanId)).toHaveLength(3)
  })

  test('sends long queues in several batches, and what is beyond the queue is dropped', async () => {
    const collector = await startCollector()
    const { clock, exporter } = start(collector.endpoint)
    exporter.add(several(QUEUE_MAX + 10))
    exporter.add(several(5))
    clock.advance(1000)
    await expect.poll(() => exporter.series().exported).toBe(QUEUE_MAX)
    expect(exporter.series()).toEqual({ exported: QUEUE_MAX, queueFull: 15, exportFailed: 0 })
    expect(collector.requests).toHaveLength(QUEUE_MAX / 256)
  })

  const status =
    (code: number) =>
    (response: ServerResponse): void =>
      void response.writeHead(code).end()

  test.each([
    ['answers 503', status(503), 'answered 503'],
    ['redirects', status(302), ''],
    ['hangs up', (response: ServerResponse) => void response.destroy(), ''],
  ])('a collector that %s costs the batch, one line, and nothing else', async (_, answer, why) => {
    const collector = await startCollector(answer)
    const { clock, exporter, log } = start(collector.endpoint)
    for (let round = 1; round <= 2; round++) {
      exporter.add(several(2))
      clock.advance(1000)
      await expect.poll(() => exporter.series().exportFailed).toBe(2 * round)
      // The next round is its own: what has ended schedules nothing.
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(log.map(({ code }) => code)).toEqual(['TRACES_NOT_EXPORTED'])
    expect(log[0]!.msg).toContain(why)
    expect(exporter.series().exported).toBe(0)
  })

  test('spans that the collector rejects are not exported', async () => {
    const rejecting = '{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no"}}'
    const collector = await startCollector((response) => void response.end(rejecting))
    const { clock, exporter } = start(collector.endpoint)
    exporter.add(several(5))
    clock.advance(1000)
    await expect.poll(() => exporter.series().exported).toBe(3)
    expect(exporter.series().exportFailed).toBe(2)
  })

  test('sends the rest when it is closed', async () => {
    const collector = await startCollector()
    const { exporter } = start(collector.endpoint)
    exporter.add(several(3))
    await exporter.close(1000)
    expect(collector.spans).toHaveLength(3)
  })

  test('leaves no timer, also where a batch under way fails while it is closed', async () => {
    const held: ServerResponse[] = []
    const collector = await startCollector((response) => {
      if (held.push(response) > 1) status(503)(response)
    })
    const { clock, exporter } = start(collector.endpoint)
    exporter.add(several(300))
    clock.advance(1000)
    await expect.poll(() => held.length).toBe(1)
    const closed = exporter.close(1000)
    status(503)(held[0]!)
    await closed
    expect(collector.requests).toHaveLength(2)
    expect(exporter.series().exportFailed).toBe(300)
    expect(clock.pendingTimers).toBe(0)
  })

  test('does not wait at its close longer than it is allowed to', async () => {
    const collector = await startCollector(() => undefined)
    const { clock, exporter } = start(collector.endpoint)
    exporter.add(several(300))
    const closed = exporter.close(1000)
    await expect.poll(() => collector.requests.length).toBe(1)
    clock.advance(1000)
    await closed
    expect(exporter.series()).toEqual({ exported: 0, queueFull: 0, exportFailed: 300 })
  })
})
