/** Plan → confirm → change. Nothing is changed but by the button that says so; Enter in a field is none. */
import { ask, NoTokenError } from './api.js'
import { byId, make, row, setText } from './dom.js'
import { checkItems } from './views.js'

const OPERATOR_KEY = 'zdm-operator'
/** Where the operator has not said who they are. */
const NOBODY = 'console'

let planned = null

const items = (texts) => texts.map((text) => make('li', { text }))

/** Nothing where no write is known to have failed: doubts and gaps say what may be missing then. */
const originElements = (isComplete, missing, since) => {
  if (isComplete) {
    const text = `Origin has every write that was acknowledged since ${since}.`
    return [make('p', { text, className: 'good' })]
  }
  if (missing.length === 0) return []
  const text = `Origin may lack writes that have failed there since ${since}.`
  return [make('p', { text, className: 'bad' })]
}

/** What leaving would take: first whether Origin has everything, then what it lacks. */
const leaveElements = ({
  isOriginComplete,
  doubts,
  gaps,
  missingOnOrigin,
  since,
  clientConnections,
  steps,
}) => [
  make('h3', { text: 'To leave' }),
  ...originElements(isOriginComplete, missingOnOrigin, since),
  ...doubts.map((text) => make('p', { text, className: 'bad' })),
  ...gaps.map((gap) => make('p', { text: `Not counted: ${gap}.`, className: 'bad' })),
  ...(missingOnOrigin.length === 0
    ? []
    : [
        make('table', {}, [
          make('caption', { text: 'What Origin may lack, by table' }),
          make('thead', {}, [
            make(
              'tr',
              {},
              ['Table', 'Failed on Origin', 'First', 'Last'].map((text) =>
                make('th', { text, scope: 'col' }),
              ),
            ),
          ]),
          make(
            'tbody',
            {},
            missingOnOrigin.map(({ keyspace, table, originOnly, firstAt, lastAt }) =>
              row([`${keyspace}.${table}`, String(originOnly), firstAt, lastAt]),
            ),
          ),
        ]),
      ]),
  make('p', { text: `Clients connected: ${clientConnections}.` }),
  make('ol', {}, items(steps)),
]

const isFailure = ({ outcome }) => outcome === 'fail'

const render = (plan) => {
  setText('plan-title', `${plan.verb}: ${plan.from} → ${plan.to}`)
  setText('plan-message', `Verdict: ${plan.message}.`)
  byId('plan-message').className = plan.isAllowed ? 'good' : 'bad'
  byId('plan-steps').replaceChildren(...items(plan.steps))
  byId('plan-checks').replaceChildren(...checkItems(plan.checks))
  byId('plan-leave').replaceChildren(...(plan.leave === null ? [] : leaveElements(plan.leave)))
  byId('confirm').disabled = !plan.isAllowed
  byId('confirm').textContent = `Confirm: ${plan.verb} to ${plan.to}`
}

const showPlan = async (verb) => {
  setText('plan-error', '')
  try {
    const choice = byId('plan-to')
    const to = verb === 'advance' && !choice.hidden ? `&to=${choice.value}` : ''
    planned = await ask('GET', `/v1/plan?verb=${verb}${to}`)
  } catch (error) {
    planned = null
    if (!(error instanceof NoTokenError)) setText('notice', `No plan: ${error.message}`)
    return
  }
  setText('notice', '')
  render(planned)
  byId('reason').value = ''
  byId('operator').value = localStorage.getItem(OPERATOR_KEY) ?? ''
  const dialog = byId('plan-dialog')
  if (!dialog.open) dialog.showModal()
  // From the beginning, and nothing that a key could set off.
  byId('plan-title').focus()
  dialog.scrollTop = 0
}

const requester = () => {
  const name = byId('operator').value.trim()
  if (name === '') localStorage.removeItem(OPERATOR_KEY)
  else localStorage.setItem(OPERATOR_KEY, name)
  return { by: name === '' ? NOBODY : name, reason: byId('reason').value }
}

const confirmPlan = async () => {
  const body =
    planned.verb === 'advance'
      ? { to: planned.to, from: planned.from, ...requester() }
      : requester()
  const report = await ask('POST', `/v1/${planned.verb}`, body, [200, 409, 502])
  const commands = [
    report.finish && `To finish: ${report.finish}.`,
    report.revert && `To revert: ${report.revert}.`,
  ]
  if (report.checks.some(isFailure)) {
    byId('plan-checks').replaceChildren(...checkItems(report.checks))
  }
  return {
    isDone: report.outcome === 'done' || report.outcome === 'unchanged',
    text: [report.message, ...commands.filter(Boolean)].join(' '),
  }
}

/** `onChange` is called when a change has been tried. */
export const wirePlan = (onChange) => {
  const dialog = byId('plan-dialog')
  byId('plan-advance').addEventListener('click', () => showPlan('advance'))
  byId('plan-rollback').addEventListener('click', () => showPlan('rollback'))
  byId('plan-form').addEventListener('submit', (event) => event.preventDefault())
  byId('cancel').addEventListener('click', () => dialog.close())
  byId('confirm').addEventListener('click', async () => {
    byId('confirm').disabled = true
    try {
      const { isDone, text } = await confirmPlan()
      if (isDone) dialog.close()
      setText(isDone ? 'notice' : 'plan-error', isDone ? `Done: ${text}` : text)
    } catch (error) {
      setText('plan-error', error.message)
    }
    await onChange()
  })
}
