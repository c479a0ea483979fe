import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { StatusLine } from '../../clusters/status-line.ts'
import { formatCount, formatMs, LiveReport, renderInterval } from '../../demo/live-line.ts'
import type { Histogram } from '../../demo/metrics-scrape.ts'
import { recordOutput } from '../clusters/status-output.ts'

const around = (leSeconds: number): Histogram => ({
  count: 100,
  sumSeconds: 100 * leSeconds,
  buckets: [
    { leSeconds, count: 100 },
    { leSeconds: Number.POSITIVE_INFINITY, count: 100 },
  ],
})

describe('numbers for a person', () => {
  test.each([
    [0, '0'],
    [999, '999'],
    [1000, '1,000'],
    [1234.6, '1,235'],
    [1_234_567, '1,234,567'],
  ])('%d requests are %s', (count, text) => {
    expect(formatCount(count)).toBe(text)
  })

  test.each([
    [undefined, '–'],
    [0.00042, '0.4'],
    [0.0099, '9.9'],
    [0.0123, '12'],
  ])('%d seconds are %s ms', (seconds, text) => {
    expect(formatMs(seconds)).toBe(text)
  })
})

describe('the live line', () => {
  test('shows the rate over the interval and the latency of each cluster', () => {
    const text = renderInterval({
      elapsedMs: 7040,
      durationMs: 2000,
      requests: 4690,
      latencies: { origin: around(0.002), target: around(0.004) },
    })
    expect(text).toBe(
      '  7 s   2,345 requests/s  Origin 1.0 ms, p99 2.0 ms  Target 2.0 ms, p99 4.0 ms',
    )
  })

  test('fits a terminal of 80 columns', () => {
    const text = renderInterval({
      elapsedMs: 120_000,
      durationMs: 1000,
      requests: 99_999,
      latencies: { origin: around(0.0099), target: around(0.0099) },
    })
    expect(text.length).toBeLessThan(80)
  })

  test('without requests there is no latency', () => {
    const nothing = { count: 0, sumSeconds: 0, buckets: [] }
    const latencies = { origin: nothing, target: nothing }
    const text = renderInterval({ elapsedMs: 1000, durationMs: 1000, requests: 0, latencies })
    expect(text).toBe('  1 s       0 requests/s  Origin – ms, p99 – ms  Target – ms, p99 – ms')
  })
})

describe('the live report', () => {
  let scraped = 0
  const server = createServer((_request, response) => {
    scraped += 1
    const series = (name: string) => `zdm_${name}_request_duration_seconds_count{} ${scraped}\n`
    response.end(series('origin') + series('target'))
  })

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    await new Promise<void>((resolve) => {
      server.listen({ host: '127.0.0.1', port: 0 }, resolve)
    })
  })

  afterEach(() => {
    vi.useRealTimers()
    server.closeAllConnections()
    server.close()
  })

  test.each([
    { where: 'a terminal', isTerminal: true, intervalMs: 1000, shown: /^\r.*requests\/s.*Origin/ },
    { where: 'a file', isTerminal: false, intervalMs: 10_000, shown: /^ .*requests\/s.*\n$/ },
  ])('tells what changed on $where every $intervalMs ms', async (row) => {
    const output = recordOutput({ isTerminal: row.isTerminal })
    const { address, port } = server.address() as AddressInfo
    const metrics = [{ address, port }]
    const countRequests = () => 10
    const report = await LiveReport.start({ line: new StatusLine(output), metrics, countRequests })
    vi.advanceTimersByTime(row.intervalMs - 1)
    expect(output.written).toEqual([])
    vi.advanceTimersByTime(1)
    await expect.poll(() => output.written).toHaveLength(1)
    expect(output.written[0]).toMatch(row.shown)
    report.stop()
    const scrapedAtStop = scraped
    vi.advanceTimersByTime(10_000)
    expect(scraped).toBe(scrapedAtStop)
  })
})
