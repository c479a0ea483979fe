import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ConfigError } from '../../src/config/errors.ts'
import {
  type LoadedSettings,
  type LoadOptions,
  loadSettings,
  settingsSource,
} from '../../src/config/load.ts'
import { DEFINITIONS, environmentName, settingsOf } from '../../src/config/settings.ts'
import { valueText } from '../../src/config/value.ts'

const MINIMUM = {
  ZDM_ORIGIN_CONTACT_POINTS: '10.0.1.1',
  ZDM_ORIGIN_USERNAME: '',
  ZDM_ORIGIN_PASSWORD: '',
  ZDM_TARGET_CONTACT_POINTS: '10.0.2.1',
  ZDM_TARGET_USERNAME: '',
  ZDM_TARGET_PASSWORD: '',
}

const MINIMUM_YAML = 'origin_contact_points: 10.0.1.1\ntarget_contact_points: 10.0.2.1\n'

const fromEnvironment = (
  changes: Readonly<Record<string, string | undefined>> = {},
  options: LoadOptions = {},
): LoadedSettings =>
  loadSettings({ kind: 'environment', variables: { ...MINIMUM, ...changes } }, options)

const fromYaml = (text: string, options: LoadOptions = {}): LoadedSettings =>
  loadSettings({ kind: 'file', path: 'zdm.yml', text: MINIMUM_YAML + text }, options)

/** What is wrong, a line each. */
const problemsOf = (load: () => unknown): readonly string[] => {
  try {
    load()
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ text }) => text)
    throw error
  }
  return []
}

const textsOf = (loaded: LoadedSettings): readonly string[] =>
  loaded.warnings.map(({ text }) => text)

const DEFAULTS = settingsOf(new Map(DEFINITIONS.map(({ key, default: value }) => [key, value])))
const MINIMUM_SETTINGS = {
  ...DEFAULTS,
  originContactPoints: ['10.0.1.1'],
  targetContactPoints: ['10.0.2.1'],
}

describe('loadSettings', () => {
  test('takes the least that there must be, and defaults for the rest', () => {
    for (const loaded of [fromEnvironment(), fromYaml('')]) {
      expect(loaded.settings).toEqual(MINIMUM_SETTINGS)
      expect(loaded.warnings).toEqual([])
    }
  })

  test('keeps empty texts as they are', () => {
    expect(fromEnvironment({ ZDM_METRICS_PREFIX: '' }).settings.metricsPrefix).toBe('')
    expect(fromYaml('metrics_prefix: ""').settings.metricsPrefix).toBe('')
    expect(fromYaml('metrics_prefix:').settings.metricsPrefix).toBe('zdm')
  })

  test('knows where each value came from', () => {
    const { sources } = fromEnvironment({ ZDM_ORIGIN_PORT: '9042' })
    expect(sources.get('origin_port')).toBe('environment')
    expect(sources.get('origin_username')).toBe('environment')
    expect(sources.has('target_port')).toBe(false)
    expect(Object.fromEntries(fromYaml('origin_port: 1\ntarget_port:').sources)).toEqual({
      origin_contact_points: 'file',
      target_contact_points: 'file',
      origin_port: 'file',
    })
  })

  test('takes every setting at its default from both sources', () => {
    const texts = DEFINITIONS.filter(({ key }) => !key.endsWith('_contact_points')).map(
      ({ key, default: value }) => [key, valueText(value)] as const,
    )
    const variables = Object.fromEntries(texts.map(([key, text]) => [environmentName(key), text]))
    expect(fromEnvironment(variables).settings).toEqual(MINIMUM_SETTINGS)
    const yaml = texts.map(([key, text]) => `${key}: ${text === '' ? '""' : text}\n`).join('')
    expect(fromYaml(yaml).settings).toEqual(MINIMUM_SETTINGS)
  })

  test("takes the environment of the Go proxy's image, with its presets and one instance", () => {
    const { settings } = fromEnvironment({
      ZDM_PROXY_LISTEN_ADDRESS: '0.0.0.0',
      ZDM_METRICS_ADDRESS: '0.0.0.0',
    })
    expect(settings.proxyListenAddress).toBe('0.0.0.0')
    expect(settings.proxyTopologyAddresses).toEqual([])
  })

  test('takes what automation of the Go proxy hands over', () => {
    const { settings } = fromEnvironment({
      ZDM_PRIMARY_CLUSTER: 'origin',
      ZDM_READ_MODE: 'PRIMARY_ONLY',
      ZDM_REPLACE_CQL_FUNCTIONS: 'false',
      ZDM_PROXY_LISTEN_ADDRESS: '0.0.0.0',
      ZDM_PROXY_LISTEN_PORT: '9042',
      ZDM_PROXY_TOPOLOGY_ADDRESSES: '172.18.10.41, 172.18.10.42, 172.18.10.43',
      ZDM_PROXY_TOPOLOGY_INDEX: '2',
      ZDM_ORIGIN_SECURE_CONNECT_BUNDLE_PATH: '',
      ZDM_ORIGIN_LOCAL_DATACENTER: '',
      ZDM_ORIGIN_TLS_SERVER_CA_PATH: '',
    })
    expect(settings).toMatchObject({
      primaryCluster: 'ORIGIN',
      proxyListenAddress: '0.0.0.0',
      proxyTopologyAddresses: ['172.18.10.41', '172.18.10.42', '172.18.10.43'],
      proxyTopologyIndex: 2,
    })
  })
})

