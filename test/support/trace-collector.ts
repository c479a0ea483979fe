/** An OTLP/HTTP collector that keeps what it gets, and answers as it is told. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterTest } from './after-test.ts'

export type ReceivedSpan = {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly status: { readonly code?: number }
  /** By key; numbers as text. */
  readonly attributes: Readonly<Record<string, string>>
}

type Attribute = { key: string; value: { stringValue?: string; intValue?: string } }
type Body = {
  resourceSpans: { scopeSpans: { spans: (ReceivedSpan & { attributes: Attribute[] })[] }[] }[]
}

export const startCollector = async (
  answer: (response: ServerResponse) => void = (response) => void response.end('{}'),
) => {
  const spans: ReceivedSpan[] = []
  const requests: { readonly path: string; readonly type: string; readonly body: string }[] = []
  const server = createServer(async (request, response) => {
    const body = await text(request)
    requests.push({
      path: `${request.method} ${request.url}`,
      type: request.headers['content-type'] ?? '',
      body,
    })
    const parsed = JSON.parse(body) as Body
    for (const span of parsed.resourceSpans.flatMap((one) => one.scopeSpans[0]!.spans)) {
      const pairs = span.attributes.map(({ key, value }) => [
        key,
        value.stringValue ?? value.intValue!,
      ])
      spans.push({ ...span, attributes: Object.fromEntries(pairs) })
    }
    answer(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterTest(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { endpoint: `http://127.0.0.1:${port}/v1/traces`, spans, requests }
}
