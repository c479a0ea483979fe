/**
 * `node deploy/render.ts`: lints the chart and renders the manifests that the repository keeps, with the real
 * Helm: $HELM, or `helm` on the path. It is needed only after a change of the chart.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CHART, KUBERNETES_VERSION, RENDERINGS, renderedFile } from './renderings.ts'

const ROOT = join(import.meta.dirname, '..')
const GET_HELM = 'https://helm.sh, or go install helm.sh/helm/v3/cmd/helm@v3.22.0'

const helm = (...arguments_: string[]): string => {
  const program = process.env['HELM'] ?? 'helm'
  const options = [...arguments_, '--kube-version', KUBERNETES_VERSION]
  return execFileSync(program, options, {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

try {
  for (const rendering of RENDERINGS) {
    helm('lint', '--strict', CHART, '--values', rendering.values)
    const output = helm('template', 'zdm-proxy', CHART, '--values', rendering.values)
    const path = join(ROOT, rendering.path)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, renderedFile(rendering, output))
    console.log(`rendered ${rendering.path}`)
  }
} catch (error) {
  const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
  console.error(isMissing ? `Helm is not there: ${GET_HELM}` : `${(error as Error).message}`)
  process.exitCode = 1
}
