/**
 * The check of both clusters by an instance that runs: with its settings and its files, from its machine, over
 * connections of the check's own, so that whoever asks needs no credentials. One at a time.
 */
import { countOf, type SchemaFindings } from '../check/both-clusters.ts'
import { preflight } from '../check/preflight.ts'
import type { CheckRow } from '../check/verdict.ts'
import type { Clock } from '../clock.ts'
import { ControlError, ControlErrorCode } from '../control/errors.ts'
import type { LastCheck, SchemaReport } from '../control/report.ts'
import { systemResolve } from '../net/resolve.ts'
import type { ProxyInstance } from './instance.ts'

/** What one answer holds; the counts are of all. */
export const DIFFERENCES_MAX = 500

const reportOf = (findings: SchemaFindings): SchemaReport => {
  const { differences } = findings
  return {
    ...findings,
    errors: countOf(differences, 'error'),
    warnings: countOf(differences, 'warning'),
    notes: countOf(differences, 'note'),
    differences: differences.slice(0, DIFFERENCES_MAX),
  }
}

/** The answer must come before the HTTP server ends a connection without traffic, after 30 s. */
const TIMEOUT_MS = 20_000

export type OwnCheck = {
  readonly rows: readonly CheckRow[]
  readonly schema: SchemaReport | null
}

export class Feasibility {
  readonly #instance: ProxyInstance
  readonly #clock: Clock
  #isBusy = false
  #latest: LastCheck | null = null

  constructor(instance: ProxyInstance, clock: Clock) {
    this.#instance = instance
    this.#clock = clock
  }

  /** Of the checks that compared schemas. */
  get latest(): LastCheck | null {
    return this.#latest
  }

  /** `keyspaces`: none named: all; null: no schemas. Throws CHECK_IN_PROGRESS. */
  async run(keyspaces: readonly string[] | null): Promise<OwnCheck> {
    if (this.#isBusy) {
      throw new ControlError(
        ControlErrorCode.CHECK_IN_PROGRESS,
        'another check is under way; it takes half a minute at most: ask again then',
      )
    }
    this.#isBusy = true
    try {
      const question = {
        keyspaces,
        faultIs: 'fail',
        warnings: null,
        timeoutMs: TIMEOUT_MS,
      } as const
      const tools = { clock: this.#clock, resolve: systemResolve }
      const { rows, schema } = await preflight(this.#instance.settings, question, tools)
      const report = schema === null ? null : reportOf(schema)
      // A name that nobody has says nothing of the clusters.
      if (report !== null && report.keyspaces.length > 0) this.#latest = this.#summary(rows, report)
      return { rows, schema: report }
    } finally {
      this.#isBusy = false
    }
  }

  #summary(rows: readonly CheckRow[], { keyspaces, errors }: SchemaReport): LastCheck {
    // The row of the schemas stands for their differences.
    const failed = rows.filter(({ verdict, name }) => verdict === 'fail' && name !== 'schemas')
    const checkedAt = new Date(this.#clock.wallMs()).toISOString()
    return { checkedAt, keyspaces, faults: failed.length + errors }
  }
}
