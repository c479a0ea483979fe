/** The header `traceparent` of W3C Trace Context, which a client may put into a request's custom payload. */

export type TraceParent = {
  readonly traceId: string
  readonly spanId: string
  /** The client has decided for all who take part in its trace. */
  readonly isSampled: boolean
}

const FORM =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const VERSION_0 = '00'
const SAMPLED = 0x01

/** Null where the text is none; fields that later versions may append are not looked at. */
export const parseTraceParent = (text: string): TraceParent | null => {
  const [, traceId, spanId, flags, more] = FORM.exec(text) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return null
  if (more !== undefined && text.startsWith(VERSION_0)) return null
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 }
}
