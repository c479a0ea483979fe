import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/errors.ts'
import {
  type LoadedSettings,
  type LoadOptions,
  loadFrom,
  loadSettings,
  readableSettings,
  settingsLayers,
} from '../../src/config/load.ts'
import type { SettingsLayer } from '../../src/config/raw.ts'
import { DEFINITIONS, environmentName, settingsOf } from '../../src/config/settings.ts'
import { valueText } from '../../src/config/value.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const MINIMUM = {
  ZDM_ORIGIN_CONTACT_POINTS: '10.0.1.1',
  ZDM_ORIGIN_USERNAME: '',
  ZDM_ORIGIN_PASSWORD: '',
  ZDM_TARGET_CONTACT_POINTS: '10.0.2.1',
  ZDM_TARGET_USERNAME: '',
  ZDM_TARGET_PASSWORD: '',
}

const MINIMUM_YAML = 'origin_contact_points: 10.0.1.1\ntarget_contact_points: 10.0.2.1\n'

const fileLayer = (path: string, text: string): SettingsLayer => ({ kind: 'file', path, text })

const fromEnvironment = (
  changes: Readonly<Record<string, string | undefined>> = {},
  options: LoadOptions = {},
): LoadedSettings =>
  loadSettings([{ kind: 'environment', variables: { ...MINIMUM, ...changes } }], options)

