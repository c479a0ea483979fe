/**
 * From settings to the migration's switch and its admin API: the state file first, which decides how the
 * instance begins, then the HTTP server.
 */
import { createAdminApp } from '../admin/admin-app.ts'
import { type HttpServer, listenHttp } from '../admin/http-server.ts'
import type { CertificateStore } from '../certificates/certificate-store.ts'
import type { Clock } from '../clock.ts'
import { bindAddress } from '../config/address.ts'
import type { Settings } from '../config/settings.ts'
import { AuditLog } from '../control/audit-log.ts'
import { ControlErrorCode } from '../control/errors.ts'
import { firstState, type MigrationState } from '../control/migration-state.ts'
import type { ConfigEntry } from '../control/report.ts'
import { claimStateFile } from '../control/state-owner.ts'
import {
  FileStateStore,
  FORGETFUL_STORE,
  readStateFile,
  type StateStore,
} from '../control/state-store.ts'
import type { Logger, RootLogger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import { formatEndpoint } from '../net/dialer.ts'
import { quiescenceBoundMs } from '../session/quiescence.ts'
import { routingSetting } from './derived-settings.ts'
import type { ProxyInstance } from './instance.ts'
import { describeKeptState, type EvidenceSources, MigrationControl } from './migration-control.ts'
import { peerAccess, serverCredentials } from './server-credentials.ts'

const PEER_TIMEOUT_MS = 3000
/** On top of the longest that a change waits for requests in flight. */
const COMMIT_GRACE_MS = 5000

type Tools = { readonly clock: Clock; readonly log: RootLogger }

/** What the instance begins with. Throws a ControlError where the state file cannot be used, or is another's. */
export const loadState = (settings: Settings, { clock, log }: Tools): MigrationState => {
  const path = settings.routingStatePath
  if (path !== '') claimStateFile(path)
  const kept = path === '' ? null : readStateFile(path)
  if (kept === null) return firstState(routingSetting(settings), isoNow(clock))
  log.info({ code: 'ROUTING_STATE_KEPT', state: kept }, describeKeptState(kept, path))
  return kept
}

const isoNow = (clock: Clock): string => new Date(clock.wallMs()).toISOString()

export type ControlOptions = Tools & {
  readonly settings: Settings
  readonly config: () => readonly ConfigEntry[]
  readonly version: string
  readonly instance: ProxyInstance
  readonly state: MigrationState
  /** Of the HTTP servers. */
  readonly serverStore: CertificateStore
  readonly evidence: EvidenceSources
  /** Ends the process as SIGTERM does. */
  leave(): void
}

/** The switch with its files, and how it asks the other instances: by the settings and tokens of the moment. */
export const createControl = (options: ControlOptions): MigrationControl => {
  const { settings, serverStore, instance } = options
  const { routingStatePath, auditLogPath } = settings
  const store = routingStatePath === '' ? FORGETFUL_STORE : new FileStateStore(routingStatePath)
  const audit = new AuditLog(auditLogPath === '' ? null : auditLogPath)
  void tellUnwritable(store, audit, options.log)
  return new MigrationControl({
    ...options,
    store,
    audit,
    isTls: serverCredentials(serverStore, 'admin').tls !== null,
    access: () => ({
      ...peerAccess(serverStore),
      timeoutMs: PEER_TIMEOUT_MS,
      commitTimeoutMs: quiescenceBoundMs(instance.settings.proxyRequestTimeoutMs) + COMMIT_GRACE_MS,
    }),
  })
}

const WAY_OUT =
  'Until it can be, every change but a rollback is refused: make its directory and let the proxy write there, or set another path and restart'

/** Now, and not with the first change, which may be urgent. */
const tellUnwritable = async (store: StateStore, audit: AuditLog, log: Logger): Promise<void> => {
  const faults = [
    [ControlErrorCode.STATE_NOT_WRITTEN, await store.writeFault()],
    [ControlErrorCode.AUDIT_NOT_WRITTEN, await audit.writeFault()],
  ] as const
  for (const [code, fault] of faults) {
    if (fault !== null) log.warn({ code }, `${fault}. ${WAY_OUT}`)
  }
}

/**
 * Resolves with the server, or null where it is switched off, or its address cannot be bound: that is said
 * loudly, and clients are served all the same.
 */
export const serveAdmin = async (
  control: MigrationControl,
  { settings, serverStore, clock, log }: ControlOptions,
): Promise<HttpServer | null> => {
  if (!settings.adminEnabled) return null
  const address = bindAddress(settings.adminAddress)
  const where = {
    address,
    port: settings.adminPort,
    purpose: 'the admin API (admin_address, admin_port)',
  }
  const credentials = () => serverCredentials(serverStore, 'admin')
  const { tokens, tls } = credentials()
  try {
    const app = createAdminApp(control, { credentials, clock, log })
    const server = await listenHttp(app, where, clock)
    control.setAdminPort(server.port)
    log.info(
      { code: 'ADMIN_LISTENING', address, port: server.port },
      `admin API on ${tls === null ? 'http' : 'https'}://${formatEndpoint(address, server.port)}${tokens === null ? '' : ', with a token'}`,
    )
    return server
  } catch (error) {
    const text = messageOf(error)
    log.error(
      { code: 'HTTP_BIND_FAILED' },
      `${text}: the proxy runs on without the admin API; free the port or change the settings, then restart`,
    )
    return null
  }
}
