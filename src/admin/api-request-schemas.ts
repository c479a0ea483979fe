/** The JSON Schemas of what the admin API is asked with: what requests are checked against. */
import { PHASES } from '../control/phase.ts'
import { COMPONENTS } from '../log-levels.ts'
import {
  COUNT,
  described,
  list,
  object,
  ref,
  type Schema,
  TEXT,
  TIME,
  word,
} from './json-schema.ts'

const NAME_LENGTH_MAX = 200
const REASON_LENGTH_MAX = 2000

export const PHASE: Schema = word(...PHASES)
export const LOG_LEVEL: Schema = word('fatal', 'error', 'warn', 'info', 'debug', 'trace')

const NAME: Schema = { type: 'string', maxLength: NAME_LENGTH_MAX }
const BY: Schema = {
  ...NAME,
  default: '',
  description: 'Who wants it, for the audit log: a person, a pipeline.',
}
const REASON: Schema = {
  type: 'string',
  maxLength: REASON_LENGTH_MAX,
  default: '',
  description: 'Why, for the audit log. Must not be empty with `force`.',
}
const FORCE: Schema = {
  type: 'boolean',
  default: false,
  description: 'Goes on although checks failed. Recorded.',
}

/** What every change may carry. */
const REQUESTER = { by: BY, reason: REASON, force: FORCE }
const REQUESTER_OPTIONAL = ['by', 'reason', 'force']

/** The named ones, in the order of the document. */
export const REQUEST_SCHEMAS: Readonly<Record<string, Schema>> = {
  PrepareRequest: object(
    {
      transition: ref('Transition'),
      expectedRevision: COUNT,
      revision: described(COUNT, 'Above the expected one, and the same on all instances.'),
      deployment: described(
        list(ref('CheckResult')),
        'What whoever coordinates has found of the deployment as a whole, for the record.',
      ),
      at: described(TIME, 'When the change is made, for all instances; absent: now.'),
      ...REQUESTER,
    },
    ['deployment', 'at', ...REQUESTER_OPTIONAL],
  ),
  ClientCloseRequest: object(
    {
      address: { ...described(NAME, 'Without a port.'), minLength: 1 },
      user: {
        type: ['string', 'null'],
        default: null,
        description: 'As GET /v1/clients shows it; null: whoever it is.',
      },
      by: BY,
      reason: { ...REASON, description: 'Why, for the audit log. Must not be empty.' },
      scope: { ...word('instance', 'deployment'), default: 'deployment' },
    },
    ['user', 'by', 'reason', 'scope'],
  ),
  DrainRequest: object(
    {
      by: BY,
      reason: { ...REASON, description: 'Why, for the audit log. Must not be empty.' },
      force: {
        ...FORCE,
        description: 'Also where no other instance is ready: its clients have nowhere to go then.',
      },
    },
    REQUESTER_OPTIONAL,
  ),
  AdvanceRequest: object(
    {
      to: described(PHASE, 'Where to: an end, never a direction.'),
      from: described(
        PHASE,
        'The phase that it was planned from: refused where the deployment is elsewhere, unless it is in `to` already.',
      ),
      ...REQUESTER,
    },
    ['from', ...REQUESTER_OPTIONAL],
  ),
  RollbackRequest: object(
    {
      leave: {
        type: 'boolean',
        default: false,
        description: 'Tells too what remains to move clients back to Origin directly.',
      },
      ...REQUESTER,
    },
    ['leave', ...REQUESTER_OPTIONAL],
  ),
  AlignRequest: object(
    {
      like: described(TEXT, 'The name of the instance whose state all others get.'),
      ...REQUESTER,
    },
    REQUESTER_OPTIONAL,
  ),
  RoutingRequest: object({ routing: ref('Routing'), ...REQUESTER }, REQUESTER_OPTIONAL),
  ReconciliationRequest: object(
    {
      step: {
        ...word('begin', 'done'),
        default: 'done',
        description: 'begin: a comparison begins now; what fails from now on is not covered by it.',
      },
      into: {
        ...word('origin', 'target'),
        default: 'target',
        description: 'The cluster that has the rows of the other now.',
      },
      since: {
        type: ['string', 'null'],
        default: null,
        description:
          'When the comparison began, where no `begin` was recorded: ISO 8601, or "now" if nothing has been written meanwhile.',
      },
      at: {
        type: ['string', 'null'],
        default: null,
        description: 'With `scope` instance: the time that all instances are to record.',
      },
      by: BY,
      reason: REASON,
      scope: { ...word('instance', 'deployment'), default: 'deployment' },
    },
    ['step', 'into', 'since', 'at', 'by', 'reason', 'scope'],
  ),
  LogLevelRequest: object(
    {
      level: LOG_LEVEL,
      component: {
        type: ['string', 'null'],
        enum: [...COMPONENTS, null],
        default: null,
        description: 'Of what alone; null: of all that have no level of their own.',
      },
      by: BY,
      reason: REASON,
    },
    ['component', 'by', 'reason'],
  ),
  Empty: { type: 'object', additionalProperties: false },
}
