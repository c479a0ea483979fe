/** Entries of the audit log as lines: what was to change, by whom, why, and why it was not done. Pure. */
import type { MigrationState } from '../control/migration-state.ts'
import type { AuditEntry } from '../control/report.ts'
import { type Style, table } from './style.ts'

const difference = (name: string, from: string, to: string): string[] =>
  from === to ? [] : [`${name}${from} → ${to}`]

/** `dual-read → target-reads, reads ORIGIN → TARGET`; what stayed is left out. */
const changed = (from: MigrationState | null, to: MigrationState | null): string => {
  if (from === null || to === null) return ''
  const [before, after] = [from.routing, to.routing]
  const all = [
    ...difference('', from.phase, to.phase),
    ...difference('reads ', before.primary, after.primary),
    ...difference('read mode ', before.readMode, after.readMode),
    ...difference('writes ', before.writeMode, after.writeMode),
  ]
  return all.length === 0 ? `stays in ${to.phase}` : all.join(', ')
}

/** A change that was done has its states; of the others the text says why. */
const isTold = ({ event, message, reason }: AuditEntry): boolean =>
  message !== '' && message !== reason && event !== 'begun' && event !== 'committed'

export const renderAudit = (entries: readonly AuditEntry[], style: Style): string[] => {
  if (entries.length === 0) return ['Nothing has been changed yet.']
  const rows = table(
    entries.map((entry) => [
      entry.at,
      entry.event + (entry.isForced ? ' (forced)' : ''),
      entry.verb ?? '',
      entry.event === 'reconciled' ? '' : changed(entry.from, entry.to),
      `${entry.by || 'unknown'} via ${entry.via}`,
      entry.reason,
    ]),
  )
  return rows.flatMap((line, at) => {
    const entry = entries[at]!
    return isTold(entry) ? [line, style.dim(`    ${entry.message}`)] : [line]
  })
}
