/**
 * Says so when a write reaches the clusters with a function that each of them evaluates for itself:
 * counted and logged once per statement, in the whole process. Statements that differ in their literals
 * alone are the same here, and only so many are remembered, so that no traffic can fill the log.
 */
import type { Logger } from '../log.ts'
import type { DataPlaneMetrics } from '../metrics/data-plane-metrics.ts'
import { textWithoutLiterals } from '../statement/function-calls.ts'
import type { CqlFunction } from '../statement/functions.ts'

export type UnreplacedReason = keyof DataPlaneMetrics['unreplacedFunctions']

/** Places that are looked at for one shape; behind them the first is overwritten. */
const PROBES = 16
const SHOWN_LENGTH_MAX = 500

const WHY: Readonly<Record<UnreplacedReason, string>> = {
  off: 'its replacement is off (replace_cql_functions, replace_cql_functions_list)',
  collection: 'a prepared statement cannot have a value bound inside a list, set or map literal',
  json: 'it stands in the document of an INSERT JSON',
  refused: 'a cluster did not accept the statement with a bound value in its place',
}

/** One statement may be reported for several reasons. Never 0. */
const shapeFor = (reason: UnreplacedReason, shape: number): number =>
  shape ^ Object.keys(WHY).indexOf(reason) || 1

export class UnreplacedFunctions {
  readonly #shapes: Int32Array
  readonly #metrics: DataPlaneMetrics
  readonly #log: Logger

  /** `shared` is the process's, see shared-state.ts. */
  constructor(shared: SharedArrayBuffer, metrics: DataPlaneMetrics, log: Logger) {
    this.#shapes = new Int32Array(shared)
    this.#metrics = metrics
    this.#log = log
  }

  /** `shape` tells the statement from others, `text` is how it came. */
  report(
    reason: UnreplacedReason,
    functions: readonly CqlFunction[],
    shape: number,
    text: Uint8Array,
  ): void {
    if (!this.#isNew(shapeFor(reason, shape))) return
    this.#metrics.unreplacedFunctions[reason]++
    const names = [...new Set(functions.map(({ name }) => `${name}()`))].join(', ')
    // Literals are an application's data, and no business of a log's.
    const statement = textWithoutLiterals(text).slice(0, SHOWN_LENGTH_MAX)
    this.#log.limited(
      `unreplaced ${reason} ${shape}`,
      'warn',
      { code: 'FUNCTION_NOT_REPLACED', reason, statement },
      `a write calls ${names}, which each cluster evaluates for itself, so that they store different values: ${WHY[reason]}`,
    )
  }

  #isNew(shape: number): boolean {
    const shapes = this.#shapes
    const start = (shape >>> 0) % shapes.length
    for (let i = 0; i < PROBES; i++) {
      const at = (start + i) % shapes.length
      const known = Atomics.compareExchange(shapes, at, 0, shape)
      if (known === 0) return true
      if (known === shape) return false
    }
    Atomics.store(shapes, start, shape)
    return true
  }
}
