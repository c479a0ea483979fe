/**
 * The admin API over HTTP: the operations of api-operations.ts as routes, guarded by guard.ts. What they do
 * is src/control/'s and comes in as an AdminApi.
 */
import { TLSSocket } from 'node:tls'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../clock.ts'
import { formatAddress, parseAddress } from '../cluster/address.ts'
import { checkEverywhere } from '../control/check-everywhere.ts'
import { clientsEverywhere, closeEverywhere } from '../control/clients-everywhere.ts'
import { coordinateChange, deploymentStatus, type InstanceClient } from '../control/coordinate.ts'
import { ControlError, type ControlErrorCode } from '../control/errors.ts'
import type { MigrationState } from '../control/migration-state.ts'
import type { Phase, Routing } from '../control/phase.ts'
import { planChange } from '../control/plan.ts'
import type { Into } from '../control/reconciliation.ts'
import type {
  ChangeReport,
  ClientSelection,
  LogLevelReport,
  PrepareRequest,
  Problem,
  Reconciliation,
  Requester,
} from '../control/report.ts'
import { nextPhase } from '../control/transitions.ts'
import type { Wish } from '../control/wish.ts'
import type { Logger } from '../log.ts'
import type { Component, LogLevel } from '../log-levels.ts'
import { messageOf } from '../message-of.ts'
import type { AdminApi } from './admin-api.ts'
import { OPERATIONS, type Operation, type OperationId } from './api-operations.ts'
import { SCHEMAS } from './api-schemas.ts'
import { addConsole, CONSOLE_PATHS } from './console-routes.ts'
import { Guard, type GuardOptions } from './guard.ts'
import { createHttpApp } from './http-server.ts'
import { openApiDocument } from './openapi.ts'

export type AdminAppOptions = GuardOptions & {
  readonly clock: Clock
  readonly log: Logger
}

const STATUS_OF: Readonly<Record<ControlErrorCode, number>> = {
  NO_SUCH_WAY: 409,
  REVISION_MISMATCH: 409,
  CHANGE_IN_PROGRESS: 409,
  CHANGE_UNKNOWN: 404,
  CHECK_IN_PROGRESS: 409,
  CHANGE_DISCARDED: 409,
  CHECKS_FAILED: 409,
  REASON_MISSING: 400,
  ADDRESS_INVALID: 400,
  LAST_INSTANCE: 409,
  RECONCILIATION_REFUSED: 409,
  STATE_UNREADABLE: 503,
  STATE_IN_USE: 503,
  STATE_NOT_WRITTEN: 503,
  AUDIT_NOT_WRITTEN: 503,
  THREAD_BEHIND: 502,
}

const STATUS_OF_OUTCOME: Readonly<Record<ChangeReport['outcome'], number>> = {
  done: 200,
  unchanged: 200,
  refused: 409,
  partial: 502,
}

/** A request whose parts fit the operation's schemas. */
type Call = {
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
  readonly via: string
}
type Answer = { readonly status: number; readonly body: unknown }
type Handler = (call: Call) => Promise<Answer>

/** The one cast of this file: the schema of the same name has been checked, and its defaults filled in. */
const checked = <T>(value: unknown): T => value as T

type Named = Omit<Requester, 'force'>
type Advance = Requester & { readonly to: Phase; readonly from?: Phase }
type Rollback = Requester & { readonly leave: boolean }
type Align = Requester & { readonly like: string }
type Route = Requester & { readonly routing: Routing }
type CheckQuery = {
  readonly keyspace?: readonly string[]
  readonly scope: 'instance' | 'deployment'
  readonly schema: boolean
}
type ReconciliationRequest = Named & {
  readonly scope: 'instance' | 'deployment'
  readonly step: Reconciliation['step']
  readonly into: Into
  readonly since: string | null
  readonly at: string | null
}
type Scoped = { readonly scope: 'instance' | 'deployment' }
type CloseRequest = Named & Scoped & ClientSelection
type LogLevelRequest = Named & { readonly level: LogLevel; readonly component: Component | null }
type PlanQuery = { readonly verb: 'advance' | 'rollback'; readonly to?: Phase }

