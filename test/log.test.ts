import { prettyFactory } from 'pino-pretty'
import { beforeEach, describe, expect, test } from 'vitest'
import { createLogger, type Logger, ON_A_TERMINAL, type RootLogger } from '../src/log.ts'
import { type LogLevel, logLevelOf } from '../src/log-levels.ts'
import { FakeClock } from './support/fake-clock.ts'

const LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'info', 'debug', 'trace']
const MINUTE_MS = 60_000

type Line = Readonly<Record<string, unknown>>

let clock: FakeClock
let text: string[]

beforeEach(() => {
  clock = new FakeClock()
  text = []
})

const logAt = (level: LogLevel, bindings?: Record<string, string | number>): RootLogger =>
  createLogger({
    level,
    clock,
    ...(bindings === undefined ? {} : { bindings }),
    sink: { write: (line) => text.push(line) },
  })

const lines = (): Line[] => text.map((line) => JSON.parse(line))

describe('a line', () => {
  test('is JSON with level, time, code and text, and nothing that was not given', () => {
    logAt('info').info({ code: 'PROXY_READY', port: 9042 }, 'ready')
    expect(text).toEqual([
      '{"level":"info","time":"2026-01-01T00:00:00.000Z","code":"PROXY_READY","port":9042,"msg":"ready"}\n',
    ])
  })

  test('has the time of the clock', () => {
    const log = logAt('info')
    clock.advance(1234)
    log.info({ code: 'A' }, 'a')
    expect(lines()[0]!['time']).toBe('2026-01-01T00:00:01.234Z')
  })

  test('is one line whatever the text holds', () => {
    logAt('info').info({ code: 'A', name: 'x\r\ny' }, 'first\nsecond\u2028"third"')
    expect(text).toHaveLength(1)
    expect(text[0]!.indexOf('\n')).toBe(text[0]!.length - 1)
    expect(lines()[0]).toMatchObject({ name: 'x\r\ny', msg: 'first\nsecond\u2028"third"' })
  })

  test('has an error with its message, stack and cause', () => {
    const error = new Error('outer', { cause: new Error('inner') })
    logAt('info').error({ code: 'A', error }, 'failed')
    expect(lines()[0]!['error']).toMatchObject({
      type: 'Error',
      message: expect.stringContaining('outer'),
      stack: expect.stringContaining('log.test.ts'),
    })
    expect(text[0]).toContain('inner')
  })

  test('has the bindings of its logger and of the ones above', () => {
    logAt('info', { thread: 2 }).child({ component: 'pool' }).info({ code: 'A' }, 'a')
    expect(lines()[0]).toMatchObject({ thread: 2, component: 'pool', code: 'A' })
  })
})

test('on a terminal an event is one line, with its date and code', () => {
  logAt('info').warn({ code: 'SOME_EVENT', hosts: ['a', 'b'], count: 2 }, 'it happened {here}')
  expect(prettyFactory({ ...ON_A_TERMINAL, colorize: false })(text.join(''))).toMatch(
    /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d{4}\] WARN: SOME_EVENT it happened \{here\} \{"hosts":\["a","b"\],"count":2\}\n$/,
  )
})

describe('levels', () => {
  test.each(LEVELS)('%s lets through itself and what is worse', (level) => {
    const log = logAt(level)
    for (const each of LEVELS) log[each]({ code: 'A' }, each)
    const expected = LEVELS.slice(0, LEVELS.indexOf(level) + 1)
    expect(lines().map((line) => [line['level'], line['msg']])).toEqual(
      expected.map((each) => [each, each]),
    )
    expect(LEVELS.filter((each) => log.isLevelEnabled(each))).toEqual(expected)
    const child = log.child({ component: 'x' })
    expect(LEVELS.filter((each) => child.isLevelEnabled(each))).toEqual(expected)
  })

  test.each([
    ['PANIC', 'fatal'],
    ['FATAL', 'fatal'],
    ['ERROR', 'error'],
    ['WARN', 'warn'],
    ['WARNING', 'warn'],
    ['warning', 'warn'],
    ['Info', 'info'],
    ['DEBUG', 'debug'],
    ['TRACE', 'trace'],
  ])('the setting %s is %s', (setting, level) => {
    expect(logLevelOf(setting)).toBe(level)
  })
})

describe('secrets', () => {
  const SECRET = 'hunter2'

  test.each([
    ['password', { password: SECRET }],
    ['originPassword', { originPassword: SECRET }],
    ['targetPassword', { targetPassword: SECRET }],
    ['token', { token: SECRET }],
    ['authorization', { authorization: SECRET }],
    ['one below', { credentials: { username: 'me', password: SECRET } }],
    ['settings', { settings: { originPassword: SECRET, targetPassword: SECRET } }],
    ['an error that carries one', { error: Object.assign(new Error('x'), { password: SECRET }) }],
  ])('never appear: %s', (_what, fields) => {
    const log = logAt('info')
    log.info({ code: 'A', ...fields }, 'a')
    log.child({ component: 'x' }).info({ code: 'A', ...fields }, 'a')
    log.limited('key', 'info', { code: 'A', ...fields }, 'a')
    expect(text).toHaveLength(3)
    for (const line of text) {
      expect(line).not.toContain(SECRET)
      expect(line).toContain('(hidden)')
    }
  })

  test('leave the object that was logged as it is', () => {
    const credentials = { username: 'me', password: SECRET }
    logAt('info').info({ code: 'A', credentials }, 'a')
    expect(credentials.password).toBe(SECRET)
    expect(lines()[0]).toMatchObject({ credentials: { username: 'me' } })
  })

  test('in bindings do not appear either', () => {
    logAt('info').child({ token: SECRET }).info({ code: 'A' }, 'a')
    expect(text[0]).not.toContain(SECRET)
  })
})

