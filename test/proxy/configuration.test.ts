/** Reading the settings of a running instance again. */
import { describe, expect, test } from 'vitest'
import { ConfigError, ConfigErrorCode } from '../../src/config/errors.ts'
import type { LoadedSettings } from '../../src/config/load.ts'
import type { Settings } from '../../src/config/settings.ts'
import { ErrorCode, Opcode, Version } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { createLogger } from '../../src/log.ts'
import { Configuration } from '../../src/proxy/configuration.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import { readError, startupBody } from '../support/fake-cluster/request-bodies.ts'
import { drop } from '../support/fake-cluster/script.ts'
import { type Rig, type RigOptions, startRig } from '../support/instance.ts'
import { eventually } from '../support/plane.ts'

type Line = { readonly level: string; readonly code: string; readonly msg: string }

const start = async ({ hasFile = true, ...options }: RigOptions & { hasFile?: boolean } = {}) => {
  const clock = new FakeClock()
  const rig = await startRig({ ...options, clock })
  const lines: Line[] = []
  const sink = { write: (line: string): void => void lines.push(JSON.parse(line)) }
  const loaded = (settings: Settings, keys: readonly string[] = []): LoadedSettings => ({
    settings,
    sources: new Map(keys.map((key) => [key, 'file' as const])),
    warnings: [],
  })
  let next: () => LoadedSettings = () => loaded(rig.instance.settings)
  const configuration = new Configuration({
    instance: rig.instance,
    loaded: loaded(rig.instance.settings),
    load: hasFile ? () => next() : null,
    clock,
    log: createLogger({ level: 'info', clock, sink }),
  })
  const reloadWith = (changes: Partial<Settings>, keys: readonly string[] = []) => {
    next = () => loaded({ ...rig.instance.settings, ...changes }, keys)
    return configuration.reload()
  }
  const reloadBroken = () => {
    next = () => {
      const text = 'origin_port: "x" is no port'
      throw new ConfigError(ConfigErrorCode.INVALID, [{ setting: 'origin_port', text }])
    }
    return configuration.reload()
  }
  return { ...rig, clock, lines, configuration, reloadWith, reloadBroken }
}

const timeOut = async (rig: Rig, clock: FakeClock, afterMs: number): Promise<string> => {
  rig.origin.on({ opcode: Opcode.QUERY, text: /SELECT v/, times: 1 }, drop())
  const driver = await rig.client()
  const answer = driver.query('SELECT v FROM ks.t')
  await rig.origin.waitFor(({ text }) => text === 'SELECT v FROM ks.t')
  clock.advance(afterMs)
  const { code, message } = readError(await answer)
  expect(code).toBe(ErrorCode.READ_TIMEOUT)
  return message
}

