import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { OPERATIONS } from '../../src/admin/api-operations.ts'
import { SCHEMAS } from '../../src/admin/api-schemas.ts'
import { openApiDocument, openApiPath } from '../../src/admin/openapi.ts'

const OPENING =
  '# Rendered from src/admin/; `npx vitest run --project unit test/admin/openapi.test.ts -u` renders it again.\n'

// After a change of the API: vitest run --project unit test/admin/openapi.test.ts -u
test('docs/admin-api.yaml is what the tables of operations and schemas say', async () => {
  // Anchors would be shorter and read worse.
  const text = stringify(openApiDocument('1'), { lineWidth: 120, aliasDuplicateObjects: false })
  await expect(OPENING + text).toMatchFileSnapshot('../../docs/admin-api.yaml')
})

const references = (value: unknown): string[] => {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) =>
    name === '$ref' && typeof member === 'string' ? [member] : references(member),
  )
}

describe('the document', () => {
  const text = JSON.stringify(openApiDocument('1'))
  test('has every operation once', () => {
    const document: { paths: Record<string, Record<string, { operationId: string }>> } =
      JSON.parse(text)
    const found = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, { operationId }]) => `${operationId} ${method} ${path}`,
      ),
    )
    const wanted = Object.entries(OPERATIONS).map(
      ([id, { method, path }]) => `${id} ${method.toLowerCase()} ${openApiPath(path)}`,
    )
    expect(found.sort()).toEqual(wanted.sort())
  })

  test('refers to nothing that it does not have, and has nothing that nobody refers to', () => {
    const referred = new Set(references(JSON.parse(text)))
    const known = Object.keys(SCHEMAS).map((name) => `#/components/schemas/${name}`)
    expect([...referred].sort()).toEqual(known.sort())
  })
})
