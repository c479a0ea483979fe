import { expect, test } from 'vitest'
import { exportLine } from '../../demo/keep.ts'
import { commandLine } from '../../demo/operator.ts'

test('a command is shown as one types it', () => {
  expect(commandLine(['rollback', '--reason', 'to show the way back'])).toBe(
    "zdm rollback --reason 'to show the way back'",
  )
})

test('and so is what tells it where the proxies are', () => {
  const place = { addresses: ['127.0.1.1'], port: 1, httpPort: 2, adminPort: 4003 }
  expect(exportLine(place)).toBe('export ZDM_ADMIN_ADDRESS=127.0.1.1 ZDM_ADMIN_PORT=4003')
})