describe('settings that are read again', () => {
  test('take effect where they can, and the rest is named', async () => {
    const { reloadWith, lines, instance } = await start()
    const reload = reloadWith({ proxyRequestTimeoutMs: 700, proxyListenPort: 1 })
    expect(reload).toEqual({
      isRefused: false,
      applied: ['proxy_request_timeout_ms'],
      needsRestart: ['proxy_listen_port'],
    })
    expect(instance.settings).toMatchObject({ proxyRequestTimeoutMs: 700, proxyListenPort: 0 })
    expect(lines.map(({ level, code }) => `${level} ${code}`)).toEqual([
      'info CONFIG_RELOADED',
      'warn CONFIG_NEEDS_RESTART',
    ])
  })

  test('hold for the next request: a time-out', async () => {
    const rig = await start()
    rig.reloadWith({ proxyRequestTimeoutMs: 700 })
    expect(await timeOut(rig, rig.clock, 1_200)).toContain('within 700 ms')
  })

  test('hold for the next client: the limit of clients', async () => {
    const { reloadWith, client, connect, log } = await start()
    await client()
    reloadWith({ proxyMaxClientConnections: 1 })
    const refused = await connect()
    refused.sendRaw(Buffer.from([4]))
    await refused.closed
    await eventually(() => log.some(({ code }) => code === 'CLIENT_LIMIT'))
  })

  test('hold for the next handshake: credentials', async () => {
    const origin = { authenticator: passwordAuthenticator('u', 'new') }
    const rig = await start({
      origin,
      target: { authenticator: passwordAuthenticator('client', 'c') },
      settings: {
        originUsername: 'u',
        originPassword: 'new',
        targetUsername: 'client',
        targetPassword: 'c',
      },
    })
    const credentials = { username: 'client', password: 'c' }
    const shakeHands = async (): Promise<number> => {
      const client = await rig.connect({ version: 4 })
      return (await client.handshake({ credentials })).opcode
    }
    expect(await shakeHands()).toBe(Opcode.AUTH_SUCCESS)
    rig.reloadWith({ originPassword: 'wrong' })
    expect(await shakeHands()).toBe(Opcode.ERROR)
    rig.reloadWith({ originPassword: 'new' })
    expect(await shakeHands()).toBe(Opcode.AUTH_SUCCESS)
  })

  test('change the level of the log', async () => {
    const { reloadWith, client, log } = await start()
    reloadWith({ logLevels: ['session=ERROR'] })
    const before = log.length
    await client()
    expect(log.slice(before).filter(({ code }) => code.startsWith('CLIENT_'))).toEqual([])
    reloadWith({ logLevel: 'TRACE', logLevels: [] })
    await client()
    expect(log.slice(before).map(({ code }) => code)).toContain('CLIENT_READY')
  })

  test('hold for the next client: protocol versions that are blocked', async () => {
    const { reloadWith, client, connect } = await start()
    const before = await client(Version.V5)
    const offered = async (): Promise<readonly string[] | undefined> => {
      const asked = await connect({ version: Version.V4 })
      const answer = await asked.request(Opcode.OPTIONS, new Uint8Array(0))
      return new BodyReader(answer.body).readStringMultimap().get('PROTOCOL_VERSIONS')
    }
    expect(await offered()).toContain('5/v5')
    expect(reloadWith({ blockedProtocolVersions: ['5'] })).toMatchObject({ needsRestart: [] })
    expect(await offered()).not.toContain('5/v5')
    const refused = await connect({ version: Version.V5 })
    refused.sendRaw(refused.envelope(Opcode.STARTUP, startupBody()))
    const answer = await refused.next()
    expect(answer).toMatchObject({ opcode: Opcode.ERROR, version: Version.V4 })
    expect(readError(answer).message).toContain('unsupported protocol version (5)')
    // Who is there already goes on in v5.
    expect((await before.query('SELECT v FROM ks.t')).opcode).toBe(Opcode.RESULT)
    reloadWith({ blockedProtocolVersions: [] })
    expect((await client(Version.V5)).version).toBe(Version.V5)
  })

  test('hold for the next read: how many are copied to the secondary', async () => {
    const { reloadWith, client, target } = await start({
      settings: { readMode: 'DUAL_ASYNC_ON_SECONDARY', asyncReadsSamplePercent: 0 },
    })
    const driver = await client()
    const read = 'SELECT v FROM ks.t'
    const copies = (): number => target.received.filter(({ text }) => text === read).length
    await target.waitUntil(() => target.openConnections.length > 2)
    await driver.query(read)
    reloadWith({ asyncReadsSamplePercent: 100 })
    await driver.query(read)
    await target.waitUntil(() => copies() > 0)
    expect(copies()).toBe(1)
  })

  test('that are changed by the switch are said to be, where the file has another value', async () => {
    const { reloadWith, lines } = await start()
    reloadWith({ primaryCluster: 'TARGET', metricsPort: 1 })
    expect(lines.at(-1)!.msg).toBe(
      'changed, but the old value holds until a restart: primary_cluster, metrics_port; primary_cluster can be changed without one by zdm, or the admin API',
    )
  })

  test('are counted, and when they were right last', async () => {
    const { reloadWith, reloadBroken, configuration, clock } = await start()
    const startSeconds = clock.wallMs() / 1000
    const never = { counts: { applied: 0, refused: 0 }, isLastRefused: false }
    expect(configuration.series()).toEqual({ ...never, readAtSeconds: startSeconds })
    clock.advance(1_000)
    reloadWith({})
    clock.advance(1_000)
    reloadBroken()
    expect(configuration.series()).toEqual({
      counts: { applied: 1, refused: 1 },
      isLastRefused: true,
      readAtSeconds: startSeconds + 1,
    })
    reloadWith({})
    expect(configuration.series().isLastRefused).toBe(false)
  })

  test('from the environment stay, which is said and is no failure', async () => {
    const { reloadWith, configuration, instance, lines } = await start({ hasFile: false })
    expect(reloadWith({ proxyRequestTimeoutMs: 700 }).isRefused).toBe(true)
    expect(instance.settings.proxyRequestTimeoutMs).toBe(10_000)
    expect(lines).toMatchObject([
      { level: 'warn', code: 'CONFIG_RELOAD_REFUSED', msg: expect.stringContaining('environment') },
    ])
    expect(configuration.series()).toMatchObject({ isLastRefused: false })
  })

  test('that are wrong change nothing, and every fault is told', async () => {
    const { reloadBroken, instance, lines } = await start()
    const before = instance.settings
    expect(reloadBroken()).toEqual({ isRefused: true, problems: ['origin_port: "x" is no port'] })
    expect(instance.settings).toBe(before)
    expect(lines.map(({ level, code }) => `${level} ${code}`)).toEqual([
      'error CONFIG_RELOAD_REFUSED',
    ])
  })

  test('show where they came from, for those in effect', async () => {
    const { reloadWith, configuration } = await start()
    const keys = ['proxy_request_timeout_ms', 'proxy_listen_port']
    reloadWith({ proxyRequestTimeoutMs: 700, proxyListenPort: 1 }, keys)
    const sources = configuration
      .describe()
      .filter(({ key }) => keys.includes(key))
      .map(({ key, value, source }) => `${key} ${value} ${source}`)
    expect(sources).toEqual(['proxy_listen_port 0 default', 'proxy_request_timeout_ms 700 file'])
  })
})
