import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { describe, expect, test } from 'vitest'
import { loadSettings } from '../../src/config/load.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

const lines = read('deploy/systemd/zdm-proxy.service')
  .split('\n')
  .filter((line) => line !== '' && !/^[#;]/.test(line))

/** The values of a directive in a section, in the order of the file. */
const valuesOf = (section: string, directive: string): readonly string[] => {
  const start = lines.indexOf(`[${section}]`)
  expect(start, section).toBeGreaterThanOrEqual(0)
  const end = lines.findIndex((line, index) => index > start && line.startsWith('['))
  return lines
    .slice(start + 1, end < 0 ? undefined : end)
    .filter((line) => line.startsWith(`${directive}=`))
    .map((line) => line.slice(directive.length + 1))
}

/** Where systemd puts them, each with the name of its file. */
const credentials = new Map<string, string>(
  valuesOf('Service', 'LoadCredential').map((value) => {
    const [name, file] = value.split(':')
    return [`/run/credentials/zdm-proxy.service/${name}`, file!]
  }),
)

const { settings, warnings } = loadSettings(
  [{ kind: 'environment', variables: parseEnv(read('deploy/systemd/zdm-proxy.env.example')) }],
  {
    isStrict: true,
    readFile: (path) => {
      const file = credentials.get(path)
      if (file === undefined) throw new Error(`the unit does not load ${path}`)
      return Buffer.from(file)
    },
  },
)

describe('the systemd unit', () => {
  test('consists of sections and directives', () => {
    expect(lines.filter((line) => !/^(?:\[\w+\]|[A-Z]\w*=.*)$/.test(line))).toEqual([])
  })

  test('starts the command of the package', () => {
    const [command] = valuesOf('Service', 'ExecStart')
    const script = command!.replace(/^\/usr\/bin\/node \/opt\/zdm-proxy\//, '')
    expect(existsSync(join(ROOT, script)), script).toBe(true)
  })

  test('tells only the main process to stop, and gives it the time to drain', () => {
    expect(valuesOf('Service', 'KillMode')).toEqual(['mixed'])
    expect(Number(valuesOf('Service', 'TimeoutStopSec')) * 1000).toBeGreaterThan(
      settings.shutdownTimeoutMs,
    )
  })

  test('gives the proxy what its settings name: token, passwords, and a directory that stays', () => {
    expect(credentials.get(settings.adminTokenPath)).toBe('/etc/zdm-proxy/admin-token')
    expect(settings).toMatchObject({
      originPassword: '/etc/zdm-proxy/origin-password',
      targetPassword: '/etc/zdm-proxy/target-password',
    })
    const [state] = valuesOf('Service', 'StateDirectory')
    for (const path of [settings.routingStatePath, settings.auditLogPath]) {
      expect(dirname(path)).toBe(`/var/lib/${state}`)
    }
  })

  test('does not start again what wrong settings or a start that cannot succeed have ended', () => {
    expect(valuesOf('Service', 'Restart')).toEqual(['on-failure'])
    expect(valuesOf('Service', 'RestartPreventExitStatus')).toEqual(['2 3 255'])
  })

  test('does not forbid what V8 needs', () => {
    expect(valuesOf('Service', 'MemoryDenyWriteExecute')).toEqual([])
    expect(valuesOf('Service', 'DynamicUser')).toEqual(['yes'])
    expect(valuesOf('Service', 'NoNewPrivileges')).toEqual(['yes'])
  })
})

test('the example of its settings is taken by the proxy', () => {
  expect(warnings).toEqual([])
  expect(settings.proxyTopologyAddresses[settings.proxyTopologyIndex]).toBe(
    settings.proxyListenAddress,
  )
})
