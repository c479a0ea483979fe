/** Puts together what rewrites and traces the requests of one data plane, by its settings. */
import { randomFillSync } from 'node:crypto'
import type { SessionContext } from '../session/context.ts'
import { FunctionReplacement, type ReplacementContext } from '../session/function-replacement.ts'
import { RequestIds } from '../session/request-ids.ts'
import { RequestRewriter } from '../session/request-rewriter.ts'
import { RequestSpans } from '../session/request-spans.ts'
import { SharedRateLimit } from '../session/shared-rate-limit.ts'
import { UnreplacedFunctions } from '../session/unreplaced-functions.ts'
import { WriteClock } from '../session/write-clock.ts'
import { FunctionValues } from '../statement/function-values.ts'
import { cqlFunction } from '../statement/functions.ts'
import type { TracedRequest } from '../tracing/traced-request.ts'
import type { SharedState } from './shared-state.ts'

/**
 * Function calls become values, the same on both clusters. Always there: spans and request ids take values from
 * it.
 */
export const makeReplacement = (
  { settings, metrics, log }: Pick<SessionContext, 'settings' | 'metrics' | 'log'>,
  shared: SharedState,
): FunctionReplacement => {
  const context: ReplacementContext = {
    functions: new Set(settings.replacedFunctions),
    values: new FunctionValues((bytes) => randomFillSync(bytes)),
    unreplaced: new UnreplacedFunctions(shared.reportedShapes, metrics, log),
    onReplaced: (calls) => {
      metrics.functionsReplaced += calls
    },
  }
  return new FunctionReplacement(context)
}

/** Requests that must not go out as they came: replaced functions, unified write times. */
export const makeRewriter = (
  context: Pick<SessionContext, 'settings' | 'metrics' | 'clock' | 'prepared' | 'replacement'>,
  shared: SharedState,
): RequestRewriter => {
  const { settings, metrics, clock, prepared, replacement } = context
  return new RequestRewriter({
    replacement,
    prepared,
    writeClock: settings.unifiesWriteTimestamps ? new WriteClock(shared.writeClock) : null,
    wallMs: () => clock.wallMs(),
    onTimestampSet: () => {
      metrics.writeTimestampsSet++
    },
  })
}

/** Ids in the payload of requests, at most so many a second in the whole process. */
export const makeRequestIds = (
  {
    settings,
    clock,
    log,
    replacement,
  }: Pick<SessionContext, 'settings' | 'clock' | 'log' | 'replacement'>,
  shared: SharedState,
): RequestIds => {
  const { isEnabled, key, perSecondMax } = settings.tracing
  const limit = perSecondMax === 0 ? null : new SharedRateLimit(shared.tracingLimit, perSecondMax)
  return new RequestIds({
    isEnabled,
    key,
    log,
    admits: () => limit === null || limit.admits(clock.wallMs()),
    next: () => replacement.values.next(cqlFunction('uuid'), clock.wallMs()),
  })
}

/** Null where spans are not exported. */
export const makeSpans = (
  {
    settings,
    clock,
    turn,
    requests,
    keyspaceRequests,
    metrics,
  }: Pick<
    SessionContext,
    'settings' | 'clock' | 'turn' | 'requests' | 'keyspaceRequests' | 'metrics'
  >,
  send: (requests: readonly TracedRequest[]) => void = () => undefined,
): RequestSpans | null => {
  const { exportsSpans, samplePercent, key } = settings.tracing
  if (!exportsSpans) return null
  return new RequestSpans({
    requests,
    keyspaces: keyspaceRequests,
    turn,
    clock,
    requestIdKey: key,
    samplePercent,
    send,
    onDropped: (spans) => {
      metrics.spansDropped += spans
    },
  })
}