const ok = (body: unknown): Answer => ({ status: 200, body })

const handlersFor = (api: AdminApi, clock: Clock): Record<OperationId, Handler> => {
  const change = async (wish: Wish, { by, reason, force }: Requester, via: string) => {
    const requester = { by, reason, force }
    const report = await coordinateChange(api.deployment(via), wish, requester, clock)
    if (report.outcome === 'refused') api.refused(report, requester, via)
    return { status: STATUS_OF_OUTCOME[report.outcome], body: report }
  }
  const plan = async ({ verb, to }: PlanQuery, via: string): Promise<Answer> => {
    const wish = await wishFor(api, verb, to)
    return ok(await planChange(api.deployment(via), wish, clock))
  }
  return {
    getStatus: async () => ok(await api.status()),
    getDeployment: async ({ via }) => ok(await deploymentStatus(api.deployment(via))),
    getPlan: ({ query, via }) => plan(checked<PlanQuery>(query), via),
    getCheck: async ({ query, via }) => {
      const { keyspace = [], scope, schema } = checked<CheckQuery>(query)
      const own = api.check(schema ? keyspace : null)
      const others = scope === 'instance' ? [] : api.deployment(via).slice(1)
      return ok(await checkEverywhere(own, others))
    },
    advance: ({ body, via }) => {
      const { to, from, ...requester } = checked<Advance>(body)
      return change({ verb: 'advance', to, from }, requester, via)
    },
    rollback: ({ body, via }) => {
      const { leave, ...requester } = checked<Rollback>(body)
      return change({ verb: 'rollback', leave }, requester, via)
    },
    align: ({ body, via }) => {
      const { like, ...requester } = checked<Align>(body)
      return change({ verb: 'align', like }, requester, via)
    },
    setRouting: ({ body, via }) => {
      const { routing, ...requester } = checked<Route>(body)
      return change({ verb: 'route', routing }, requester, via)
    },
    prepareChange: async ({ body, via }) => ({
      status: 201,
      body: await api.prepare(checked<PrepareRequest>(body), via),
    }),
    commitChange: async ({ params, via }) => {
      return ok(await api.commit(checked<{ id: string }>(params).id, via))
    },
    abortChange: async ({ params }) => {
      api.abort(checked<{ id: string }>(params).id)
      return ok({})
    },
    recordReconciliation: ({ body, via }) => reconcile(api, clock, checked(body), via),
    getAudit: async ({ query }) => ok(api.audit(checked<{ limit: number }>(query).limit)),
    getMismatches: async ({ query }) =>
      ok(await api.mismatches(checked<{ limit: number }>(query).limit)),
    getClients: async ({ query, via }) => {
      const { scope } = checked<Scoped>(query)
      return ok(await clientsEverywhere(instancesOf(api, scope, via)))
    },
    closeClients: ({ body, via }) => closeClients(api, checked(body), via),
    drain: async ({ body, via }) => {
      await api.drain(checked<Requester>(body), via)
      return ok({ instance: api.name })
    },
    getConfig: async () => ok(api.config()),
    getLogLevel: async () => ok(logLevelReport(api)),
    setLogLevel: async ({ body, via }) => {
      const { level, component, ...requester } = checked<LogLevelRequest>(body)
      api.setLogLevel(level, component, requester, via)
      return ok(logLevelReport(api))
    },
  }
}

const logLevelReport = ({ logLevels: { base, components } }: AdminApi): LogLevelReport => ({
  level: base,
  components,
})

/** This one first. */
const instancesOf = (
  api: AdminApi,
  scope: Scoped['scope'],
  via: string,
): readonly InstanceClient[] => {
  const all = api.deployment(via)
  return scope === 'instance' ? all.slice(0, 1) : all
}

