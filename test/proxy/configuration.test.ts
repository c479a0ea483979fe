/** Reading the settings of a running instance again. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { LOOK_INTERVAL_MS } from '../../src/certificates/certificate-store.ts'
import { ConfigError, ConfigErrorCode } from '../../src/config/errors.ts'
import { type LoadedSettings, loadSettings } from '../../src/config/load.ts'
import type { SettingsLayer } from '../../src/config/raw.ts'
import type { Settings } from '../../src/config/settings.ts'
import { ErrorCode, Opcode, Version } from '../../src/cql/protocol.ts'
import { BodyReader } from '../../src/cql/reader.ts'
import { createLogger } from '../../src/log.ts'
import { Configuration } from '../../src/proxy/configuration.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { passwordAuthenticator } from '../support/fake-cluster/answers.ts'
import { readError, startupBody } from '../support/fake-cluster/request-bodies.ts'
import { drop } from '../support/fake-cluster/script.ts'
import {
  type Rig,
  type RigOptions,
  settingsFor,
  startCluster,
  startInstance,
  startRig,
} from '../support/instance.ts'
import { eventually } from '../support/plane.ts'
import { RawClient } from '../support/raw-client.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

type Line = { readonly level: string; readonly code: string; readonly msg: string }

const FILE: SettingsLayer = { kind: 'file', path: 'zdm.yml', text: '' }

const start = async ({ hasFile = true, ...options }: RigOptions & { hasFile?: boolean } = {}) => {
  const clock = new FakeClock()
  const rig = await startRig({ ...options, clock })
  const lines: Line[] = []
  const sink = { write: (line: string): void => void lines.push(JSON.parse(line)) }
  const loaded = (settings: Settings, keys: readonly string[] = []): LoadedSettings => ({
    settings,
    sources: new Map(keys.map((key) => [key, { kind: 'file', path: 'zdm.yml' }])),
    warnings: [],
    layers: [hasFile ? FILE : { kind: 'environment', variables: {} }],
    secretFiles: new Map(),
  })
  let next: () => LoadedSettings = () => loaded(rig.instance.settings)
  const configuration = new Configuration({
    instance: rig.instance,
    loaded: loaded(rig.instance.settings),
    load: () => next(),
    lookAtFiles: () => void rig.instance.lookAtCertificates(),
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

const CLIENT = { username: 'client', password: 'c' }

/** Files of secrets in a directory, and an instance that has the user of Origin from them. */
const startWithSecrets = async (
  kind: 'environment' | 'file',
  more: Readonly<Record<string, string>> = {},
) => {
  const folder = temporaryDirectory()
  const write = (name: string, content: string): void => writeFileSync(join(folder, name), content)
  write('username', 'u1\n')
  write('password', 'p1\n')
  for (const [name, content] of Object.entries(more)) write(name, content)
  const paths = Object.keys(more).map((name) => [`${name}_path`, join(folder, name)] as const)
  const origin = await startCluster({
    name: 'origin',
    authenticator: { name: 'a.PasswordAuthenticator', credentials: { u1: 'p1', u2: 'p2' } },
  })
  const target = await startCluster({
    name: 'target',
    authenticator: passwordAuthenticator('client', 'c'),
  })
  const own = settingsFor(origin, target)
  const given = {
    origin_contact_points: own.originContactPoints[0]!,
    origin_port: String(own.originPort),
    origin_username_path: join(folder, 'username'),
    origin_password_path: join(folder, 'password'),
    target_contact_points: own.targetContactPoints[0]!,
    target_port: String(own.targetPort),
    target_username: 'client',
    target_password: 'c',
    proxy_listen_port: '0',
    metrics_port: '0',
    admin_port: '0',
    data_plane_threads: '1',
    ...Object.fromEntries(paths),
  }
  const variables = Object.fromEntries(
    Object.entries(given).map(([key, text]) => [`ZDM_${key.toUpperCase()}`, text]),
  )
  const lines = Object.entries(given).map(([key, text]) => `${key}: ${text}\n`)
  let text = lines.join('')
  const layersNow = (): readonly SettingsLayer[] => [
    kind === 'file' ? { kind, path: 'zdm.yml', text } : { kind, variables },
  ]
  const loaded = loadSettings(layersNow())
  const clock = new FakeClock()
  const { instance } = await startInstance(loaded.settings)
  const log: Line[] = []
  const sink = { write: (line: string): void => void log.push(JSON.parse(line)) }
  const configuration = new Configuration({
    instance,
    loaded,
    load: (layers) => loadSettings(layers ?? layersNow()),
    lookAtFiles: () => undefined,
    clock,
    log: createLogger({ level: 'info', clock, sink }),
  })
  configuration.watch()
  onTestFinished(() => configuration.close())
  /** Looks as often, as the clock makes it look. */
  const looks = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) {
      clock.advance(LOOK_INTERVAL_MS)
      await configuration.look()
    }
  }
  const userOfNewClient = async (): Promise<string | undefined> => {
    const client = await RawClient.connect(instance.port!, { version: 4 })
    onTestFinished(() => client.close())
    const answer = await client.handshake({ credentials: CLIENT })
    expect(answer.opcode).toBe(Opcode.AUTH_SUCCESS)
    return origin.openConnections.at(-1)?.username
  }
  const codes = (): readonly string[] => log.map(({ level, code }) => `${level} ${code}`)
  const appendToFile = (line: string): void => {
    text += line
  }
  return {
    folder,
    write,
    configuration,
    instance,
    log,
    codes,
    looks,
    userOfNewClient,
    appendToFile,
  }
}

