/**
 * The web console: what `zdm status` shows, live, and plan → confirm → advance or rollback. It talks to
 * the admin API that serves it and to nothing else. Every text goes in as text, never as markup.
 */

const POLL_MS = 2000
/** Five minutes of samples. */
const SAMPLES_MAX = 150
const WAY = ['connect', 'migrate', 'dual-read', 'target-reads', 'cut-over']
const MISMATCHES_SHOWN_MAX = 10
const TOKEN_KEY = 'zdm-token'
const CHECK_WORDS = { pass: 'passed', warn: 'warning', fail: 'failed' }
const CHECK_CLASSES = { pass: 'good', warn: 'warning', fail: 'bad' }
const CHECK_MARKS = { pass: '✓', warn: '!', fail: '✗' }

const byId = (id) => document.getElementById(id)

/** An element with text, attributes and children. */
const make = (tag, { text, className, ...attributes } = {}, children = []) => {
  const element = document.createElement(tag)
  if (text !== undefined) element.textContent = text
  if (className !== undefined) element.className = className
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value)
  }
  element.append(...children)
  return element
}

const setText = (id, text) => {
  const element = byId(id)
  // What did not change is not read out again.
  if (element.textContent !== text) element.textContent = text
}

class ApiError extends Error {
  constructor(status, content) {
    super(content?.message ?? `The admin API answered ${status}`)
    this.status = status
    this.content = content
  }
}

/** Resolves with the token that the operator types. */
const askForToken = () =>
  new Promise((resolve) => {
    const dialog = byId('token-dialog')
    byId('token-form').addEventListener(
      'submit',
      () => {
        sessionStorage.setItem(TOKEN_KEY, byId('token').value)
        byId('token').value = ''
        resolve()
      },
      { once: true },
    )
    if (!dialog.open) dialog.showModal()
  })

