/**
 * Why instances refused a change, in a sentence: what several of them say alike is said once. The checks
 * are named, and have their reasons where the report lists them. Pure.
 */
import { messageOf } from '../message-of.ts'
import { ControlErrorCode } from './errors.ts'
import type { CheckResult } from './report.ts'

export type Refusal = { readonly name: string; readonly error: unknown }

/** Whether its checks refused it. */
export const isCheckFailure = (
  error: unknown,
): error is { readonly checks: readonly CheckResult[] } =>
  error instanceof Error &&
  'code' in error &&
  error.code === ControlErrorCode.CHECKS_FAILED &&
  'checks' in error

/** The checks that refused it, or what went wrong. */
const whyOf = (error: unknown): { readonly isRefused: boolean; readonly text: string } => {
  if (!isCheckFailure(error)) return { isRefused: false, text: messageOf(error) }
  const failed = error.checks.filter(({ outcome }) => outcome === 'fail')
  return { isRefused: true, text: failed.map(({ id }) => id).join(', ') }
}

/** `asked`: how many instances were asked, those that agreed included. */
export const describeRefusals = (refusals: readonly Refusal[], asked: number): string => {
  const groups = Map.groupBy(refusals, ({ error }) => JSON.stringify(whyOf(error)))
  return [...groups.values()]
    .map((alike) => {
      const { isRefused, text } = whyOf(alike[0]!.error)
      const names = alike.map(({ name }) => name).join(', ')
      const who = alike.length === asked ? `all ${asked}` : names
      if (asked === 1) return isRefused ? `refused: ${text}` : text
      return isRefused ? `refused by ${who}: ${text}` : `${who}: ${text}`
    })
    .join('. ')
}
