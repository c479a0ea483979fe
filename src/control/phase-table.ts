/** The table of phases in docs/operations.md, from phase.ts. A test holds the document to it. */
import { type EntryCheck, PHASE_TABLE, PHASES, type Phase } from './phase.ts'

const checks = (all: readonly EntryCheck[], severity: EntryCheck['severity']): string =>
  all
    .filter((check) => check.severity === severity)
    .map(({ id }) => id)
    .join(', ') || '–'

const row = (phase: Phase): string => {
  const { meaning, routing, next, entryChecks, wayBack } = PHASE_TABLE[phase]
  const reads =
    routing.readMode === 'PRIMARY_ONLY'
      ? routing.primary
      : `${routing.primary}, copied to the other`
  const cells = [
    `\`${phase}\``,
    meaning,
    reads,
    next.map((to) => `\`${to}\``).join(', ') || '–',
    checks(entryChecks, 'refuse'),
    checks(entryChecks, 'warn'),
    wayBack,
  ]
  return `| ${cells.join(' | ')} |`
}

/** Markdown; writes go to both clusters in every phase. */
export const renderPhaseTable = (): string =>
  [
    '| Phase | What it is | Reads from | `advance` leads to | Refused unless | Warned of | The way back |',
    '|---|---|---|---|---|---|---|',
    ...PHASES.map(row),
    '',
  ].join('\n')