/** Asks the API; a change answers a report with other statuses too, hence `accepted`. */
const ask = async (method, path, body, accepted = [200]) => {
  const token = sessionStorage.getItem(TOKEN_KEY)
  const response = await fetch(path, {
    method,
    headers: {
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (response.status === 401) {
    sessionStorage.removeItem(TOKEN_KEY)
    await askForToken()
    return ask(method, path, body, accepted)
  }
  const content = await response.json().catch(() => null)
  if (!accepted.includes(response.status)) throw new ApiError(response.status, content)
  return content
}

const formatMs = (ms) => {
  if (ms === null || ms === undefined) return '–'
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`
}
const formatRate = (rate) =>
  rate >= 10 || rate === 0 ? Math.round(rate).toLocaleString('en-US') : rate.toFixed(1)

/* --- the way, routing, summary --- */

/** What each phase means, and the way back. */
let phases = {}

const renderWay = (phase) => {
  const position = WAY.indexOf(phase)
  const steps = WAY.map((name, at) =>
    make('li', {
      text: name,
      className: at < position ? 'past' : '',
      'aria-current': name === phase ? 'step' : undefined,
    }),
  )
  if (phase === 'rolled-back') {
    steps.unshift(make('li', { text: phase, className: 'back', 'aria-current': 'step' }))
  }
  byId('way').replaceChildren(...steps)
}

const renderFacts = (id, facts) => {
  byId(id).replaceChildren(
    ...facts.flatMap(([name, value, className]) => [
      make('dt', { text: name }),
      make('dd', { text: value, className }),
    ]),
  )
}

const renderState = (status, isInAgreement) => {
  const { state } = status
  renderWay(state.phase)
  const { meaning = '', wayBack = '' } = phases[state.phase] ?? {}
  setText('meaning', `${meaning} Way back: ${wayBack}`)
  renderFacts('routing', [
    ['Reads', `served by ${state.routing.primary === 'ORIGIN' ? 'Origin' : 'Target'}`],
    ['Read mode', state.routing.readMode],
    ['Writes', state.routing.writeMode, state.routing.writeMode === 'both' ? undefined : 'bad'],
    [
      'Changed',
      `${state.changedAt} by ${state.changedBy}${state.reason ? ` (${state.reason})` : ''}`,
    ],
    ['Revision', String(state.revision)],
    ...(status.isStateKept
      ? []
      : [['Kept', 'no: a restart forgets this state (routing_state_path)', 'warning']]),
  ])
  byId('plan-advance').disabled = status.next.length === 0
  setText(
    'summary',
    `${state.phase}, reads from ${state.routing.primary}, revision ${state.revision}` +
      (isInAgreement ? '' : '; the instances do not agree'),
  )
}

/* --- clusters: latency and errors over the last minutes --- */

/** Per cluster: samples of { p50, p99, errors }. */
const history = { origin: [], target: [] }

const worst = (values) =>
  values.reduce((most, one) => (one === null ? most : Math.max(most ?? 0, one)), null)

const sampleOf = (statuses, cluster) => {
  const traffic = statuses.flatMap((status) =>
    status.traffic === null ? [] : [status.traffic.clusters[cluster]],
  )
  return {
    p50: worst(traffic.map((one) => one.latency.p50Ms)),
    p99: worst(traffic.map((one) => one.latency.p99Ms)),
    requests: traffic.reduce((sum, one) => sum + one.requestsPerSecond, 0),
    errors: traffic.reduce((sum, one) => sum + one.errorsPerSecond, 0),
  }
}

const SVG = 'http://www.w3.org/2000/svg'

const polyline = (values, most, className) => {
  const line = document.createElementNS(SVG, 'polyline')
  const points = values.flatMap((value, at) =>
    value === null ? [] : [`${(at / (SAMPLES_MAX - 1)) * 100},${40 - (value / most) * 38}`],
  )
  line.setAttribute('points', points.join(' '))
  if (className !== undefined) line.setAttribute('class', className)
  return line
}

/** A picture with its content in words, for those who do not see it. */
const plot = (label, lines) => {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('class', 'plot')
  svg.setAttribute('viewBox', '0 0 100 40')
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', label)
  const most = Math.max(1e-9, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)))
  svg.append(...lines.map(({ values, className }) => polyline(values, most, className)))
  return svg
}

const renderCluster = (name, cluster, statuses) => {
  const samples = history[cluster]
  const now = samples.at(-1)
  const isUp = statuses.every((status) => status.clusters[cluster].isUp)
  const latency = `Latency: p50 ${formatMs(now.p50)}, p99 ${formatMs(now.p99)}`
  const errors = `Errors: ${formatRate(now.errors)} per second`
  return make('article', { className: 'cluster' }, [
    make('h3', { text: `${name} ` }, [
      make('span', { text: isUp ? 'up' : 'DOWN', className: isUp ? 'good' : 'bad' }),
    ]),
    make('p', { text: `${formatRate(now.requests)} requests per second` }),
    make('figure', {}, [
      plot(`${name}. ${latency}, of the last minutes`, [
        { values: samples.map((sample) => sample.p50) },
        { values: samples.map((sample) => sample.p99), className: 'second' },
      ]),
      make('figcaption', { text: latency }),
    ]),
    make('figure', {}, [
      plot(`${name}. ${errors}, of the last minutes`, [
        { values: samples.map((sample) => sample.errors), className: 'errors' },
      ]),
      make('figcaption', { text: errors, className: now.errors > 0 ? 'bad' : undefined }),
    ]),
  ])
}

const renderClusters = (statuses) => {
  for (const cluster of ['origin', 'target']) {
    history[cluster].push(sampleOf(statuses, cluster))
    if (history[cluster].length > SAMPLES_MAX) history[cluster].shift()
  }
  byId('clusters').replaceChildren(
    renderCluster('Origin', 'origin', statuses),
    renderCluster('Target', 'target', statuses),
  )
}

/* --- divergence and instances --- */

const mergeTables = (statuses) => {
  const tables = new Map()
  for (const one of statuses.flatMap((status) => status.failedWrites.tables)) {
    const key = `${one.keyspace}.${one.table}`
    const known = tables.get(key)
    if (known === undefined) tables.set(key, { ...one })
    else {
      known.originOnly += one.originOnly
      known.targetOnly += one.targetOnly
      known.both += one.both
      if (one.lastAt > known.lastAt) known.lastAt = one.lastAt
    }
  }
  return [...tables].sort(
    ([, a], [, b]) => b.originOnly + b.targetOnly - a.originOnly - a.targetOnly,
  )
}

const row = (cells) =>
  make('tr', {}, [
    make('th', { text: cells[0], scope: 'row' }),
    ...cells
      .slice(1)
      .map((cell) =>
        Array.isArray(cell)
          ? make('td', { text: cell[0], className: cell[1] })
          : make('td', { text: cell }),
      ),
  ])

const renderDivergence = (statuses) => {
  const sum = (pick) => statuses.reduce((total, status) => total + pick(status), 0)
  const origin = sum((status) => status.failedWrites.originOnly)
  const target = sum((status) => status.failedWrites.targetOnly)
  const reads = statuses.flatMap((status) =>
    status.asyncReads === null ? [] : [status.asyncReads],
  )
  const mirrored =
    reads.length === 0
      ? ''
      : ` Mirrored reads: ${reads.reduce((n, one) => n + one.mismatches, 0)} mismatches, ${reads.reduce((n, one) => n + one.errors, 0)} errors in ${reads.reduce((n, one) => n + one.reads, 0)}.`
  const uncounted = statuses.flatMap((status) => status.failedWrites.gaps)
  const gaps = uncounted.map((gap) => ` Not counted: ${gap}.`).join('')
  setText(
    'divergence-summary',
    `Writes that failed on one cluster only since ${statuses[0].failedWrites.since}: Origin ${origin}, Target ${target}.${gaps}${mirrored}`,
  )
  byId('divergence-summary').className = origin + target > 0 ? 'bad' : 'good'
  const rows = mergeTables(statuses).map(([name, one]) =>
    row([name, String(one.originOnly), String(one.targetOnly), String(one.both), one.lastAt]),
  )
  byId('divergence').tBodies[0].replaceChildren(
    ...(rows.length > 0 ? rows : [make('tr', {}, [make('td', { text: 'none', colspan: '5' })])]),
  )
}

const renderMismatches = ({ mismatches }) => {
  byId('mismatches').hidden = mismatches.length === 0
  byId('mismatches').tBodies[0].replaceChildren(
    ...mismatches.map((one) =>
      row([
        `${one.keyspace}.${one.table}`,
        String(one.missingOnOrigin),
        String(one.missingOnTarget),
        String(one.changedRows),
        one.isOrder ? 'their order' : one.columns.join(', '),
        one.statement,
        one.at,
      ]),
    ),
  )
}

const upText = (isUp) => (isUp ? ['up', 'good'] : ['DOWN', 'bad'])

const renderInstances = (deployment) => {
  setText(
    'agreement',
    deployment.isInAgreement ? 'All instances agree.' : 'The instances do not agree.',
  )
  byId('agreement').className = deployment.isInAgreement ? 'good' : 'bad'
  byId('instances').tBodies[0].replaceChildren(
    ...deployment.instances.map(({ name, status, error }) =>
      status === null
        ? row([name, [error ?? 'unreachable', 'bad'], '', '', '', '', '', ''])
        : row([
            name,
            [status.serving, status.serving === 'running' ? 'good' : 'warning'],
            status.state.phase,
            String(status.state.revision),
            upText(status.clusters.origin.isUp),
            upText(status.clusters.target.isUp),
            String(status.traffic?.clientConnections ?? 0),
            String(status.traffic?.inFlight ?? 0),
          ]),
    ),
  )
}

/* --- plan → confirm → change --- */

const renderChecks = (checks) =>
  checks.map((check) =>
    make('li', {}, [
      make('span', {
        text: `${CHECK_MARKS[check.outcome]} ${CHECK_WORDS[check.outcome]}`,
        className: CHECK_CLASSES[check.outcome],
      }),
      ` ${check.id}: ${check.evidence}${check.instance === null ? '' : ` (${check.instance})`}`,
      ...(check.remedy !== null && check.outcome !== 'pass'
        ? [make('span', { text: `→ ${check.remedy}`, className: 'remedy' })]
        : []),
    ]),
  )

let planned = null

const showPlan = async (verb) => {
  const dialog = byId('plan-dialog')
  setText('plan-error', '')
  try {
    planned = await ask('GET', `/v1/plan?verb=${verb}`)
  } catch (error) {
    planned = null
    setText('summary', error.message)
    return
  }
  setText('plan-title', `${planned.verb}: ${planned.from} → ${planned.to}`)
  setText('plan-message', planned.message)
  byId('plan-checks').replaceChildren(...renderChecks(planned.checks))
  byId('plan-leave').replaceChildren(
    ...(planned.leave === null
      ? []
      : [
          make('h3', { text: 'To leave' }),
          make(
            'ol',
            {},
            planned.leave.steps.map((text) => make('li', { text })),
          ),
        ]),
  )
  byId('confirm').disabled = !planned.isAllowed
  byId('confirm').textContent = `Confirm: ${planned.verb} to ${planned.to}`
  byId('reason').value = ''
  dialog.showModal()
}

const confirmPlan = async () => {
  const reason = byId('reason').value
  const body =
    planned.verb === 'advance'
      ? { to: planned.to, reason, by: 'console' }
      : { reason, by: 'console' }
  const report = await ask('POST', `/v1/${planned.verb}`, body, [200, 409, 502])
  const commands = [
    report.finish && `To finish: ${report.finish}`,
    report.revert && `To revert: ${report.revert}`,
  ]
  if (report.outcome === 'refused')
    byId('plan-checks').replaceChildren(...renderChecks(report.checks))
  return {
    isDone: report.outcome === 'done' || report.outcome === 'unchanged',
    text: [report.message, ...commands.filter(Boolean)].join(' '),
  }
}

const wirePlan = () => {
  byId('plan-advance').addEventListener('click', () => showPlan('advance'))
  byId('plan-rollback').addEventListener('click', () => showPlan('rollback'))
  byId('plan-form').addEventListener('submit', (event) => {
    if (event.submitter?.value !== 'confirm') return
    event.preventDefault()
    byId('confirm').disabled = true
    confirmPlan()
      .then(({ isDone, text }) => {
        if (isDone) byId('plan-dialog').close()
        setText(isDone ? 'summary' : 'plan-error', text)
        return poll()
      })
      .catch((error) => setText('plan-error', error.message))
  })
}

/* --- the loop --- */

const poll = async () => {
  try {
    const deployment = await ask('GET', '/v1/deployment')
    const statuses = deployment.instances.flatMap(({ status }) => (status === null ? [] : [status]))
    renderInstances(deployment)
    if (statuses.length === 0) {
      setText('summary', 'No instance can be reached.')
      return
    }
    renderState(statuses[0], deployment.isInAgreement)
    renderClusters(statuses)
    renderDivergence(statuses)
    renderMismatches(await ask('GET', `/v1/mismatches?limit=${MISMATCHES_SHOWN_MAX}`))
  } catch (error) {
    setText('summary', `Not up to date: ${error.message}`)
  }
}

const run = async () => {
  phases = await ask('GET', '/phases.json').catch(() => ({}))
  for (;;) {
    await poll()
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

wirePlan()
void run()
