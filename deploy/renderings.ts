/**
 * The manifests that Helm makes of the chart, kept in the repository: the plain Kubernetes manifests, and
 * renderings for the tests. Each carries in its head what it was made of, so that a machine without Helm can tell
 * whether the chart has moved on or somebody has edited what was rendered.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

export const CHART = join(ROOT, 'deploy/helm/zdm-proxy')

/** What the chart is rendered for; the oldest version that it allows. */
export const KUBERNETES_VERSION = '1.28.0'

export type Rendering = {
  /** Both relative to the repository. */
  readonly values: string
  readonly path: string
  /** Marks of Helm's own would be wrong on manifests that kubectl applies. */
  readonly isPlain: boolean
}

export const RENDERINGS: readonly Rendering[] = [
  {
    values: 'deploy/kubernetes/values.yaml',
    path: 'deploy/kubernetes/zdm-proxy.yaml',
    isPlain: true,
  },
  ...['minimal', 'full'].map((name) => ({
    values: `deploy/helm/zdm-proxy/ci/${name}-values.yaml`,
    path: `test/deploy/rendered/${name}.yaml`,
    isPlain: false,
  })),
]

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Of every file that Helm reads: names and contents. */
const inputFingerprint = (values: string): string => {
  const chartFiles = readdirSync(CHART, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(CHART.length + 1))
    .filter((path) => !path.startsWith('ci/'))
    .sort()
  const contents = chartFiles.map((path) => [path, readFileSync(join(CHART, path), 'utf8')])
  return sha256(JSON.stringify([...contents, readFileSync(join(ROOT, values), 'utf8')]))
}

const HELM_MARKS = /^ *(?:app\.kubernetes\.io\/managed-by|helm\.sh\/chart): .*\n/gm

/** What stands in front of a body now; a file with another head is stale or was edited by hand. */
const headOf = (rendering: Rendering, body: string): string =>
  [
    '# Rendered by Helm from deploy/helm/zdm-proxy; `node deploy/render.ts` does it again. Do not edit.',
    `# Values: ${rendering.values}`,
    `# Chart and values: sha256 ${inputFingerprint(rendering.values)}`,
    `# What follows: sha256 ${sha256(body)}`,
    '',
  ].join('\n')

/** The file that Helm's output becomes. */
export const renderedFile = (rendering: Rendering, helmOutput: string): string => {
  const body = rendering.isPlain ? helmOutput.replace(HELM_MARKS, '') : helmOutput
  return headOf(rendering, body) + body
}

export const readRendered = ({ path }: Rendering): string => readFileSync(join(ROOT, path), 'utf8')

/** The same file with the head that it should have. */
export const withCurrentHead = (rendering: Rendering, file: string): string => {
  const body = file.split('\n').slice(4).join('\n')
  return headOf(rendering, body) + body
}
