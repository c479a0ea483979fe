/**
 * The web console's files, served by the admin port. Read once: they are part of the program. They
 * may be had without a token, for they say nothing; the API that they talk to asks for it.
 */
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import { PHASE_TABLE, PHASES } from '../control/phase.ts'

const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/console.css', 'console.css', 'text/css; charset=utf-8'],
  ...['console.js', 'api.js', 'clients.js', 'dom.js', 'plan.js', 'plots.js', 'views.js'].map(
    (file) => [`/${file}`, file, 'text/javascript; charset=utf-8'] as const,
  ),
] as const

/** Nothing from elsewhere, nothing inline, no frame around it. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const MEANINGS_PATH = '/phases.json'
const MEANINGS = Object.fromEntries(
  PHASES.map((phase) => [
    phase,
    { meaning: PHASE_TABLE[phase].meaning, wayBack: PHASE_TABLE[phase].wayBack },
  ]),
)

/** The paths that need no token. */
export const CONSOLE_PATHS: ReadonlySet<string> = new Set([
  MEANINGS_PATH,
  ...FILES.map(([path]) => path),
])

/** The web console's files, and what its words mean. What it shows it asks the API for. */
export const addConsole = (app: FastifyInstance): void => {
  app.get(MEANINGS_PATH, async () => MEANINGS)
  for (const [path, file, type] of FILES) {
    const content = readFileSync(new URL(`./console/${file}`, import.meta.url))
    app.get(path, async (_request, reply) =>
      reply
        .header('content-type', type)
        .header('content-security-policy', CONTENT_SECURITY_POLICY)
        .header('referrer-policy', 'no-referrer')
        .send(content),
    )
  }
}
