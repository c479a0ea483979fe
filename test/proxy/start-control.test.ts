/** What the start says of the files that changes are written to: with the first change it would be late. */
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createLogger } from '../../src/log.ts'
import { startTestControl } from '../support/controlled.ts'
import { settingsFor, startRig } from '../support/instance.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test('files that cannot be written are told at the start, and by the status and every plan', async () => {
  const rig = await startRig()
  const nowhere = join(temporaryDirectory(), 'nowhere')
  const lines: { code: string; level: string; msg: string }[] = []
  const sink = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const settings = {
    ...settingsFor(rig.origin, rig.target),
    routingStatePath: join(nowhere, 'state.json'),
    auditLogPath: join(nowhere, 'audit.jsonl'),
  }
  const log = createLogger({ level: 'warn', clock: systemClock, sink })
  const control = startTestControl(settings, rig.instance, undefined, undefined, log)
  await vi.waitFor(() => expect(lines.map(({ code }) => code)).toContain('AUDIT_NOT_WRITTEN'))
  const [state, audit] = ['STATE_NOT_WRITTEN', 'AUDIT_NOT_WRITTEN'].map((wanted) =>
    lines.find(({ code }) => code === wanted),
  )
  expect(state).toMatchObject({ level: 'warn', msg: expect.stringContaining('another path') })
  expect(state!.msg).toContain(`${settings.routingStatePath} (routing_state_path) cannot be`)
  expect(audit!.msg).toContain(
    `${settings.auditLogPath} (audit_log_path) cannot be written: ENOENT`,
  )
  const { unwritable, auditFault, stateFault } = await control.status()
  expect(unwritable).toEqual({
    stateFile: expect.stringContaining('ENOENT'),
    auditLog: expect.stringContaining('ENOENT'),
  })
  // Nothing has been tried yet.
  expect({ auditFault, stateFault }).toEqual({ auditFault: null, stateFault: null })
})
