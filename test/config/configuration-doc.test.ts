import { expect, test } from 'vitest'
import { renderConfigurationDocument } from '../../src/config/describe-markdown.ts'
import { loadSettings } from '../../src/config/load.ts'
import { DEFINITIONS, environmentName } from '../../src/config/settings.ts'
import { readYaml } from '../../src/config/yaml-file.ts'

const document = renderConfigurationDocument()

// After a change of the table: vitest run --project unit test/config/configuration-doc.test.ts -u
test('docs/configuration.md is what the table of settings says', async () => {
  await expect(document).toMatchFileSnapshot('../../docs/configuration.md')
})

test('every setting has one row with both of its names', () => {
  const rows = document.split('\n').filter((line) => line.startsWith('| `'))
  expect(rows.map((row) => row.split(' | ').slice(0, 2))).toEqual(
    DEFINITIONS.map(({ key }) => [`| \`${key}\``, `\`${environmentName(key)}\``]),
  )
})

test('a row has as many cells as the heading', () => {
  const tables = document.slice(document.indexOf('## Migration')).split('\n')
  const counts = tables.filter((line) => line.startsWith('|')).map((line) => line.split('|').length)
  expect(new Set(counts)).toEqual(new Set([9]))
})

test('the example is a configuration that loads without a warning', () => {
  const text = /```yaml\n(.*?)```/s.exec(document)?.[1] ?? ''
  expect(readYaml('example.yml', text).values.size).toBe(9)
  expect(loadSettings([{ kind: 'file', path: 'example.yml', text }]).warnings).toEqual([])
})
