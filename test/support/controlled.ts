/** An instance between two fake clusters with its switch and its admin API, which is asked without a socket. */
import type { FastifyInstance } from 'fastify'
import { createAdminApp } from '../../src/admin/admin-app.ts'
import { OPEN } from '../../src/admin/credentials.ts'
import { CertificateStore } from '../../src/certificates/certificate-store.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { describeSettings, type Settings } from '../../src/config/settings.ts'
import { createLogger, type RootLogger } from '../../src/log.ts'
import type { ProxyInstance } from '../../src/proxy/instance.ts'
import type { EvidenceSources, MigrationControl } from '../../src/proxy/migration-control.ts'
import { createControl, loadState } from '../../src/proxy/start-control.ts'
import { afterTest } from './after-test.ts'

export const silentLog = (clock: Clock = systemClock): RootLogger =>
  createLogger({ level: 'fatal', clock })

const NO_EVIDENCE: EvidenceSources = {
  sample: () => undefined,
  asyncReads: () => null,
  certificates: () => [],
}

export const startTestControl = (
  settings: Settings,
  instance: ProxyInstance,
  evidence: EvidenceSources = NO_EVIDENCE,
  leave: () => void = () => undefined,
  log: RootLogger = silentLog(),
): MigrationControl => {
  const tools = { clock: systemClock, log }
  const state = loadState(settings, tools)
  const control = createControl({
    settings,
    config: () => describeSettings(instance.settings, new Map()),
    version: '1.2.3',
    instance,
    state,
    serverStore: new CertificateStore({}, tools),
    evidence,
    leave,
    ...tools,
  })
  afterTest(() => control.close())
  return control
}

type TestAppOptions = {
  readonly token?: string | null
  readonly clock?: Clock
  readonly log?: RootLogger
}

export const testApp = (
  control: MigrationControl,
  { token = null, clock = systemClock, log = silentLog() }: TestAppOptions = {},
): FastifyInstance => {
  const credentials = { ...OPEN, tokens: token === null ? null : [token] }
  const app = createAdminApp(control, { credentials: () => credentials, clock, log })
  afterTest(() => app.close())
  return app
}

export type Asked = { readonly status: number; readonly body: unknown; readonly headers: object }

/** Asks as a command line would: JSON, to an IP address, no Origin. */
export const ask = async (
  app: FastifyInstance,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  url: string,
  payload?: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Asked> => {
  const answer = await app.inject({
    method,
    url,
    headers: { host: '127.0.0.1:14003', ...headers },
    ...(payload === undefined ? {} : { payload }),
  })
  return { status: answer.statusCode, body: JSON.parse(answer.body), headers: answer.headers }
}
