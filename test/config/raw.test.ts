import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/errors.ts'
import { type RawSettings, readEnvironment, spellingIn } from '../../src/config/raw.ts'
import { readYaml } from '../../src/config/yaml-file.ts'

const CREDENTIALS = {
  ZDM_ORIGIN_USERNAME: '',
  ZDM_ORIGIN_PASSWORD: '',
  ZDM_TARGET_USERNAME: '',
  ZDM_TARGET_PASSWORD: '',
}

/** A scalar as `form text`. */
const scalarsOf = (raw: RawSettings): Record<string, string> =>
  Object.fromEntries(
    [...raw.values].map(([key, { scalar }]) => [key, `${scalar.form} ${scalar.text}`]),
  )

const namesOf = (raw: RawSettings): readonly string[] => raw.unknown.map(({ name }) => name)

test('a source spells a setting in its own way', () => {
  expect(spellingIn('environment')('origin_port')).toBe('ZDM_ORIGIN_PORT')
  expect(spellingIn('file')('origin_port')).toBe('origin_port')
})

describe('the environment', () => {
  test('gives the text of known variables, with blanks and all', () => {
    const raw = readEnvironment({ ...CREDENTIALS, ZDM_ORIGIN_PORT: ' 9042 ', PATH: '/bin' })
    expect(scalarsOf(raw)).toMatchObject({ origin_port: 'environment  9042 ' })
    expect(raw.values.size).toBe(5)
    expect(raw.values.get('origin_port')?.label).toBe('ZDM_ORIGIN_PORT')
    expect(raw.unknown).toEqual([])
    expect(raw.problems).toEqual([])
  })

  test('tells empty from not set', () => {
    const raw = readEnvironment({
      ...CREDENTIALS,
      ZDM_METRICS_PREFIX: '',
      ZDM_ORIGIN_PORT: undefined,
    })
    expect(scalarsOf(raw)).toMatchObject({ metrics_prefix: 'environment ' })
    expect(raw.values.has('origin_port')).toBe(false)
  })

  test('has names that no setting has', () => {
    const raw = readEnvironment({
      ...CREDENTIALS,
      ZDM_METRICS_ENABLE: 'false',
      zdm_origin_port: '1',
      ZDMX: '1',
    })
    expect(namesOf(raw)).toEqual(['ZDM_METRICS_ENABLE', 'zdm_origin_port'])
  })

  test('has variables of Kubernetes Services, which are not unknown settings', () => {
    const raw = readEnvironment({
      ...CREDENTIALS,
      ZDM_PROXY_0_SERVICE_HOST: '10.96.0.7',
      ZDM_PROXY_0_SERVICE_PORT: '9942',
      ZDM_PROXY_0_SERVICE_PORT_CQL: '9942',
      ZDM_PROXY_0_PORT: 'tcp://10.96.0.7:9942',
      ZDM_PROXY_0_PORT_9942_TCP: 'tcp://10.96.0.7:9942',
      ZDM_PROXY_0_PORT_9942_TCP_PROTO: 'tcp',
      ZDM_PROXY_0_PORT_9942_TCP_PORT: '9942',
      ZDM_PROXY_0_PORT_9942_TCP_ADDR: '10.96.0.7',
      ZDM_PROXY_0_PORT_NUMBER: '1',
    })
    expect(namesOf(raw)).toEqual(['ZDM_PROXY_0_PORT_NUMBER'])
    expect(raw.problems).toEqual([])
  })

  test('explains a setting that a Kubernetes Service has overwritten', () => {
    const raw = readEnvironment({ ...CREDENTIALS, ZDM_ORIGIN_PORT: 'tcp://10.96.0.7:9042' })
    expect(raw.problems).toEqual([
      {
        key: 'origin_port',
        setting: 'ZDM_ORIGIN_PORT',
        text: 'ZDM_ORIGIN_PORT: was set by Kubernetes for a Service called "zdm-origin"; rename the Service, or set enableServiceLinks: false in the pod',
      },
    ])
  })
})

