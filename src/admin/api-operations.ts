/**
 * The operations of the admin API as one table: method, path, what goes in and what comes out. The routes
 * are registered from it (admin-app.ts), and the OpenAPI document is rendered from it (openapi.ts).
 */
import { PHASES } from '../control/phase.ts'
import { ref, type Schema } from './json-schema.ts'

export type Operation = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With `:name` for a parameter. */
  readonly path: string
  readonly summary: string
  readonly query?: Readonly<Record<string, Schema>>
  /** The name of a schema. */
  readonly body?: string
  /** By status; the first is the success. */
  readonly answers: Readonly<Record<number, { readonly schema: Schema; readonly when: string }>>
}

const problem = (when: string): { schema: Schema; when: string } => ({
  schema: ref('Problem'),
  when,
})

const CHANGE_ANSWERS = {
  200: { schema: ref('ChangeReport'), when: 'Done, or nothing was to be done.' },
  409: { schema: ref('ChangeReport'), when: 'Refused; nothing was changed anywhere.' },
  502: {
    schema: ref('ChangeReport'),
    when: 'Partial: some instances have changed and some have not. Says which, and how to finish or revert.',
  },
} as const

export const OPERATIONS = {
  getStatus: {
    method: 'GET',
    path: '/v1/status',
    summary: 'This instance: phase, routing, health, traffic, what was counted.',
    answers: { 200: { schema: ref('InstanceStatus'), when: 'As of now.' } },
  },
  getDeployment: {
    method: 'GET',
    path: '/v1/deployment',
    summary: 'All instances, asked by this one, and whether they agree.',
    answers: { 200: { schema: ref('DeploymentStatus'), when: 'As of now.' } },
  },
  getPlan: {
    method: 'GET',
    path: '/v1/plan',
    summary:
      'What advance or rollback would do to the deployment, and every check. Changes nothing.',
    query: {
      verb: { type: 'string', enum: ['advance', 'rollback'] },
      to: {
        type: 'string',
        enum: PHASES,
        description:
          'Where to advance; absent: the next phase. After a rollback it must be named where there are several.',
      },
    },
    answers: {
      200: { schema: ref('Plan'), when: 'Whether it would be done or refused.' },
      409: problem('There is no such way from the phase that the instance is in.'),
    },
  },
  getCheck: {
    method: 'GET',
    path: '/v1/check',
    summary:
      'Whether the migration can succeed: asks both clusters, over connections of its own, for versions, credentials, schemas and limits. Takes seconds, changes nothing.',
    query: {
      keyspace: {
        type: 'array',
        items: { type: 'string', minLength: 1, maxLength: 48 },
        maxItems: 100,
        description:
          'Compares these keyspaces alone; may be given several times. Absent: all but the clusters’ own.',
      },
      scope: {
        type: 'string',
        enum: ['instance', 'deployment'],
        default: 'deployment',
        description: 'Whether the other instances look at the clusters from where they are, too.',
      },
      schema: { type: 'boolean', default: true, description: 'Whether schemas are compared.' },
    },
    answers: {
      200: { schema: ref('CheckReport'), when: 'What was found; `isFeasible` tells how it is.' },
      409: problem('CHECK_IN_PROGRESS: one at a time.'),
    },
  },
  advance: {
    method: 'POST',
    path: '/v1/advance',
    summary: 'Takes every instance of the deployment to a phase. Done already: changes nothing.',
    body: 'AdvanceRequest',
    answers: CHANGE_ANSWERS,
  },
  rollback: {
    method: 'POST',
    path: '/v1/rollback',
    summary: 'Puts every read back on Origin at once, from any phase, on every instance.',
    body: 'RollbackRequest',
    answers: CHANGE_ANSWERS,
  },
  align: {
    method: 'POST',
    path: '/v1/align',
    summary: 'Gives all instances the state of one of them: finishes or reverts a partial change.',
    body: 'AlignRequest',
    answers: CHANGE_ANSWERS,
  },
  setRouting: {
    method: 'PUT',
    path: '/v1/routing',
    summary: 'Changes the routing outside the phases. Refused unless forced where it leaves them.',
    body: 'RoutingRequest',
    answers: CHANGE_ANSWERS,
  },
  prepareChange: {
    method: 'POST',
    path: '/v1/changes',
    summary: 'First half of a change of this instance alone: checks it and makes it ready.',
    body: 'PrepareRequest',
    answers: {
      201: { schema: ref('PreparedChange'), when: 'Ready to be committed.' },
      409: problem(
        'REVISION_MISMATCH, CHANGE_IN_PROGRESS, CHANGE_DISCARDED, CHECKS_FAILED, NO_SUCH_WAY.',
      ),
      503: problem('STATE_IN_USE, STATE_NOT_WRITTEN, AUDIT_NOT_WRITTEN.'),
    },
  },
  commitChange: {
    method: 'POST',
    path: '/v1/changes/:id/commit',
    summary:
      'Second half: takes effect at once; answered when the last request that was routed the old way is.',
    body: 'Empty',
    answers: {
      200: { schema: ref('CommittedChange'), when: 'In effect.' },
      404: problem('CHANGE_UNKNOWN: not prepared, or too long ago.'),
      409: problem('CHANGE_DISCARDED: a rollback took its place.'),
      502: problem(
        'THREAD_BEHIND: in effect and recorded, but a thread does not answer; restart the instance if it stays so.',
      ),
      503: problem('STATE_NOT_WRITTEN: nothing has changed.'),
    },
  },
  abortChange: {
    method: 'DELETE',
    path: '/v1/changes/:id',
    summary: 'Forgets a prepared change.',
    answers: {
      200: { schema: ref('Empty'), when: 'Forgotten, or not known.' },
    },
  },
  recordReconciliation: {
    method: 'POST',
    path: '/v1/reconciliations',
    summary:
      'Records that both clusters are compared, and afterwards that one has the rows of the other: failed writes from before the comparison began are forgotten.',
    body: 'ReconciliationRequest',
    answers: {
      200: {
        schema: {
          type: 'object',
          properties: {
            reconciledAt: { type: ['string', 'null'], format: 'date-time' },
            comparisonBegunAt: { type: ['string', 'null'], format: 'date-time' },
            originLacks: { anyOf: [ref('Lack'), { type: 'null' }] },
            targetLacks: { anyOf: [ref('Lack'), { type: 'null' }] },
            instances: { type: 'array', items: { type: 'string' } },
          },
          required: [
            'reconciledAt',
            'comparisonBegunAt',
            'originLacks',
            'targetLacks',
            'instances',
          ],
          additionalProperties: false,
        },
        when: 'Recorded by these instances.',
      },
      409: problem(
        'RECONCILIATION_REFUSED: no comparison was begun, or the phase forbids it. CHANGE_IN_PROGRESS.',
      ),
      502: problem('An instance could not record it; asking again is safe.'),
      503: problem('STATE_IN_USE, STATE_NOT_WRITTEN, AUDIT_NOT_WRITTEN.'),
    },
  },
  getAudit: {
    method: 'GET',
    path: '/v1/audit',
    summary: 'The latest entries of the audit log of this instance, the newest last.',
    query: { limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100 } },
    answers: {
      200: { schema: { type: 'array', items: ref('AuditEntry') }, when: 'At most `limit`.' },
    },
  },
  getMismatches: {
    method: 'GET',
    path: '/v1/mismatches',
    summary:
      'The last mirrored reads that both clusters answered differently, of this instance, without any value of the data.',
    query: { limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100 } },
    answers: {
      200: {
        schema: ref('MismatchReport'),
        when: 'At most `limit`, the newest first; 100 are kept for each thread.',
      },
    },
  },
  getClients: {
    method: 'GET',
    path: '/v1/clients',
    summary:
      'Who uses the proxy: client connections grouped by address, user, driver and application. No statement, no value.',
    query: {
      scope: {
        type: 'string',
        enum: ['instance', 'deployment'],
        default: 'deployment',
        description: 'Of this instance alone, or of all.',
      },
    },
    answers: {
      200: {
        schema: ref('ClientReport'),
        when: 'As of now; at most 500 groups an instance. One that does not answer has an error.',
      },
    },
  },
  closeClients: {
    method: 'POST',
    path: '/v1/clients/close',
    summary:
      'Closes client connections when what they have asked is answered. Does not keep them from coming back. Recorded.',
    body: 'ClientCloseRequest',
    answers: {
      200: {
        schema: ref('ClientCloseReport'),
        when: 'They are being closed: within a second where nothing is in flight.',
      },
      502: {
        schema: ref('ClientCloseReport'),
        when: 'Some instances did not answer; asking again is safe.',
      },
    },
  },
  drain: {
    method: 'POST',
    path: '/v1/drain',
    summary:
      'Has this instance leave as SIGTERM does: DRAINING, clients told and closed when quiet, then the process ends with 0. Whoever watches it may start it again.',
    body: 'DrainRequest',
    answers: {
      200: {
        schema: {
          type: 'object',
          properties: { instance: { type: 'string' } },
          required: ['instance'],
          additionalProperties: false,
        },
        when: 'It has begun to.',
      },
      409: problem('LAST_INSTANCE: no other instance is ready to serve clients.'),
      503: problem('AUDIT_NOT_WRITTEN.'),
    },
  },
  getConfig: {
    method: 'GET',
    path: '/v1/config',
    summary: 'Every setting, its value in effect and where that came from; secrets hidden.',
    answers: {
      200: { schema: { type: 'array', items: ref('ConfigEntry') }, when: 'All of them.' },
    },
  },
  getLogLevel: {
    method: 'GET',
    path: '/v1/log-level',
    summary: 'The least severe events that this instance logs.',
    answers: { 200: { schema: ref('LogLevelReport'), when: 'As of now.' } },
  },
  setLogLevel: {
    method: 'PUT',
    path: '/v1/log-level',
    summary: 'Changes it until the next restart.',
    body: 'LogLevelRequest',
    answers: {
      200: { schema: ref('LogLevelReport'), when: 'In effect.' },
      503: problem('AUDIT_NOT_WRITTEN: nothing has changed.'),
    },
  },
} as const satisfies Readonly<Record<string, Operation>>

export type OperationId = keyof typeof OPERATIONS

/** What any operation may answer. */
export const COMMON_ANSWERS: Readonly<Record<number, { schema: Schema; when: string }>> = {
  400: problem('REQUEST_INVALID: the request is not as described.'),
  401: problem('UNAUTHORIZED: the bearer token is missing or wrong.'),
  403: problem('HOST_NOT_ALLOWED, CROSS_ORIGIN: see security.'),
  415: problem('The body is not application/json.'),
  429: problem('RATE_LIMITED: see the header Retry-After.'),
}