/** As the clients' own are written. */
const canonicalAddress = (text: string): string => {
  const bytes = parseAddress(text.replace(/^\[(.*)\]$/, '$1'))
  if (bytes !== null) return formatAddress(bytes)
  throw new ControlError(
    'ADDRESS_INVALID',
    `${JSON.stringify(text)} is no IP address: give it without port or name, as zdm clients shows it`,
  )
}

const closeClients = async (
  api: AdminApi,
  { scope, address, user, by, reason }: CloseRequest,
  via: string,
): Promise<Answer> => {
  if (reason === '') {
    throw new ControlError('REASON_MISSING', 'closing clients needs a reason: it is recorded why')
  }
  const instances = instancesOf(api, scope, via)
  const selection = { address: canonicalAddress(address), user }
  const report = await closeEverywhere(instances, selection, { by, reason })
  const hasFailed = report.instances.some(({ error }) => error !== null)
  return { status: hasFailed ? 502 : 200, body: report }
}

const wishFor = async (api: AdminApi, verb: 'advance' | 'rollback', to?: Phase): Promise<Wish> => {
  if (verb === 'rollback') return { verb, leave: true }
  return { verb, to: to ?? nextPhase((await api.status()).state) }
}

/** Times as the state keeps them, so that they can be compared as texts. */
const asTime = (text: string, nowIso: string): string => {
  if (text === 'now') return nowIso
  const ms = Date.parse(text)
  if (!Number.isNaN(ms)) return new Date(ms).toISOString()
  throw new ControlError(
    'RECONCILIATION_REFUSED',
    `${JSON.stringify(text)} is no time: ISO 8601 is understood, and "now"`,
  )
}

const reconcile = async (
  api: AdminApi,
  clock: Clock,
  { scope, by, reason, step, into, since, at: told }: ReconciliationRequest,
  via: string,
): Promise<Answer> => {
  const nowIso = new Date(clock.wallMs()).toISOString()
  // Of all instances the same: what the one says that was asked.
  const at = told === null ? nowIso : asTime(told, nowIso)
  const reconciliation: Reconciliation =
    step === 'begin' ? { step, at } : { step, at, into, since: since && asTime(since, at) }
  const clients = instancesOf(api, scope, via)
  const results = await Promise.allSettled(
    clients.map((client) => client.reconciled(reconciliation, { by, reason })),
  )
  const failed = results.flatMap((result, i) =>
    result.status === 'rejected' ? [{ name: clients[i]!.name, error: result.reason }] : [],
  )
  const [first] = failed
  // They are of one mind, as a rule: then it is a refusal and nothing half done.
  if (first?.error instanceof ControlError && failed.length === clients.length) throw first.error
  if (first !== undefined) {
    const failures = failed.map(({ name, error }) => `${name}: ${messageOf(error)}`)
    const message = `not recorded by ${failures.join('; ')}; ask again, it is safe`
    return { status: 502, body: { code: 'RECONCILIATION_PARTIAL', message } satisfies Problem }
  }
  const { state } = await api.status()
  return ok({ ...memoryOf(state), instances: clients.map(({ name }) => name) })
}

const memoryOf = ({
  reconciledAt,
  comparisonBegunAt,
  originLacks,
  targetLacks,
}: MigrationState) => ({
  reconciledAt,
  comparisonBegunAt,
  originLacks,
  targetLacks,
})

const UNSUPPORTED_MEDIA_TYPE = 415
const WANTS_JSON = 'the body must be JSON, with the header content-type: application/json'

const codeOf = (status: number, error: Error): string => {
  if (error instanceof ControlError) return error.code
  if (status === 404) return 'NOT_FOUND'
  if (status === UNSUPPORTED_MEDIA_TYPE) return 'CONTENT_TYPE_UNSUPPORTED'
  return status < 500 ? 'REQUEST_INVALID' : 'INTERNAL_ERROR'
}

