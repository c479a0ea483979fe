/** Puts together what rewrites the requests of one data plane, by its settings. */
import { randomFillSync } from 'node:crypto'
import type { SessionContext } from '../session/context.ts'
import { FunctionReplacement, type ReplacementContext } from '../session/function-replacement.ts'
import { RequestIds } from '../session/request-ids.ts'
import { RequestRewriter } from '../session/request-rewriter.ts'
import { SharedRateLimit } from '../session/shared-rate-limit.ts'
import { UnreplacedFunctions } from '../session/unreplaced-functions.ts'
import { WriteClock } from '../session/write-clock.ts'
import type { SharedState } from '../shared-state.ts'
import { FunctionValues } from '../statement/function-values.ts'
import { cqlFunction } from '../statement/functions.ts'

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
