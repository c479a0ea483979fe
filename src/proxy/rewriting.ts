/** Puts together what rewrites the writes of one data plane, by its settings. */
import { randomFillSync } from 'node:crypto'
import type { SessionContext } from '../session/context.ts'
import { FunctionReplacement, type ReplacementContext } from '../session/function-replacement.ts'
import { RequestRewriter } from '../session/request-rewriter.ts'
import { UnreplacedFunctions } from '../session/unreplaced-functions.ts'
import { WriteClock } from '../session/write-clock.ts'
import type { SharedState } from '../shared-state.ts'
import { FunctionValues } from '../statement/function-values.ts'

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