describe('limited', () => {
  const limit = (log: Logger, key: string, level: LogLevel = 'warn'): void =>
    log.limited(key, level, { code: 'LIMITED', cause: key }, `about ${key}`)

  test('logs the first occurrence and then one a minute, with how many were left out', () => {
    const log = logAt('info')
    for (let times = 0; times < 5; times++) limit(log, 'a')
    clock.advance(MINUTE_MS - 1)
    limit(log, 'a')
    expect(lines()).toHaveLength(1)
    expect(lines()[0]).toMatchObject({ level: 'warn', code: 'LIMITED', msg: 'about a' })
    expect(lines()[0]).not.toHaveProperty('suppressed')
    clock.advance(1)
    limit(log, 'a')
    limit(log, 'a')
    expect(lines()).toHaveLength(2)
    expect(lines()[1]).toMatchObject({ code: 'LIMITED', suppressed: 5 })
    clock.advance(MINUTE_MS)
    limit(log, 'a')
    expect(lines()[2]).toMatchObject({ suppressed: 1 })
    clock.advance(MINUTE_MS)
    limit(log, 'a')
    expect(lines()[3]).not.toHaveProperty('suppressed')
  })

  test('counts each cause by itself', () => {
    const log = logAt('info')
    limit(log, 'a')
    limit(log, 'b')
    limit(log, 'a')
    clock.advance(MINUTE_MS)
    limit(log, 'b')
    limit(log, 'a')
    expect(lines().map((line) => [line['cause'], line['suppressed']])).toEqual([
      ['a', undefined],
      ['b', undefined],
      ['b', undefined],
      ['a', 1],
    ])
  })

  test('is shared by children', () => {
    const log = logAt('info')
    limit(log.child({ component: 'one' }), 'a')
    limit(log.child({ component: 'two' }), 'a')
    limit(log, 'a')
    clock.advance(MINUTE_MS)
    limit(log.child({ component: 'two' }).child({ thread: 1 }), 'a')
    expect(lines().map((line) => [line['component'], line['suppressed']])).toEqual([
      ['one', undefined],
      ['two', 2],
    ])
  })

  test('at a level that is not logged neither logs nor counts', () => {
    const log = logAt('info')
    for (let times = 0; times < 3; times++) limit(log, 'a', 'debug')
    limit(log, 'a', 'warn')
    clock.advance(MINUTE_MS)
    limit(log, 'a', 'warn')
    expect(lines().map((line) => line['suppressed'])).toEqual([undefined, undefined])
  })

  test('tells 1000 causes a minute apart; more share one line per level', () => {
    const log = logAt('info')
    for (let cause = 0; cause < 1000; cause++) limit(log, `cause ${cause}`)
    expect(lines()).toHaveLength(1000)
    for (let cause = 1000; cause < 1500; cause++) {
      limit(log, `cause ${cause}`, 'warn')
      limit(log, `cause ${cause}`, 'error')
    }
    const beyond = lines().slice(1000)
    expect(beyond.map((line) => [line['level'], line['cause']])).toEqual([
      ['warn', 'cause 1000'],
      ['error', 'cause 1000'],
    ])
    clock.advance(MINUTE_MS)
    text = []
    limit(log, 'cause 2000')
    limit(log, 'cause 3')
    limit(log, 'cause 3')
    expect(lines().map((line) => line['cause'])).toEqual(['cause 2000', 'cause 3'])
  })

  test('what was left out while causes shared a line is told in the next such line', () => {
    const log = logAt('info')
    limit(log, 'old')
    for (let cause = 0; cause < 999; cause++) limit(log, `cause ${cause}`)
    for (let cause = 0; cause < 4; cause++) limit(log, `more ${cause}`)
    clock.advance(MINUTE_MS)
    // Old causes that go on, so that there is still no room for new ones.
    for (let cause = 0; cause < 999; cause++) limit(log, `cause ${cause}`)
    limit(log, 'old')
    text = []
    limit(log, 'one more')
    expect(lines()).toMatchObject([{ suppressed: 3 }])
  })

  test('a cause cannot be mistaken for the shared line of a level', () => {
    const log = logAt('info')
    limit(log, 'warn')
    for (let cause = 0; cause < 999; cause++) limit(log, `cause ${cause}`)
    limit(log, 'one more')
    expect(lines().at(-1)!['cause']).toBe('one more')
  })
})