describe('a YAML file', () => {
  test.each([
    ['a plain scalar', 'origin_port: 9042', 'plain 9042'],
    ['a plain scalar with a comment', 'origin_port: 9042 # the default', 'plain 9042'],
    ['a hexadecimal number, as text', 'origin_port: 0x1F', 'plain 0x1F'],
    ['a leading zero, as text', 'origin_port: 010', 'plain 010'],
    ['single quotes', "origin_port: '9042'", 'quoted 9042'],
    ['double quotes', 'origin_port: "9042"', 'quoted 9042'],
    ['empty quotes', 'origin_port: ""', 'quoted '],
    ['a quoted null', 'origin_port: "null"', 'quoted null'],
    ['a word of YAML 1.1', 'origin_port: yes', 'plain yes'],
    ['a date, as text', 'origin_port: 2026-01-31', 'plain 2026-01-31'],
    ['a block of text', 'origin_port: >-\n  a,\n  b\n', 'quoted a, b'],
    ['a string tag', 'origin_port: !!str 9042', 'quoted 9042'],
    ['an alias', 'x: &port 9042\norigin_port: *port', 'plain 9042'],
    ['only the first document', 'origin_port: 1\n---\norigin_port: [', 'plain 1'],
    ['a document marker', '---\norigin_port: 1\n...\n', 'plain 1'],
    ['a byte order mark', '\uFEFForigin_port: 1', 'plain 1'],
    ['Windows line ends', 'origin_port: 1\r\nproxy_listen_port: 2\r\n', 'plain 1'],
    ['braces', '{"origin_port": 1}', 'plain 1'],
  ])('with %s', (_, text, scalar) => {
    expect(scalarsOf(readYaml('zdm.yml', text))['origin_port']).toBe(scalar)
  })

  test.each(['', ' ~', ' null', ' Null', ' NULL', ' # nothing'])(
    'gives nothing for `origin_port:%s`',
    (value) => {
      expect(readYaml('zdm.yml', `origin_port:${value}\nprimary_cluster: ORIGIN`).values.size).toBe(
        1,
      )
    },
  )

  test('needs no credentials', () => {
    expect(readYaml('zdm.yml', 'origin_port: 1').problems).toEqual([])
  })

  test('says where a setting is', () => {
    const raw = readYaml('conf/zdm.yml', '# proxy\n\norigin_port: 1\n')
    expect(raw.values.get('origin_port')?.label).toBe('origin_port (conf/zdm.yml:3)')
  })

  test('has names that no setting has, upper case ones among them', () => {
    const raw = readYaml('zdm.yml', 'a: 1\nORIGIN_PORT: 2\n? [x]\n: 3\nlist: [1]\n5: 6\n')
    expect(raw.unknown.map(({ label }) => label)).toEqual([
      'a (zdm.yml:1)',
      'ORIGIN_PORT (zdm.yml:2)',
      '["x"] (zdm.yml:3)',
      'list (zdm.yml:5)',
      '5 (zdm.yml:6)',
    ])
    expect(raw.values.size).toBe(0)
  })

  test.each(['[10.0.0.1, 10.0.0.2]', '\n  - 10.0.0.1', '{a: b}'])(
    'may not have %j for a setting',
    (value) => {
      const raw = readYaml('zdm.yml', `origin_contact_points: ${value}\n`)
      expect(raw.problems).toEqual([
        {
          key: 'origin_contact_points',
          setting: 'origin_contact_points',
          text: 'origin_contact_points (zdm.yml:1): must be one value, not a list or a mapping; what has several items is written with commas, as in "a,b"',
        },
      ])
    },
  )

  test('may not refer to a value that is not there', () => {
    const { problems } = readYaml('zdm.yml', 'origin_username: *x\n')
    expect(problems).toEqual([
      {
        key: 'origin_username',
        setting: 'origin_username',
        text: 'origin_username (zdm.yml:1): begins with * and so refers to another value, which is not there; put quotes around it',
      },
    ])
  })

  test.each([
    ['an empty file', '', 'zdm.yml: the file has no settings'],
    ['comments alone', '# a\n# b\n', 'zdm.yml: the file has no settings'],
    ['an empty document', '---\n', 'zdm.yml: the file has no settings'],
    ['null', 'null', 'zdm.yml: the file has no settings'],
    ['a list', '- a\n', 'zdm.yml: the file must be a mapping, a line `name: value` per setting'],
    [
      'text',
      'origin_port',
      'zdm.yml: the file must be a mapping, a line `name: value` per setting',
    ],
    ['a name twice', 'a: 1\norigin_port: 1\na: 2\n', 'zdm.yml:3: this setting is given twice'],
    ['a tab', 'origin_port:\n\tx: 1', 'zdm.yml:2: tabs are not allowed as indentation'],
    ['an open quote', 'origin_port: 1\na: "x\n', 'zdm.yml:3: missing closing "quote'],
  ])('with %s is refused', (_, text, message) => {
    const read = (): unknown => readYaml('zdm.yml', text)
    expect(read).toThrow(ConfigError)
    expect(read).toThrow(expect.objectContaining({ code: 'CONFIG_SYNTAX', message }))
  })

  test.each([
    '"S3cret',
    '*S3cret',
    '!S3cret x',
    '@S3cret',
    '[S3cret',
    '}S3cret',
    'a: S3cret',
    '%S3cret',
    '&S3cret *x',
  ])('shows nothing of a password that is no YAML: %s', (password) => {
    const texts: string[] = []
    try {
      const raw = readYaml('zdm.yml', `origin_password: ${password}\nb: 1\n`)
      texts.push(...raw.problems.map(({ text }) => text), ...raw.unknown.map(({ label }) => label))
    } catch (error) {
      texts.push(String(error))
    }
    expect(texts.join('\n')).not.toContain('S3cret')
  })
})
