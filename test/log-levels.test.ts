import { describe, expect, test } from 'vitest'
import { createLogger } from '../src/log.ts'
import { levelOf, logLevelsOf, parseComponentLevel } from '../src/log-levels.ts'
import { FakeClock } from './support/fake-clock.ts'

describe('parseComponentLevel', () => {
  test.each([
    ['session=debug', ['session', 'debug']],
    [' Upstream = WARNING ', ['upstream', 'warn']],
    ['http=PANIC', ['http', 'fatal']],
    ['session', null],
    ['session=', null],
    ['session=loud', null],
    ['sessions=debug', null],
    ['=debug', null],
    ['session=debug=info', null],
    ['', null],
  ])('%j is %j', (item, expected) => {
    expect(parseComponentLevel(item)).toEqual(expected)
  })
})

test('a component without a level of its own has the common one', () => {
  const levels = logLevelsOf('WARN', ['session=DEBUG', 'session=TRACE'])
  expect(['session', 'upstream', 'unheard of', null].map((name) => levelOf(levels, name))).toEqual([
    'trace',
    'warn',
    'warn',
    'warn',
  ])
})

describe('a logger with levels per component', () => {
  const makeLogger = () => {
    const lines: string[] = []
    const log = createLogger({
      level: logLevelsOf('WARN', ['session=DEBUG']),
      clock: new FakeClock(),
      sink: { write: (line) => lines.push(JSON.parse(line).msg) },
    })
    return { log, lines }
  }

  test('lets each component through at its own', () => {
    const { log, lines } = makeLogger()
    const session = log.child({ component: 'session' })
    const upstream = log.child({ component: 'upstream' })
    session.debug({ code: 'A' }, 'session debug')
    session.trace({ code: 'A' }, 'session trace')
    upstream.info({ code: 'A' }, 'upstream info')
    upstream.warn({ code: 'A' }, 'upstream warn')
    log.info({ code: 'A' }, 'root info')
    expect(lines).toEqual(['session debug', 'upstream warn'])
  })

  test('takes changes at any time, in children and theirs too', () => {
    const { log, lines } = makeLogger()
    const session = log.child({ component: 'session' })
    const deeper = session.child({ client: 1 })
    log.setLevels(logLevelsOf('INFO', ['session=ERROR']))
    for (const one of [session, deeper, log]) one.info({ code: 'A' }, 'info')
    expect(lines).toEqual(['info'])
    expect(deeper.isLevelEnabled('warn')).toBe(false)
    log.setLevels(logLevelsOf('TRACE', []))
    deeper.trace({ code: 'A' }, 'deeper trace')
    expect(lines).toEqual(['info', 'deeper trace'])
    expect(log.levels).toEqual({ base: 'trace', components: {} })
  })

  test('gives the same child for the same bindings', () => {
    const { log } = makeLogger()
    expect(log.child({ component: 'session' })).toBe(log.child({ component: 'session' }))
    expect(log.child({ component: 'session' })).not.toBe(log.child({ component: 'http' }))
  })
})