describe('what is wrong', () => {
  test('is told all at once, in the order of the table, contradictions last', () => {
    const changes = {
      ZDM_TARGET_PASSWORD: undefined,
      ZDM_PRIMARY_CLUSTER: 'BOTH',
      ZDM_READ_MODE: 'DUAL_SYNC',
      ZDM_ORIGIN_CONTACT_POINTS: '',
      ZDM_ORIGIN_PORT: 'abc',
      ZDM_PROXY_LISTEN_ADDRESS: 'a b',
    }
    const lines = problemsOf(() => fromEnvironment(changes)).map((text) => text.slice(0, 60))
    expect(lines).toEqual([
      'ZDM_TARGET_PASSWORD: must be set; to the empty string where ',
      'ZDM_PRIMARY_CLUSTER: "BOTH" is not one of ORIGIN, TARGET',
      'ZDM_READ_MODE: "DUAL_SYNC" is not one of PRIMARY_ONLY, DUAL_',
      'ZDM_ORIGIN_PORT: "abc" is not a whole number from 0 to 65535',
      'ZDM_PROXY_LISTEN_ADDRESS: "a b" is not an IP address or host',
      'ZDM_ORIGIN_CONTACT_POINTS: must name at least one node: host',
    ])
  })

  test('is an error whose message has one line per problem', () => {
    const load = (): unknown => fromYaml('origin_port: -1\ntarget_port: -1\n')
    expect(load).toThrow(
      expect.objectContaining({
        name: 'ConfigError',
        code: 'CONFIG_INVALID',
        message:
          'origin_port (zdm.yml:3): "-1" is not a whole number from 0 to 65535\n' +
          'target_port (zdm.yml:4): "-1" is not a whole number from 0 to 65535',
        problems: [
          expect.objectContaining({ setting: 'origin_port' }),
          expect.objectContaining({ setting: 'target_port' }),
        ],
      }),
    )
  })

  test('is no reason to judge it again by a rule', () => {
    const list = problemsOf(() =>
      loadSettings({
        kind: 'file',
        path: 'z',
        text: 'origin_contact_points: [a]\ntarget_contact_points: b',
      }),
    )
    expect(list).toHaveLength(1)
    const key = problemsOf(() =>
      loadSettings({
        kind: 'file',
        path: 'z',
        text: 'origin_contact_points: a\ntarget_contact_points: b\nproxy_tls_cert_path: [a]',
      }),
    )
    expect(key).toHaveLength(1)
  })

  test('never shows a password', () => {
    const password = 'S3cret'
    fc.assert(
      fc.property(
        fc.dictionary(
          fc
            .constantFrom(...DEFINITIONS.map(({ key }) => key))
            .filter((key) => !key.endsWith('_password')),
          fc.constantFrom('', '0', '-1', 'yes', 'x', ',', '1,2', '::', '[a]', '*x'),
        ),
        (values) => {
          const all = { ...values, origin_password: password, target_password: ` ${password}` }
          const variables = Object.fromEntries(
            Object.entries(all).map(([key, text]) => [environmentName(key), text]),
          )
          const yaml = Object.entries(all).map(([key, text]) => `${key}: ${text}\n`)
          const seen: unknown[] = []
          for (const source of [
            { kind: 'environment', variables },
            { kind: 'file', path: 'z', text: yaml.join('') },
          ] as const) {
            try {
              seen.push(loadSettings(source).warnings)
            } catch (error) {
              expect(error).toBeInstanceOf(ConfigError)
              seen.push(error instanceof ConfigError ? [error.message, error.problems] : error)
            }
          }
          expect(JSON.stringify(seen)).not.toContain(password)
        },
      ),
    )
  })
})

