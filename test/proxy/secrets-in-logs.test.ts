/**
 * No password and no value of an application in any line of the log, whatever its level: traffic with
 * marked secrets of every kind, good and bad, and every line searched.
 */
import { expect, test } from 'vitest'
import { ErrorCode, Opcode } from '../../src/cql/protocol.ts'
import { createLogger } from '../../src/log.ts'
import { logLevelsOf } from '../../src/log-levels.ts'
import { passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import { closeSocket, forgetPrepared, respondError } from '../support/fake-cluster/script.ts'
import { startRig } from '../support/instance.ts'
import { eventually } from '../support/plane.ts'

const SECRETS = [
  'sEcReT-origin',
  'sEcReT-target',
  'sEcReT-wrong',
  'sEcReT-mapped',
  'vAlUe-bound',
  'vAlUe-literal',
  'vAlUe-batch',
]

test('a log at TRACE holds no secret and no value', async () => {
  const { instance, origin, target, connect, log } = await startRig({
    origin: { authenticator: passwordAuthenticator('o', 'sEcReT-origin') },
    target: { authenticator: passwordAuthenticator('t', 'sEcReT-target') },
    settings: {
      originUsername: 'o',
      originPassword: 'sEcReT-origin',
      targetUsername: 't',
      targetPassword: 'sEcReT-target',
      credentialsMap: 'users:\n  t: { username: o, password: sEcReT-origin }',
    },
  })
  instance.setLogLevels(logLevelsOf('TRACE', []))
  const credentials = { username: 't', password: 'sEcReT-target' }
  const wrong = await connect({ version: 4 })
  await wrong.handshake({ credentials: { username: 't', password: 'sEcReT-wrong' } })
  const client = await connect({ version: 4 })
  await client.handshake({ credentials })
  const write = "INSERT INTO ks.t (k, v) VALUES ('vAlUe-literal', ?)"
  const prepared = await client.prepare(write)
  await client.execute(prepared, { values: ['vAlUe-bound'] })
  target.on({ opcode: Opcode.EXECUTE, times: 1 }, forgetPrepared())
  await client.execute(prepared, { values: ['vAlUe-bound'] })
  await client.query(write, { values: ['vAlUe-bound'] })
  await client.batch([{ text: "INSERT INTO ks.t (k) VALUES ('vAlUe-batch')" }])
  origin.on({ opcode: Opcode.QUERY, text: /vAlUe/, times: 1 }, respondError(ErrorCode.INVALID))
  await client.query(write, { values: ['vAlUe-bound'] })
  origin.on({ opcode: Opcode.QUERY, text: /vAlUe/, times: 1 }, closeSocket())
  await client.query(write, { values: ['vAlUe-bound'] })
  const credentialsMap = 'users:\n  t: { username: o, password: sEcReT-mapped }'
  instance.reconfigure({ ...instance.settings, credentialsMap })
  const mapped = await connect({ version: 4 })
  await mapped.handshake({ credentials })
  instance.reconfigure({ ...instance.settings, originPassword: 'sEcReT-wrong', credentialsMap: '' })
  const late = await connect({ version: 4 })
  await late.handshake({ credentials })
  late.sendRaw(Buffer.from('vAlUe-bound, and no envelope'))
  await late.closed
  await eventually(() => log.some(({ code }) => code === 'CLIENT_DISCONNECTED'))

  const text = log.map((line) => JSON.stringify(line)).join('\n')
  for (const code of [
    'CLIENT_READY',
    'CLUSTER_AUTHENTICATION',
    'UPSTREAM_LOST',
    'STATEMENT_HEALED',
  ]) {
    expect(text).toContain(`"${code}"`)
  }
  for (const secret of SECRETS) expect(text).not.toContain(secret)
})

/** Cassandra quotes the value that it cannot take. */
const QUOTING = respondError(ErrorCode.INVALID, 'Invalid STRING constant (vAlUe-bound) for "v"')

test('nor what nodes quote in their errors, with tracing, mirrored reads and functions', async () => {
  const { instance, origin, target, client, log } = await startRig({
    settings: {
      readMode: 'DUAL_ASYNC_ON_SECONDARY',
      compareAsyncReads: true,
      compareAsyncReadsRecheckMs: 0,
      tracingEnabled: true,
    },
  })
  instance.setLogLevels(logLevelsOf('TRACE', []))
  const driver = await client()
  const prepared = await driver.prepare("UPDATE ks.t SET v = ? WHERE k = 'vAlUe-literal'")
  for (const cluster of [origin, target]) {
    cluster.on({ opcode: Opcode.EXECUTE, times: 1 }, QUOTING)
    await driver.execute(prepared, { values: ['vAlUe-bound'] })
    cluster.on({ opcode: Opcode.EXECUTE, times: 1 }, forgetPrepared())
    cluster.on({ opcode: Opcode.PREPARE, times: 1 }, QUOTING)
    await driver.execute(prepared, { values: ['vAlUe-bound'] })
  }
  await driver.query("INSERT INTO ks.t (k, v) VALUES ('vAlUe-literal', now())")
  target.on({ opcode: Opcode.QUERY, text: /SELECT/, times: 1 }, QUOTING)
  await driver.query("SELECT * FROM ks.t WHERE k = 'vAlUe-literal'")
  await driver.query("SELECT * FROM ks.t WHERE k = 'vAlUe-literal' AND c = ?", {
    values: ['vAlUe-bound'],
  })
  await eventually(() => log.some(({ code }) => code === 'READ_MISMATCH'))
  const text = log.map((line) => JSON.stringify(line)).join('\n')
  for (const code of ['FUNCTION_NOT_REPLACED', 'TRACED_REQUEST']) {
    expect(text).toContain(`"${code}"`)
  }
  for (const secret of SECRETS) expect(text).not.toContain(secret)
})

test('fields of an error or an event that hold secrets are hidden', () => {
  const lines: string[] = []
  const clock = { now: () => 0, wallMs: () => 0 }
  const log = createLogger({
    level: 'trace',
    clock: { ...clock } as never,
    sink: { write: (line) => lines.push(line) },
  })
  log.info({ code: 'A', password: 'sEcReT', settings: { originPassword: 'sEcReT' } }, 'x')
  expect(lines.join('')).not.toContain('sEcReT')
})
