import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { CHART, RENDERINGS, readRendered, withCurrentHead } from '../../deploy/renderings.ts'
import { loadSettings } from '../../src/config/load.ts'
import type { Settings } from '../../src/config/settings.ts'
import { schemaFaults } from '../support/kubernetes-schema.ts'

type Labels = Readonly<Record<string, string>>
type EnvironmentVariable = {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string }
  }
}
type Port = { readonly name: string; readonly containerPort: number }
type Probe = { readonly httpGet: { readonly path: string; readonly port: string } }
type Container = {
  readonly image: string
  readonly env: readonly EnvironmentVariable[]
  readonly envFrom: readonly { readonly configMapRef: { readonly name: string } }[]
  readonly ports: readonly Port[]
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
  readonly securityContext: Readonly<Record<string, unknown>>
  readonly resources: { readonly limits: Labels }
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[]
}
type Secret = {
  readonly secretName: string
  readonly items?: readonly { readonly key: string; readonly path: string }[]
}
type Volume = { readonly name: string; readonly secret?: Secret }
type PodSpec = {
  readonly volumes?: readonly Volume[]
  readonly containers: readonly [Container]
  readonly terminationGracePeriodSeconds: number
  readonly enableServiceLinks: boolean
  readonly automountServiceAccountToken: boolean
  readonly securityContext: Readonly<Record<string, unknown>>
}
type Manifest = {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels: Labels }
  readonly data: Labels
  readonly spec: {
    readonly replicas: number
    readonly serviceName: string
    readonly clusterIP?: string
    readonly selector: Labels & { readonly matchLabels: Labels }
    readonly maxUnavailable: number
    readonly updateStrategy: { readonly type: string }
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[]
    readonly endpoints?: readonly unknown[]
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[]
    readonly ingress: readonly { readonly from: readonly unknown[]; readonly ports: unknown }[]
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec }
  }
}

const MANIFESTS = new Map(
  RENDERINGS.map((rendering) => {
    const documents = parseAllDocuments(readRendered(rendering)).map((document) => {
      expect(document.errors, rendering.path).toEqual([])
      return document.toJS() as Manifest
    })
    return [rendering.path, documents] as const
  }),
)

const ofKind = (manifests: readonly Manifest[], kind: string): readonly Manifest[] =>
  manifests.filter((manifest) => manifest.kind === kind)

const only = (manifests: readonly Manifest[], kind: string): Manifest => {
  const found = ofKind(manifests, kind)
  expect(found, kind).toHaveLength(1)
  return found[0]!
}

const instanceServices = (manifests: readonly Manifest[]): readonly Manifest[] =>
  ofKind(manifests, 'Service').filter(({ spec }) => spec.clusterIP === undefined)

/** The variables that Kubernetes makes of the Services of a namespace, headless ones left out. */
const serviceVariables = (manifests: readonly Manifest[]): Record<string, string> =>
  Object.fromEntries(
    instanceServices(manifests).flatMap(({ metadata, spec }, index) => {
      const name = metadata.name.toUpperCase().replaceAll('-', '_')
      const address = `10.96.0.${index + 1}`
      const port = String(spec.ports[0]!.port)
      return [
        [`${name}_SERVICE_HOST`, address],
        [`${name}_SERVICE_PORT`, port],
        [`${name}_SERVICE_PORT_CQL`, port],
        [`${name}_PORT`, `tcp://${address}:${port}`],
      ]
    }),
  )

/** What the container of pod `index` finds in its environment, as the kubelet makes it. */
const environmentOf = (manifests: readonly Manifest[], index: number): Record<string, string> => {
  const set = only(manifests, 'StatefulSet')
  const { containers, enableServiceLinks } = set.spec.template.spec
  const [container] = containers
  const labels: Labels = {
    ...set.spec.template.metadata.labels,
    'apps.kubernetes.io/pod-index': String(index),
    'topology.kubernetes.io/zone': `zone-${index}`,
  }
  const environment = enableServiceLinks ? serviceVariables(manifests) : {}
  for (const { configMapRef } of container.envFrom) {
    const source = ofKind(manifests, 'ConfigMap').find(
      ({ metadata }) => metadata.name === configMapRef.name,
    )
    Object.assign(environment, source!.data)
  }
  for (const { name, value, valueFrom } of container.env) {
    const [, label] =
      /^metadata\.labels\['(.+)'\]$/.exec(valueFrom?.fieldRef?.fieldPath ?? '') ?? []
    if (label !== undefined) environment[name] = labels[label]!
    else {
      environment[name] = value!.replace(
        /\$\((\w+)\)/g,
        (reference, variable: string) => environment[variable] ?? reference,
      )
    }
  }
  return environment
}

