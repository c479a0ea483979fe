import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CHECKS } from '../../src/control/phase.ts'
import { renderPhaseTable } from '../../src/control/phase-table.ts'

const document = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')

test('docs/operations.md has the table of phases as the code has it', () => {
  const table = /<!-- phases: .*? -->\n(.*?)<!-- end of phases -->/s.exec(document)?.[1]
  expect(table).toBe(renderPhaseTable())
})

test.each(CHECKS)('docs/operations.md says when %s passes', (check) => {
  const rows = document.split('\n').filter((line) => line.startsWith('| '))
  expect(rows.some((row) => row.split('|')[1]!.includes(check))).toBe(true)
})