describe.each(['environment', 'file'] as const)('secret files, settings from the %s', (kind) => {
  test('that have changed are in effect for new clients, once two looks have seen the same', async () => {
    const rig = await startWithSecrets(kind)
    expect(await rig.userOfNewClient()).toBe('u1')
    rig.write('username', 'u2\n')
    await rig.looks(1)
    rig.write('password', 'p2\n')
    await rig.looks(1)
    // Between the two writings nothing was taken over: the pair would have been a wrong one.
    expect(rig.instance.settings).toMatchObject({ originUsername: 'u1', originPassword: 'p1' })
    await rig.looks(1)
    expect(rig.instance.settings).toMatchObject({ originUsername: 'u2', originPassword: 'p2' })
    expect(rig.log).toMatchObject([
      {
        code: 'CONFIG_RELOADED',
        msg: 'files of secrets have changed; in effect: origin_username, origin_password',
      },
    ])
    expect(await rig.userOfNewClient()).toBe('u2')
    await rig.looks(3)
    expect(rig.log).toHaveLength(1)
    expect(rig.configuration.series().counts).toEqual({ applied: 1, refused: 0 })
  })

  test('that are broken change nothing, are told and counted once, and forgiven when mended', async () => {
    const rig = await startWithSecrets(kind)
    rig.write('password', 'p2\nS3cret\n')
    await rig.looks(4)
    expect(rig.instance.settings.originPassword).toBe('p1')
    expect(rig.log).toMatchObject([
      {
        level: 'error',
        code: 'CONFIG_RELOAD_REFUSED',
        msg: expect.stringMatching(
          /^nothing is changed: \S*origin_password_path.* \S+\/password has more than one line/i,
        ),
      },
    ])
    expect(JSON.stringify(rig.log)).not.toContain('S3cret')
    expect(rig.configuration.series()).toMatchObject({
      counts: { applied: 0, refused: 1 },
      isLastRefused: true,
    })
    rig.write('password', 'p1\n')
    await rig.looks(1)
    expect(rig.configuration.series().isLastRefused).toBe(false)
  })

  test('that are gone for a moment are not complained of', async () => {
    const rig = await startWithSecrets(kind)
    rmSync(join(rig.folder, 'password'))
    await rig.looks(1)
    rig.write('password', 'p1\n')
    await rig.looks(2)
    expect(rig.log).toEqual([])
  })

  test('are read at once when it is asked for', async () => {
    const rig = await startWithSecrets(kind)
    rig.write('username', 'u2')
    rig.write('password', 'p2')
    expect(rig.configuration.reload()).toEqual({
      isRefused: false,
      applied: ['origin_username', 'origin_password'],
      needsRestart: [],
    })
    expect(await rig.userOfNewClient()).toBe('u2')
    const alone = 'alone, because the other settings come from the environment'
    expect(rig.log[0]!.msg.includes(alone)).toBe(kind === 'environment')
    await rig.looks(2)
    expect(rig.log).toHaveLength(1)
    const shown = rig.configuration.describe().find(({ key }) => key === 'origin_password')
    expect(shown).toEqual({
      key: 'origin_password',
      value: '(hidden)',
      source: 'secret file',
      path: join(rig.folder, 'password'),
    })
  })

  test('behind a link that is switched, as Kubernetes does, are seen', async () => {
    const rig = await startWithSecrets(kind)
    mkdirSync(join(rig.folder, '..2'))
    rig.write('..2/username', 'u2')
    rig.write('..2/password', 'p2')
    for (const name of ['username', 'password']) {
      symlinkSync(`..2/${name}`, join(rig.folder, `${name}.new`))
      renameSync(join(rig.folder, `${name}.new`), join(rig.folder, name))
    }
    await rig.looks(2)
    expect(await rig.userOfNewClient()).toBe('u2')
  })
})

test('a map of users that has changed is in effect for the next client; a broken one is refused', async () => {
  const rig = await startWithSecrets('environment', { credentials_map: 'users: {}\n' })
  expect(await rig.userOfNewClient()).toBe('u1')
  rig.write('credentials_map', 'users:\n  client: { username: u2, password: p2 }\n')
  await rig.looks(2)
  expect(rig.log.at(-1)!.msg).toContain('in effect: credentials_map')
  expect(await rig.userOfNewClient()).toBe('u2')
  rig.write('credentials_map', 'users:\n  client: { username: u1, passwrd: S3cret }\n')
  await rig.looks(2)
  expect(rig.log.at(-1)).toMatchObject({
    code: 'CONFIG_RELOAD_REFUSED',
    msg: expect.stringMatching(
      /credentials_map: line 2: the entry of "client" has the key "passwrd"/,
    ),
  })
  expect(JSON.stringify(rig.log)).not.toContain('S3cret')
  expect(await rig.userOfNewClient()).toBe('u2')
})

test('a change of a secret file does not take over what else has changed in the file of settings', async () => {
  const rig = await startWithSecrets('file')
  rig.appendToFile('proxy_request_timeout_ms: 700\n')
  rig.write('password', 'p2')
  await rig.looks(2)
  expect(rig.instance.settings).toMatchObject({
    originPassword: 'p2',
    proxyRequestTimeoutMs: 10_000,
  })
  rig.configuration.reload()
  expect(rig.instance.settings.proxyRequestTimeoutMs).toBe(700)
})

test('a reload that is refused for a secret file is mended with the file, where nothing else can be wrong', async () => {
  const rig = await startWithSecrets('environment')
  rig.write('password', '')
  expect(rig.configuration.reload()).toMatchObject({ isRefused: true })
  expect(rig.configuration.series().isLastRefused).toBe(true)
  rig.write('password', 'p1')
  await rig.looks(2)
  expect(rig.configuration.series().isLastRefused).toBe(false)
})