/** The files that the container has of Secrets: `name key` by path. */
const secretFilesOf = (manifests: readonly Manifest[]): ReadonlyMap<string, string> => {
  const { volumes = [], containers } = only(manifests, 'StatefulSet').spec.template.spec
  return new Map(
    volumes.flatMap(({ name, secret }) => {
      const mount = containers[0].volumeMounts?.find((one) => one.name === name)
      return (secret?.items ?? []).map(
        ({ key, path }) => [`${mount!.mountPath}/${path}`, `${secret!.secretName} ${key}`] as const,
      )
    }),
  )
}

/** Strictly: a name that no setting has is an error, and a secret file that is not mounted. */
const settingsOf = (manifests: readonly Manifest[], index: number): Settings => {
  const variables = environmentOf(manifests, index)
  const files = secretFilesOf(manifests)
  const { settings, warnings } = loadSettings([{ kind: 'environment', variables }], {
    isStrict: true,
    readFile: (path) => {
      const content = files.get(path)
      if (content === undefined) throw new Error(`${path} is not mounted`)
      return Buffer.from(path.endsWith('/map.yaml') ? 'users: {}' : content)
    },
  })
  expect(warnings).toEqual([])
  return settings
}

test.each(RENDERINGS)('$path is what Helm has made of the chart as it is', (rendering) => {
  const file = readRendered(rendering)
  // Stale or edited by hand: `node deploy/render.ts`.
  expect(file.split('\n').slice(0, 4)).toEqual(
    withCurrentHead(rendering, file).split('\n').slice(0, 4),
  )
})