describe('unknown settings', () => {
  test.each([
    ['ZDM_METRICS_ENABLE', '; did you mean ZDM_METRICS_ENABLED?'],
    ['ZDM_ORIGIN_PROT', '; did you mean ZDM_ORIGIN_PORT?'],
    ['zdm_log_level', '; did you mean ZDM_LOG_LEVEL?'],
    ['ZDM_SOMETHING_ELSE_ALTOGETHER', ''],
  ])('%s in the environment is a warning', (name, hint) => {
    expect(fromEnvironment({ [name]: 'S3cret' }).warnings).toEqual([
      {
        code: 'CONFIG_UNKNOWN_SETTING',
        setting: name,
        text: `${name}: there is no such setting${hint}`,
      },
    ])
  })

  test.each([
    ['ORIGIN_PORT', '; did you mean origin_port?'],
    ['ZDM_ORIGIN_PORT', '; did you mean origin_port?'],
    ['origin_contact_point', '; did you mean origin_contact_points?'],
    ['clusters', ''],
  ])('%s in a file is a warning', (name, hint) => {
    expect(textsOf(fromYaml(`${name}: 1\n`))).toEqual([
      `${name} (zdm.yml:3): there is no such setting${hint}`,
    ])
  })

  test('are fatal when strict, together with everything else', () => {
    const load = (): unknown =>
      fromEnvironment({ ZDM_X: '', ZDM_ORIGIN_PORT: '-1' }, { isStrict: true })
    expect(problemsOf(load)).toEqual([
      'ZDM_ORIGIN_PORT: "-1" is not a whole number from 0 to 65535',
      'ZDM_X: there is no such setting',
    ])
    expect(problemsOf(() => fromYaml('x: 1', { isStrict: true }))).toEqual([
      'x (zdm.yml:3): there is no such setting',
    ])
  })

  test('are told with what is wrong, for they may be the cause', () => {
    expect(problemsOf(() => fromYaml('origin_port: -1\nORIGIN_USERNAME: x\n'))).toEqual([
      'origin_port (zdm.yml:3): "-1" is not a whole number from 0 to 65535',
      'ORIGIN_USERNAME (zdm.yml:4): there is no such setting; did you mean origin_username?',
    ])
  })

  test('are the only thing that strictness is about', () => {
    const variables = { ZDM_WRITE_MAX_WORKERS: '8', ZDM_PROXY_0_SERVICE_HOST: '10.96.0.7' }
    expect(fromEnvironment(variables, { isStrict: true }).warnings).toHaveLength(1)
  })
})

describe('other warnings', () => {
  test('name the settings without effect, all on one line', () => {
    const { warnings } = fromEnvironment({
      ZDM_WRITE_MAX_WORKERS: '8',
      ZDM_READ_MAX_WORKERS: '0',
    })
    expect(warnings).toEqual([
      {
        code: 'CONFIG_IGNORED_SETTING',
        setting: null,
        text: 'without effect in this release: ZDM_WRITE_MAX_WORKERS, ZDM_READ_MAX_WORKERS',
      },
    ])
    expect(fromYaml('write_max_workers: 8').warnings).toMatchObject([
      { setting: 'write_max_workers' },
    ])
  })

  test('tell what a number was read as', () => {
    expect(textsOf(fromEnvironment({ ZDM_ORIGIN_PORT: '010' }))).toEqual([
      'ZDM_ORIGIN_PORT: 010 is read as 8, because a leading 0 means octal',
    ])
    expect(textsOf(fromYaml('origin_port: 9042.5'))).toEqual([
      'origin_port (zdm.yml:3): 9042.5 is read as 9042, without the fraction',
    ])
  })

  test('tell what stands for an empty address to listen on', () => {
    const loaded = fromEnvironment({ ZDM_METRICS_ADDRESS: '' })
    expect(loaded.settings.metricsAddress).toBe('0.0.0.0')
    expect(textsOf(loaded)).toEqual(['ZDM_METRICS_ADDRESS: "" is read as 0.0.0.0, every address'])
  })

  test('tell that the admin API is off where a Go proxy is given its default port', () => {
    const loaded = fromEnvironment({ ZDM_METRICS_PORT: '14003' })
    expect(loaded.settings.adminEnabled).toBe(false)
    expect(textsOf(loaded)).toEqual([
      'ZDM_ADMIN_PORT: 14003, the default, is ZDM_METRICS_PORT too: the admin API is switched off; give it another port',
    ])
    const moved = fromEnvironment({ ZDM_METRICS_PORT: '14003', ZDM_ADMIN_PORT: '14001' })
    expect(moved.settings.adminEnabled).toBe(true)
  })

  test('tell of odd values', () => {
    expect(textsOf(fromEnvironment({ ZDM_ORIGIN_PASSWORD: 'S3cret\n' }))).toEqual([
      'ZDM_ORIGIN_PASSWORD: begins or ends with white space, which is part of it',
    ])
  })
})

describe('settingsSource', () => {
  test('is the environment without a path', () => {
    expect(settingsSource(null, MINIMUM)).toEqual({ kind: 'environment', variables: MINIMUM })
  })

  test('is the file alone with a path', () => {
    const folder = mkdtempSync(join(tmpdir(), 'zdm-settings-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'zdm.yml')
    writeFileSync(path, MINIMUM_YAML)
    const source = settingsSource(path, { ...MINIMUM, ZDM_ORIGIN_PORT: '1', ZDM_WRONG: '' })
    expect(source).toEqual({ kind: 'file', path, text: MINIMUM_YAML })
    expect(loadSettings(source)).toMatchObject({ settings: { originPort: 9042 }, warnings: [] })
  })

  test('says which file cannot be read, and why', () => {
    const path = join(tmpdir(), 'zdm-settings-that-are-not-there.yml')
    const open = (): unknown => settingsSource(path, {})
    expect(open).toThrow(expect.objectContaining({ code: 'CONFIG_UNREADABLE' }))
    expect(problemsOf(open)).toEqual([
      expect.stringMatching(`^${path}: the file of settings cannot be read: ENOENT`),
    ])
  })
})
