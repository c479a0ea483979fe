/**
 * The web console: what `zdm status` shows, live, and plan → confirm → advance or rollback. It talks to
 * the admin API that serves it and to nothing else, and says so where that does not answer.
 */
import { ask, NoTokenError, wireToken } from './api.js'
import { renderClients } from './clients.js'
import { byId, formatTime, setText } from './dom.js'
import { wirePlan } from './plan.js'
import {
  renderClusters,
  renderDivergence,
  renderInstances,
  renderMismatches,
  renderState,
  renderTraffic,
} from './views.js'

const POLL_MS = 2000
const TICK_MS = 1000
/** Without an answer for so long, what is shown is no longer what is. */
const STALE_MS = 5000
const MISMATCHES_SHOWN_MAX = 10

/** What each phase means, and the way back. */
let phases = {}
let lastAnswer = null
let failure = null

const renderFreshness = () => {
  const isStale = lastAnswer === null || Date.now() - lastAnswer.getTime() > STALE_MS
  document.body.classList.toggle('stale', isStale && lastAnswer !== null)
  byId('freshness').className = isStale ? 'bad' : ''
  if (lastAnswer === null) {
    setText('freshness', failure === null ? '' : 'never answered')
    if (failure !== null) setText('summary', failure)
    return
  }
  const time = formatTime(lastAnswer)
  setText('freshness', isStale ? `not answering since ${time}` : `as of ${time}`)
  if (isStale) {
    const why = failure === null ? `${location.host} does not answer` : failure
    setText('summary', `Not up to date: ${why}. What is shown is of ${time}.`)
  }
}

const poll = async () => {
  try {
    const deployment = await ask('GET', '/v1/deployment')
    lastAnswer = new Date()
    failure = null
    const statuses = deployment.instances.flatMap(({ status }) => status ?? [])
    renderInstances(deployment)
    if (statuses.length === 0) {
      setText('summary', 'No instance can be reached.')
      return
    }
    renderState(statuses[0], deployment, phases)
    renderTraffic(statuses)
    renderClusters(statuses, lastAnswer.getTime())
    renderDivergence(statuses)
    renderMismatches(await ask('GET', `/v1/mismatches?limit=${MISMATCHES_SHOWN_MAX}`))
    // Users' names are looked at by who wants to see them.
    if (byId('clients-details').open) renderClients(await ask('GET', '/v1/clients'))
  } catch (error) {
    failure = error instanceof NoTokenError ? `${error.message} Enter it to go on.` : error.message
  } finally {
    renderFreshness()
  }
}

const run = async () => {
  phases = await ask('GET', '/phases.json').catch(() => ({}))
  for (;;) {
    await poll()
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

wirePlan(poll)
byId('clients-details').addEventListener('toggle', ({ target }) => {
  if (target.open) void poll()
})
wireToken(() => {
  setText('summary', 'Connecting…')
  return poll()
})
setInterval(renderFreshness, TICK_MS)
void run()