describe.each([...MANIFESTS])('%s', (_, manifests) => {
  const set = only(manifests, 'StatefulSet')
  const { spec: pod } = set.spec.template
  const [container] = pod.containers

  test("holds to Kubernetes' schema, without a field that it does not know", () => {
    const own = manifests.filter(
      ({ apiVersion }) => !apiVersion.startsWith('monitoring.coreos.com/'),
    )
    expect(own.length).toBeGreaterThan(3)
    expect(own.flatMap((manifest) => schemaFaults(manifest))).toEqual([])
  })

  test('gives each instance settings that the proxy takes', () => {
    for (let index = 0; index < set.spec.replicas; index++) {
      const settings = settingsOf(manifests, index)
      expect(settings.proxyTopologyIndex).toBe(index)
      expect(settings.proxyTopologyAddresses).toHaveLength(set.spec.replicas)
      expect(settings.proxyTopologyAddresses).toEqual(
        settingsOf(manifests, 0).proxyTopologyAddresses,
      )
      expect(['0.0.0.0', '::']).toContain(settings.proxyListenAddress)
      expect(settings.metricsAddress).toBe(settings.proxyListenAddress)
    }
  })

  test('has a Service for each instance, in the order of the topology', () => {
    const services = instanceServices(manifests)
    const selected = services.map(({ spec }) => spec.selector['statefulset.kubernetes.io/pod-name'])
    expect(selected).toEqual(
      Array.from({ length: set.spec.replicas }, (__, index) => `${set.metadata.name}-${index}`),
    )
  })

  test('lets clients and probes in where the proxy listens', () => {
    const settings = settingsOf(manifests, 0)
    const ports = new Map(container.ports.map(({ name, containerPort }) => [name, containerPort]))
    expect(ports.get('cql')).toBe(settings.proxyListenPort)
    expect(ports.get('metrics')).toBe(settings.metricsPort)
    expect(ports.get('admin')).toBe(settings.adminPort)
    for (const { spec } of instanceServices(manifests)) {
      // Drivers go to the other instances by the port of their contact point.
      const port = settings.proxyAdvertisedPort || settings.proxyListenPort
      expect(spec.ports).toMatchObject([{ port, targetPort: 'cql' }])
    }
    const isTls = settingsOf(manifests, 0).metricsTlsCertPath !== ''
    const how = { port: 'metrics', ...(isTls ? { scheme: 'HTTPS' } : {}) }
    expect(container.livenessProbe.httpGet).toEqual({ path: '/health/liveness', ...how })
    expect(container.readinessProbe.httpGet).toEqual({ path: '/health/readiness', ...how })
  })

  test('mounts volumes that it has, and keeps the state on one of each instance', () => {
    const claims = (set.spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata.name)
    const volumes = [...claims, ...(pod.volumes ?? []).map(({ name }) => name)]
    const mounts = container.volumeMounts ?? []
    expect(mounts.map(({ name }) => name).sort()).toEqual(volumes.sort())
    const kept = mounts.filter(({ name }) => claims.includes(name)).map((one) => one.mountPath)
    const { routingStatePath, auditLogPath } = settingsOf(manifests, 0)
    const directories = [routingStatePath, auditLogPath].map((path) => path && dirname(path))
    expect(directories).toEqual(kept.length === 0 ? ['', ''] : [kept[0], kept[0]])
  })

  test('shows the admin API to others only with a token, and to instances by the names of pods', () => {
    const settings = settingsOf(manifests, 0)
    const { adminAddress, adminTokenPath, adminPeerAddresses } = settings
    const tokens = (pod.volumes ?? []).filter(({ name }) => name === 'admin-token')
    expect(adminAddress).toBe(tokens.length === 0 ? 'localhost' : settings.proxyListenAddress)
    expect(adminTokenPath).toBe(tokens.length === 0 ? '' : '/etc/zdm-proxy/admin/token')
    for (const { secret } of tokens) expect(secret!.secretName).toMatch(/^[a-z-]+$/)
    expect(adminPeerAddresses).toEqual(
      Array.from(
        { length: set.spec.replicas },
        (__, index) => `${set.metadata.name}-${index}.${set.spec.serviceName}`,
      ),
    )
  })

  test('selects its own pods', () => {
    const { labels } = set.spec.template.metadata
    const headless = ofKind(manifests, 'Service').find(
      ({ metadata }) => metadata.name === set.spec.serviceName,
    )
    expect(headless!.spec.clusterIP).toBe('None')
    const selectors = [
      set.spec.selector.matchLabels,
      headless!.spec.selector,
      ...ofKind(manifests, 'PodDisruptionBudget').map(({ spec }) => spec.selector.matchLabels),
    ]
    for (const selector of selectors) expect(labels).toMatchObject(selector)
  })

  test('waits for the drain', () => {
    const { shutdownTimeoutMs } = settingsOf(manifests, 0)
    expect(set.spec.updateStrategy).toEqual({ type: 'RollingUpdate' })
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(shutdownTimeoutMs + 10_000)
  })

  test('runs without rights that it does not need', () => {
    expect(pod.automountServiceAccountToken).toBe(false)
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(container.resources.limits['memory']).toBeDefined()
  })

  test('has no password in itself', () => {
    expect(ofKind(manifests, 'Secret')).toEqual([])
    const texts = [
      ...container.env.map(({ name, value }) => [name, value]),
      ...ofKind(manifests, 'ConfigMap').flatMap(({ data }) => Object.entries(data)),
    ]
    const secrets = texts.filter(([name]) => /_(?:USERNAME|PASSWORD|MAP)$/.test(name!))
    expect(secrets.filter(([, text]) => text !== '')).toEqual([])
  })
})

describe('the plain manifests', () => {
  const manifests = MANIFESTS.get('deploy/kubernetes/zdm-proxy.yaml')!

  test('have three instances, of which one at a time may be taken', () => {
    expect(only(manifests, 'StatefulSet').spec.replicas).toBe(3)
    expect(only(manifests, 'PodDisruptionBudget').spec.maxUnavailable).toBe(1)
  })

  test('listen on IPv4', () => {
    expect(settingsOf(manifests, 0).proxyListenAddress).toBe('0.0.0.0')
  })

  test('show drivers the cluster IPs of the Services', () => {
    expect(settingsOf(manifests, 0).proxyTopologyAddresses).toEqual([
      '10.96.0.1',
      '10.96.0.2',
      '10.96.0.3',
    ])
  })

  test('take credentials from Secrets, as files', () => {
    expect(settingsOf(manifests, 0)).toMatchObject({
      originUsername: 'zdm-origin username',
      originPassword: 'zdm-origin password',
      targetUsername: 'zdm-target username',
      targetPassword: 'zdm-target password',
    })
  })

  test('bear no mark of Helm', () => {
    const labels = manifests.flatMap(({ metadata }) => Object.keys(metadata.labels))
    expect(labels).not.toContain('helm.sh/chart')
    expect(labels).not.toContain('app.kubernetes.io/managed-by')
  })
})

