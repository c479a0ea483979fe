import { describe, expect, test } from 'vitest'
import { changeOf, LIVE_SETTINGS } from '../../src/config/live-settings.ts'
import { camelCase, DEFINITIONS, type Settings, settingsOf } from '../../src/config/settings.ts'

const settings = (changes: Partial<Settings> = {}): Settings => ({
  ...settingsOf(new Map(DEFINITIONS.map(({ key, default: value }) => [key, value]))),
  ...changes,
})

describe('changeOf', () => {
  test('is nothing for the same settings', () => {
    const change = changeOf(settings(), settings())
    expect(change).toEqual({ settings: settings(), applied: [], needsRestart: [] })
  })

  test('takes over what is live and leaves the rest as it was', () => {
    const next = settings({
      proxyRequestTimeoutMs: 5,
      originPassword: 'new',
      proxyListenPort: 1,
      logLevels: ['session=DEBUG'],
    })
    const change = changeOf(settings(), next)
    expect(change.applied).toEqual(
      ['origin_password', 'proxy_request_timeout_ms', 'log_levels'].sort(
        (a, b) => keyPosition(a) - keyPosition(b),
      ),
    )
    expect(change.needsRestart).toEqual(['proxy_listen_port'])
    expect(change.settings).toEqual({ ...next, proxyListenPort: settings().proxyListenPort })
  })

  test('compares lists by what is in them', () => {
    const before = settings({ originContactPoints: ['a', 'b'] })
    expect(changeOf(before, settings({ originContactPoints: ['a', 'b'] })).needsRestart).toEqual([])
    expect(changeOf(before, settings({ originContactPoints: ['b', 'a'] })).needsRestart).toEqual([
      'origin_contact_points',
    ])
  })

  test('says nothing of settings that have no effect', () => {
    const change = changeOf(settings(), settings({ writeMaxWorkers: 7 }))
    expect([...change.applied, ...change.needsRestart]).toEqual([])
  })
})

const keyPosition = (key: string): number => DEFINITIONS.findIndex((one) => one.key === key)

test('every live setting does something', () => {
  for (const key of LIVE_SETTINGS) {
    expect(DEFINITIONS.find((one) => one.key === key)?.status, camelCase(key)).toBe('active')
  }
})
