/**
 * PREPARE of a write whose non-deterministic functions become variables that the proxy binds
 * (request-path §3.4). Where a cluster does not take the changed text nothing is lost: the client's own
 * is prepared instead, with the clusters' own answers to it.
 */
import { OPCODE_OFFSET } from '../cql/envelope.ts'
import { answerReader, readPrepared } from '../cql/messages/answer.ts'
import { ErrorCode, Opcode, type VersionTraits } from '../cql/protocol.ts'
import { readPreparedIds } from '../prepared/prepared-ids.ts'
import type { SharedStatement } from '../prepared/statement.ts'
import { StatementClass } from '../statement/classify.ts'
import { writeTimestampOf } from '../statement/write-timestamp.ts'
import {
  clientPrepared,
  clientStatementId,
  isAsPlanned,
  type PreparePlan,
} from './function-replacement.ts'

export type ReplacedPrepare = {
  readonly plan: PreparePlan
  /** As the client wrote it. */
  readonly text: Uint8Array
  readonly keyspace: string | null
  readonly traits: VersionTraits
}

/**
 * The answer for the client where both clusters have prepared the changed text as it was meant, and the
 * statement to remember; null where the client's own text is to be prepared.
 */
export const replacedStatement = (
  { plan, text, keyspace, traits }: ReplacedPrepare,
  answers: readonly [Uint8Array, Uint8Array],
): { readonly answer: Uint8Array; readonly statement: SharedStatement } | null => {
  const origin = readPrepared(answers[0], traits)
  const target = readPrepared(answers[1], traits)
  const originIds = readPreparedIds(answers[0], traits)
  const targetIds = readPreparedIds(answers[1], traits)
  if (origin === null || target === null || originIds === null || targetIds === null) return null
  if (!isAsPlanned(plan, origin.variables) || !isAsPlanned(plan, target.variables)) return null
  const id = clientStatementId(origin.statementId, text)
  return {
    answer: clientPrepared(answers[0], origin, id, plan.variables, traits),
    statement: {
      id,
      ids: [originIds.statementId, targetIds.statementId],
      columnDigests: [originIds.columnsDigest, targetIds.columnsDigest],
      statementClass: StatementClass.WRITE,
      text: plan.text,
      keyspace,
      rewrite: {
        generated: plan.variables,
        names: origin.variables.columns.map(({ name }) => name),
        writeTimestamp: writeTimestampOf(text, 0, text.length),
      },
    },
  }
}

/** Whether a cluster says that the statement itself is wrong. */
export const refusesStatement = (envelope: Uint8Array): boolean => {
  if (envelope[OPCODE_OFFSET] !== Opcode.ERROR) return false
  const code = answerReader(envelope).readInt('error code')
  return code === ErrorCode.INVALID || code === ErrorCode.SYNTAX_ERROR
}
