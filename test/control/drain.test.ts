/** An instance may leave where another one takes its clients. */
import { expect, test } from 'vitest'
import type { Seen } from '../../src/control/deployment.ts'
import { requireAnother } from '../../src/control/drain.ts'
import type { InstanceStatus } from '../../src/control/report.ts'
import { statusOf } from '../cli/answers.ts'

const seen = (overrides: Partial<InstanceStatus> | null): Seen => ({
  name: 'b',
  status: overrides && statusOf({ name: 'b', ...overrides }),
  error: overrides === null ? 'connection refused' : null,
  config: null,
})
const GOOD = seen({})

test.each([
  ['one serves', [GOOD]],
  ['one of several serves', [seen(null), GOOD]],
])('it may where %s', (_, others) => {
  expect(() => requireAnother(others)).not.toThrow()
})

test.each([
  ['there is none', [], 'serve clients: start'],
  ['the other is gone', [seen(null)], 'b: connection refused'],
  ['the other leaves too', [seen({ serving: 'draining' })], 'b: draining'],
  ['the other is stuck', [seen({ serving: 'stuck' })], 'b: stuck'],
  ['the other is not ready', [seen({ notReady: 'Target is down' })], 'b: Target is down'],
  ['the other is itself under another name', [seen({ name: 'a' })], 'b: running'],
])('it may not where %s', (_, others, why) => {
  expect(() => requireAnother(others)).toThrow(why)
})