const answerError = (reply: FastifyReply, status: number, error: Error): void => {
  const checks = error instanceof ControlError ? error.checks : []
  const known = error instanceof ControlError ? STATUS_OF[error.code] : status
  const message = known === UNSUPPORTED_MEDIA_TYPE ? WANTS_JSON : error.message
  const problem: Problem = { code: codeOf(known, error), message, checks }
  // Made by hand: an error may come before a route, and its schemas, are known.
  void reply
    .code(known)
    .header('content-type', JSON_TYPE)
    .send(Buffer.from(JSON.stringify(problem)))
}

/** A caller's mistake is told to the caller; the log is for what the operator of the proxy must mend. */
const refuse = (reply: FastifyReply, error: ControlError, log: Logger): FastifyReply => {
  const { code, message } = error
  if (STATUS_OF[code] >= INTERNAL_SERVER_ERROR) {
    log.limited(`admin ${code}`, 'warn', { code }, `admin API: ${message}`)
  }
  answerError(reply, STATUS_OF[code], error)
  return reply
}

const INTERNAL_SERVER_ERROR = 500

const JSON_TYPE = 'application/json; charset=utf-8'

const certificateName = (request: FastifyRequest): string | null => {
  const { socket } = request
  if (!(socket instanceof TLSSocket)) return null
  const name: unknown = socket.getPeerCertificate().subject?.CN
  return typeof name === 'string' ? name : null
}

const viaOf = (request: FastifyRequest): string => {
  const name = certificateName(request)
  return name === null ? request.ip : `${request.ip} (${name})`
}

/** The requests without a body may come with an empty one. */
const schemaOf = ({ body, query, answers }: Operation): object => ({
  ...(body === undefined ? {} : { body: { $ref: `${body}#` } }),
  ...(query === undefined
    ? {}
    : {
        querystring: {
          type: 'object',
          properties: query,
          required: 'verb' in query ? ['verb'] : [],
          additionalProperties: false,
        },
      }),
  response: Object.fromEntries(
    Object.entries(answers).map(([status, { schema }]) => [status, schema]),
  ),
})

const DOCUMENT_PATH = '/openapi.json'
const PUBLIC_ROUTES = new Set([DOCUMENT_PATH, ...CONSOLE_PATHS])

/** An app with every operation and /openapi.json, not yet listening. */
export const createAdminApp = (api: AdminApi, options: AdminAppOptions): FastifyInstance => {
  const { clock, log, credentials } = options
  const { tls, hasMutualTls } = credentials()
  const asksForCertificate = { requestCert: hasMutualTls, rejectUnauthorized: hasMutualTls }
  const https = tls === null ? null : { ...tls, ...asksForCertificate }
  const app = createHttpApp(log, { https, answerError })
  const guard = new Guard(options, PUBLIC_ROUTES, clock)
  // JSON alone: what a form of another site could send is not understood.
  app.removeContentTypeParser('text/plain')
  for (const [name, schema] of Object.entries(SCHEMAS)) app.addSchema({ $id: name, ...schema })
  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    const refusal = guard.refusal({
      method: request.method,
      route: request.routeOptions.url ?? null,
      remote: request.ip,
      isTls: https !== null,
      headers: request.headers,
    })
    if (refusal === null) return undefined
    const { status, code, message, retryAfterSeconds } = refusal
    if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
    log.limited(`admin ${code}`, 'warn', { code, remote: request.ip }, `admin API: ${message}`)
    return reply.code(status).send({ code, message })
  })
  const handlers = handlersFor(api, clock)
  for (const [id, handler] of Object.entries(handlers)) {
    const operation = OPERATIONS[checked<OperationId>(id)]
    app.route({
      method: operation.method,
      url: operation.path,
      schema: schemaOf(operation),
      handler: async (request, reply) => {
        const { params, query, body } = request
        try {
          const answer = await handler({ params, query, body, via: viaOf(request) })
          return reply.code(answer.status).send(answer.body)
        } catch (error) {
          if (!(error instanceof ControlError)) throw error
          return refuse(reply, error, log)
        }
      },
    })
  }
  const document = openApiDocument(api.version)
  app.get(DOCUMENT_PATH, async () => document)
  addConsole(app)
  return app
}