describe('with all values', () => {
  const manifests = MANIFESTS.get('test/deploy/rendered/full.yaml')!

  test('settings arrive as they were written', () => {
    expect(settingsOf(manifests, 4)).toMatchObject({
      originContactPoints: ['10.0.1.1', '10.0.1.2'],
      originPort: 9142,
      originLocalDatacenter: 'dc1',
      targetContactPoints: [],
      targetSecureConnectBundlePath: '/etc/zdm-proxy/target-bundle/target.zip',
      primaryCluster: 'TARGET',
      proxyMaxClientConnections: 1_000_000,
      heartbeatRetryBackoffFactor: 1.5,
      proxyListenAddress: '::',
      proxyListenPort: 9043,
      proxyAdvertisedPort: 9942,
      originLocalRack: 'zone-4',
      adminPort: 14_103,
      proxyTopologyAddresses: ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '192.0.2.5'],
    })
  })

  test('metrics are served with TLS to those who show a token, from files of Secrets', () => {
    const { metricsTlsCertPath, metricsTlsKeyPath, metricsTokenPath } = settingsOf(manifests, 0)
    const { containers, volumes } = only(manifests, 'StatefulSet').spec.template.spec
    const secretAt = (path: string): string | undefined => {
      const mount = containers[0].volumeMounts!.find(({ mountPath }) => mountPath === dirname(path))
      return volumes!.find(({ name }) => name === mount?.name)?.secret?.secretName
    }
    expect([metricsTlsCertPath, metricsTlsKeyPath].map(secretAt)).toEqual([
      'metrics-tls',
      'metrics-tls',
    ])
    expect(secretAt(metricsTokenPath)).toBe('metrics-credentials')
    const [endpoint] = only(manifests, 'ServiceMonitor').spec.endpoints!
    expect(endpoint).toMatchObject({
      scheme: 'https',
      tlsConfig: { serverName: 'zdm-proxy.example.com' },
      authorization: { credentials: { name: 'metrics-credentials', key: 'shown' } },
    })
  })

  test('each key of a Secret is mounted where its setting looks for it', () => {
    const { originUsername, targetUsername, targetPassword, credentialsMapPath } = settingsOf(
      manifests,
      0,
    )
    expect([originUsername, targetUsername, targetPassword]).toEqual([
      'origin-credentials username',
      'target-credentials user',
      'target-credentials pass',
    ])
    expect(secretFilesOf(manifests).get(credentialsMapPath)).toBe('users users.yaml')
  })

  test('a Secure Connect Bundle is mounted from its Secret, where the setting says', () => {
    const { containers, volumes } = only(manifests, 'StatefulSet').spec.template.spec
    expect(containers[0].volumeMounts).toContainEqual({
      name: 'target-bundle',
      mountPath: '/etc/zdm-proxy/target-bundle',
      readOnly: true,
    })
    expect(volumes).toContainEqual({
      name: 'target-bundle',
      secret: {
        secretName: 'target-bundle',
        defaultMode: 0o440,
        items: [{ key: 'target.zip', path: 'target.zip' }],
      },
    })
  })

  test('instances reach the CQL port, beside the clients that are named', () => {
    const { ingress } = only(manifests, 'NetworkPolicy').spec
    const { matchLabels } = only(manifests, 'StatefulSet').spec.selector
    expect(ingress[0]).toEqual({
      from: [
        { podSelector: { matchLabels } },
        { namespaceSelector: { matchLabels: { name: 'applications' } } },
      ],
      ports: [{ port: 'cql' }],
    })
  })

  test('only instances and operators reach the admin API', () => {
    const { ingress } = only(manifests, 'NetworkPolicy').spec
    const { matchLabels } = only(manifests, 'StatefulSet').spec.selector
    expect(ingress.filter(({ ports }) => JSON.stringify(ports) === '[{"port":"admin"}]')).toEqual([
      {
        from: [
          { podSelector: { matchLabels } },
          { podSelector: { matchLabels: { role: 'operator' } } },
        ],
        ports: [{ port: 'admin' }],
      },
    ])
  })

  test('the ServiceMonitor gives the job the name that dashboards ask for', () => {
    expect(only(manifests, 'ServiceMonitor').spec).toMatchObject({
      endpoints: [
        { port: 'metrics', relabelings: [{ targetLabel: 'job', replacement: 'zdm_proxy' }, {}] },
      ],
    })
  })
})

test("the chart installs this version's image", () => {
  const root = join(import.meta.dirname, '../..')
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const chart = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'))
  expect(chart.appVersion).toBe(version)
  const { image } = only(MANIFESTS.get('deploy/kubernetes/zdm-proxy.yaml')!, 'StatefulSet').spec
    .template.spec.containers[0]
  expect(image).toBe(`zdm-proxy:${version}`)
})