const fromYaml = (text: string, options: LoadOptions = {}): LoadedSettings =>
  loadSettings([fileLayer('zdm.yml', MINIMUM_YAML + text)], options)

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
    expect(sources.get('origin_port')).toEqual({ kind: 'environment' })
    expect(sources.get('origin_username')).toEqual({ kind: 'environment' })
    expect(sources.has('target_port')).toBe(false)
    const file = { kind: 'file', path: 'zdm.yml' }
    expect(Object.fromEntries(fromYaml('origin_port: 1\ntarget_port:').sources)).toEqual({
      origin_contact_points: file,
      target_contact_points: file,
      origin_port: file,
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

  test.each([
    'ZDM_ORIGIN_USERNAME',
    'ZDM_ORIGIN_PASSWORD',
    'ZDM_TARGET_USERNAME',
    'ZDM_TARGET_PASSWORD',
  ])('is that %s is missing in the environment', (name) => {
    expect(problemsOf(() => fromEnvironment({ [name]: undefined }))).toEqual([
      `${name}: must be set; to the empty string where the cluster asks for no credentials; or ${name}_PATH to a file that holds it`,
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
      loadSettings([fileLayer('z', 'origin_contact_points: [a]\ntarget_contact_points: b')]),
    )
    expect(list).toHaveLength(1)
    const key = problemsOf(() =>
      loadSettings([
        fileLayer(
          'z',
          'origin_contact_points: a\ntarget_contact_points: b\nproxy_tls_cert_path: [a]',
        ),
      ]),
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
          for (const layer of [
            { kind: 'environment', variables },
            fileLayer('z', yaml.join('')),
          ] as const) {
            try {
              seen.push(loadSettings([layer]).warnings)
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
    const chosen = { ZDM_METRICS_PORT: '14003', ZDM_ADMIN_PORT: '14003' }
    expect(() => fromEnvironment(chosen)).toThrow('14003 is ZDM_METRICS_PORT too; they need two')
    const moved = fromEnvironment({ ZDM_METRICS_PORT: '14003', ZDM_ADMIN_PORT: '14001' })
    expect(moved.settings.adminEnabled).toBe(true)
  })

  test('tell of odd values', () => {
    expect(textsOf(fromEnvironment({ ZDM_ORIGIN_PASSWORD: 'S3cret\n' }))).toEqual([
      'ZDM_ORIGIN_PASSWORD: begins or ends with white space, which is part of it',
    ])
  })
})

const folderWith = (files: Readonly<Record<string, string | Uint8Array>>): string => {
  const folder = temporaryDirectory()
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

describe('settingsLayers', () => {
  test('are the environment alone without a file', () => {
    expect(settingsLayers({ configPaths: [], withEnvironment: false }, MINIMUM)).toEqual([
      { kind: 'environment', variables: MINIMUM },
    ])
  })

  test('are the file alone with one, and the environment above it only when it is asked for', () => {
    const path = join(folderWith({ 'zdm.yml': MINIMUM_YAML }), 'zdm.yml')
    const file = fileLayer(path, MINIMUM_YAML)
    const variables = { ...MINIMUM, ZDM_ORIGIN_PORT: '1' }
    const layersOf = (withEnvironment: boolean): readonly SettingsLayer[] =>
      settingsLayers({ configPaths: [path], withEnvironment }, variables)
    expect(layersOf(false)).toEqual([file])
    expect(layersOf(true)).toEqual([file, { kind: 'environment', variables }])
  })

  test('say which file cannot be read, and why', () => {
    const path = join(temporaryDirectory(), 'not-there.yml')
    const open = (): unknown => settingsLayers({ configPaths: [path], withEnvironment: false }, {})
    expect(open).toThrow(expect.objectContaining({ code: 'CONFIG_UNREADABLE' }))
    expect(problemsOf(open)).toEqual([
      expect.stringMatching(`^${path}: the file of settings cannot be read: ENOENT`),
    ])
  })
})

describe('variables beside a file that is read alone', () => {
  const load = (text: string, variables: Record<string, string>): readonly string[] => {
    const path = join(folderWith({ 'zdm.yml': MINIMUM_YAML + text }), 'zdm.yml')
    return textsOf(loadFrom({ configPaths: [path], withEnvironment: false }, variables))
  }

  test('are warned of, those that are settings', () => {
    const variables = { ZDM_ORIGIN_PORT: '1', ZDM_READ_MODE: 'x', ZDM_WRONG: '', HOME: '/' }
    expect(load('', variables)).toEqual([
      'set in the environment and not read, because --config is given: ZDM_ORIGIN_PORT, ZDM_READ_MODE; --with-environment lets them win over the files',
    ])
  })

  test('are not, where the file says the same', () => {
    expect(load('origin_port: 1', { ZDM_ORIGIN_PORT: '1' })).toEqual([])
  })
})

describe('several layers', () => {
  const BASE = fileLayer('base.yml', `${MINIMUM_YAML}origin_port: 1\ntarget_port: 2\n`)
  const SITE = fileLayer('site.yml', 'origin_port: 11\nmetrics_port: 3\n')
  const variables = (own: Readonly<Record<string, string>>): SettingsLayer => ({
    kind: 'environment',
    variables: own,
  })

  test('give each setting the value of the last that has it, and know where it came from', () => {
    const { settings, sources } = loadSettings([BASE, SITE, variables({ ZDM_METRICS_PORT: '33' })])
    expect(settings).toMatchObject({ originPort: 11, targetPort: 2, metricsPort: 33 })
    expect(Object.fromEntries(sources)).toEqual({
      origin_contact_points: { kind: 'file', path: 'base.yml' },
      target_contact_points: { kind: 'file', path: 'base.yml' },
      origin_port: { kind: 'file', path: 'site.yml' },
      target_port: { kind: 'file', path: 'base.yml' },
      metrics_port: { kind: 'environment' },
    })
  })

  test('take what is set to nothing in a later file from the one before, and an empty text as a value', () => {
    const { settings } = loadSettings([
      BASE,
      fileLayer('x.yml', 'origin_port:\nmetrics_prefix: ""'),
    ])
    expect(settings).toMatchObject({ originPort: 1, metricsPrefix: '' })
  })

  test('are judged together: a contradiction is told in each layer’s own spelling', () => {
    const layers = [BASE, variables({ ZDM_PROXY_TOPOLOGY_INDEX: '2' })]
    expect(problemsOf(() => loadSettings(layers))).toEqual([
      'ZDM_PROXY_TOPOLOGY_INDEX: 2 must be 0 as long as proxy_topology_addresses is empty',
    ])
    const mended = fileLayer('mended.yml', 'proxy_topology_addresses: 10.0.0.1,10.0.0.2,10.0.0.3')
    expect(problemsOf(() => loadSettings([...layers, mended]))).toEqual([])
  })

  test('tell unknown names of each', () => {
    const layers = [fileLayer('a.yml', 'orgin_port: 1'), BASE, variables({ ZDM_METRICS_PROT: '1' })]
    expect(textsOf(loadSettings(layers))).toEqual([
      'orgin_port (a.yml:1): there is no such setting; did you mean origin_port?',
      'ZDM_METRICS_PROT: there is no such setting; did you mean ZDM_METRICS_PORT?',
    ])
  })

  test('need no names of users where one is a file', () => {
    expect(problemsOf(() => loadSettings([BASE, variables({})]))).toEqual([])
  })

  test('tell where a wrong value is', () => {
    const layers = [BASE, fileLayer('x.yml', 'origin_port: x'), variables({ ZDM_TARGET_PORT: 'y' })]
    expect(problemsOf(() => loadSettings(layers))).toEqual([
      'origin_port (x.yml:1): "x" is not a whole number from 0 to 65535',
      'ZDM_TARGET_PORT: "y" is not a whole number from 0 to 65535',
    ])
  })
})

describe('a secret file', () => {
  const loadWith = (
    content: string | Uint8Array,
    changes: Readonly<Record<string, string | undefined>> = {},
  ): LoadedSettings => {
    const path = join(folderWith({ secret: content }), 'secret')
    return fromEnvironment({
      ZDM_ORIGIN_PASSWORD: undefined,
      ZDM_ORIGIN_PASSWORD_PATH: path,
      ...changes,
    })
  }

  test.each([
    ['S3cret', 'S3cret'],
    ['S3cret\n', 'S3cret'],
    ['S3cret\r\n', 'S3cret'],
    [' S3 cret: #x\t\n', ' S3 cret: #x\t'],
    ['pä∂\n', 'pä∂'],
  ])('%j holds the value %j', (content, value) => {
    expect(loadWith(content).settings.originPassword).toBe(value)
  })

  test('stands for the value, which need not be there, and is its source', () => {
    const { settings, sources, secretFiles } = loadWith('S3cret')
    const path = settings.originPasswordPath
    expect(sources.get('origin_password')).toEqual({ kind: 'secret file', path })
    expect(sources.get('origin_password_path')).toEqual({ kind: 'environment' })
    expect([...secretFiles.keys()]).toEqual([path])
  })

  test('may stand beside an empty value, which automation of the Go proxy always sets', () => {
    expect(loadWith('S3cret', { ZDM_ORIGIN_PASSWORD: '' }).settings.originPassword).toBe('S3cret')
  })

  test('is named by every setting that ends in _path and says whose value it holds', () => {
    const folder = folderWith({ name: 'ada\n', word: 'S3cret\n', map: 'users: {}\n' })
    const names = { username: 'name', password: 'word' }
    const lines = ['origin', 'target'].flatMap((cluster) =>
      Object.entries(names).map(([key, file]) => `${cluster}_${key}_path: ${folder}/${file}\n`),
    )
    lines.push(`credentials_map_path: ${folder}/map\n`)
    expect(fromYaml(lines.join('')).settings).toMatchObject({
      originUsername: 'ada',
      originPassword: 'S3cret',
      targetUsername: 'ada',
      targetPassword: 'S3cret',
      credentialsMap: 'users: {}\n',
    })
  })

  test.each<[string, string | Uint8Array, RegExp]>([
    ['is empty', '', /is empty; write the value into it, or leave the setting out$/],
    ['has a newline alone', '\n', /is empty/],
    [
      'has several lines',
      'S3cret\nS3cret\n',
      /has more than one line; it must hold the value alone/,
    ],
    ['has a NUL', 'S3cret\0', /has more than one line/],
    ['is not UTF-8', Uint8Array.of(0x53, 0xff, 0x33), /is not UTF-8 text; write it again as text$/],
  ])('that %s is told by setting and path, and without its content', (_, content, says) => {
    const problems = problemsOf(() => loadWith(content))
    expect(problems).toEqual([expect.stringMatching(says)])
    expect(problems[0]).toMatch(/^ZDM_ORIGIN_PASSWORD_PATH: \/\S+\/secret /)
    expect(problems[0]).not.toContain('S3')
  })

  test('that is not there is told with the way out, and its value is not missing beside that', () => {
    const changes = { ZDM_ORIGIN_PASSWORD: undefined, ZDM_ORIGIN_PASSWORD_PATH: '/nowhere/secret' }
    expect(problemsOf(() => fromEnvironment(changes))).toEqual([
      "ZDM_ORIGIN_PASSWORD_PATH: /nowhere/secret cannot be read: ENOENT: no such file or directory, open '/nowhere/secret'; correct the path, or let the user of the proxy read it",
    ])
  })

  test('and the value itself contradict each other, in two layers too', () => {
    const path = join(folderWith({ secret: 'S3cret' }), 'secret')
    const both = { ZDM_ORIGIN_PASSWORD: 'other', ZDM_ORIGIN_PASSWORD_PATH: path }
    expect(problemsOf(() => fromEnvironment(both))).toEqual([
      'ZDM_ORIGIN_PASSWORD_PATH: cannot be used together with ZDM_ORIGIN_PASSWORD; leave one of them out',
    ])
    const base = fileLayer('base.yml', `${MINIMUM_YAML}origin_password: other`)
    const variables = { ZDM_ORIGIN_PASSWORD_PATH: path }
    const layers = [base, { kind: 'environment', variables } as const]
    expect(problemsOf(() => loadSettings(layers))).toEqual([
      'ZDM_ORIGIN_PASSWORD_PATH: cannot be used together with origin_password (base.yml:3); leave one of them out',
    ])
    const emptied = [base, fileLayer('site.yml', 'origin_password: ""'), layers[1]!]
    expect(loadSettings(emptied).settings.originPassword).toBe('S3cret')
  })

  test('with a map that is wrong is told by setting, path and line', () => {
    const map = join(
      folderWith({ 'map.yml': 'users:\n  ada: { username: b, password: }\n' }),
      'map.yml',
    )
    expect(problemsOf(() => fromYaml(`credentials_map_path: ${map}`))).toEqual([
      `credentials_map_path (zdm.yml:3): ${map}: line 2: the entry of "ada" has a password that is empty or no text; text that begins with ! & or * needs quotes`,
    ])
  })
})

describe('settings as far as they can be read', () => {
  test('have what is right, from all places, and say what is not', () => {
    const folder = folderWith({
      'zdm.yml': 'metrics_port: 1\norigin_port: many\nmetrics_address: 10.0.0.1\n',
      'site.yml': 'metrics_port: 2\n',
      'broken.yml': 'metrics_port: [\n',
    })
    const names = ['zdm.yml', 'site.yml', 'broken.yml', 'missing.yml']
    const configPaths = names.map((name) => join(folder, name))
    const variables = { ZDM_TARGET_PORT: 'x', ZDM_ORIGIN_PASSWORD_PATH: '/nowhere' }
    const { settings, faults } = readableSettings({ configPaths, withEnvironment: true }, variables)
    expect(settings).toMatchObject({
      metricsPort: 2,
      metricsAddress: '10.0.0.1',
      originPort: 9042,
      targetPort: 9042,
      originPassword: '',
    })
    const texts = ['broken.yml', 'missing.yml', 'origin_port', 'ZDM_TARGET_PORT']
    expect(faults).toHaveLength(texts.length)
    for (const [i, text] of texts.entries()) expect(faults[i]).toContain(text)
  })

  test('are the defaults where there are none', () => {
    const { settings, faults } = readableSettings({ configPaths: [], withEnvironment: true }, {})
    expect(settings.metricsPort).toBe(14_001)
    expect(faults).toEqual([])
  })
})
