/** The parts of the page: the phase and what may be done next, traffic, clusters, divergence, instances. */
import { byId, formatMs, formatRate, make, row, setText, sum, worst } from './dom.js'
import { plot, WINDOW_MS } from './plots.js'

const WAY = ['connect', 'migrate', 'dual-read', 'target-reads', 'cut-over']
const CHECK_WORDS = { pass: 'passed', warn: 'warning', fail: 'failed' }
const CHECK_CLASSES = { pass: 'good', warn: 'warning', fail: 'bad' }
const CHECK_MARKS = { pass: '✓', warn: '!', fail: '✗' }
const CHECK_ORDER = ['fail', 'warn', 'pass']
/** Instances that are started together count as having counted since the same time. */
const SINCE_TOLERANCE_MS = 60_000
const CLUSTER_NAMES = { ORIGIN: 'Origin', TARGET: 'Target' }

/* --- checks --- */

/** One a verdict; instances that say the same of a check together, as `zdm plan` has them. */
const groupChecks = (checks) => {
  const groups = new Map()
  for (const check of checks) {
    const why = check.outcome === 'pass' ? '' : check.evidence
    const key = JSON.stringify([check.id, check.outcome, why, check.instance === null])
    groups.set(key, [...(groups.get(key) ?? []), check])
  }
  return [...groups.values()].map((group) => {
    const names = group.flatMap(({ instance }) => instance ?? [])
    const asked = checks.filter(({ id, instance }) => id === group[0].id && instance !== null)
    const isAll = names.length > 1 && names.length === asked.length
    return { ...group[0], instance: isAll ? `all ${names.length} instances` : names.join(', ') }
  })
}

/** Items of a list: what failed first. */
export const checkItems = (checks) =>
  groupChecks(checks)
    .sort((a, b) => CHECK_ORDER.indexOf(a.outcome) - CHECK_ORDER.indexOf(b.outcome))
    .map(({ id, outcome, evidence, remedy, instance }) =>
      make('li', {}, [
        make('span', {
          text: `${CHECK_MARKS[outcome]} ${CHECK_WORDS[outcome]}`,
          className: CHECK_CLASSES[outcome],
        }),
        ` ${id}: ${evidence}${instance === '' ? '' : ` (${instance})`}`,
        ...(remedy !== null && outcome !== 'pass'
          ? [make('span', { text: `→ ${remedy}`, className: 'remedy' })]
          : []),
      ]),
    )

/* --- the way, routing, what is next --- */

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

/** What the phase means, and what it does not where the routing has left it. */
const meaningOf = ({ state, isPhaseRouting }, phases) => {
  const { primary, readMode, writeMode } = state.routing
  if (writeMode !== 'both') {
    const [to, without] = writeMode === 'origin_only' ? ['Origin', 'Target'] : ['Target', 'Origin']
    return `Outside the phases: every write goes to ${to} alone; ${without} lacks them.`
  }
  if (!isPhaseRouting) {
    return `Outside the phases: in ${state.phase}, but reads come from ${CLUSTER_NAMES[primary]} with ${readMode}.`
  }
  const { meaning = '', wayBack = '' } = phases[state.phase] ?? {}
  return `${meaning} Way back: ${wayBack}`
}

const nextSteps = (status, deployment) => {
  const pending = deployment.instances.find((one) => one.status?.pending)
  if (pending !== undefined) {
    const { verb, by, expiresAt } = pending.status.pending
    return [`Wait: ${by || 'somebody'} is making a change (${verb}) until ${expiresAt} at most.`]
  }
  if (!deployment.isInAgreement) {
    return ['Make them alike: zdm align --like the instance that is right.', 'Or roll back.']
  }
  const [next] = status.next
  if (isChoice(status)) {
    const { reconciledAt } = status.state
    const forgotten =
      reconciledAt === null ? '' : `; it forgets the reconciliation of ${reconciledAt}`
    return [
      'Choose the phase, then Plan: advance… shows what it needs.',
      `migrate begins a new attempt${forgotten}. The others go on with this one.`,
    ]
  }
  const isOriginOld = status.state.routing.writeMode === 'target_only'
  return [
    ...(next === undefined ? [] : [`Plan: advance… shows what ${next} needs.`]),
    isOriginOld
      ? 'A rollback is refused: Origin lacks what was written to Target alone.'
      : 'Plan: rollback… shows what putting every read back on Origin means; it is done when you confirm it.',
  ]
}

/** After a rollback the ways differ in what they forget: the phase is chosen. */
const isChoice = ({ state, next }) => state.phase === 'rolled-back' && next.length > 1

const renderChoice = (status) => {
  const choice = byId('plan-to')
  choice.hidden = !isChoice(status)
  // The furthest first; what is chosen already stays.
  const phases = [...status.next].reverse()
  if ([...choice.options].map(({ value }) => value).join() === phases.join()) return
  choice.replaceChildren(...phases.map((text) => make('option', { text })))
}

export const renderState = (status, deployment, phases) => {
  const { state } = status
  renderWay(state.phase)
  setText('meaning', meaningOf(status, phases))
  byId('meaning').className = status.isPhaseRouting ? '' : 'bad'
  renderFacts('routing', [
    ['Reads', `served by ${CLUSTER_NAMES[state.routing.primary]}`],
    ['Read mode', state.routing.readMode],
    ['Writes', state.routing.writeMode, state.routing.writeMode === 'both' ? undefined : 'bad'],
    [
      'Changed',
      `${state.changedAt} by ${state.changedBy}${state.reason ? ` (${state.reason})` : ''}`,
    ],
    ['Revision', String(state.revision)],
    state.reconciledAt === null
      ? ['Reconciled', 'not recorded in this attempt (zdm reconciled)', 'warning']
      : ['Reconciled', state.reconciledAt],
    ...(status.isStateKept
      ? []
      : [
          [
            'Kept',
            `no: a restart forgets this state (${status.stateFault ?? 'routing_state_path is not set'})`,
            status.stateFault === null ? 'warning' : 'bad',
          ],
        ]),
    ...(status.auditFault === null ? [] : [['Audit log', status.auditFault, 'bad']]),
  ])
  byId('next').replaceChildren(...nextSteps(status, deployment).map((text) => make('li', { text })))
  renderChoice(status)
  byId('plan-advance').disabled = status.next.length === 0
  const isDrifting = deployment.checks.some(({ outcome }) => outcome === 'fail')
  setText(
    'summary',
    `${state.phase}, reads from ${CLUSTER_NAMES[state.routing.primary]}, revision ${state.revision}` +
      (deployment.isInAgreement ? '' : '; the instances do not agree') +
      (deployment.isInAgreement && isDrifting ? '; the instances differ' : ''),
  )
}

/* --- traffic --- */

const RATES = [
  ['Reads from Origin', 'readsOrigin', 'failedReads'],
  ['Reads from Target', 'readsTarget', 'failedReads'],
  ['Writes', 'writes', 'failedWrites'],
]

const trafficOf = (statuses) => statuses.flatMap(({ traffic }) => traffic ?? [])

export const renderTraffic = (statuses) => {
  const traffic = trafficOf(statuses)
  // Just after a switch it still has what was before it.
  const seconds = Math.round(Math.max(0, ...traffic.map((one) => one.windowSeconds)))
  setText(
    'traffic-caption',
    `All instances together, over the last ${seconds} s; latencies are those of the slowest`,
  )
  byId('traffic').tBodies[0].replaceChildren(
    ...RATES.map(([name, key]) =>
      row([
        name,
        `${formatRate(sum(traffic, (one) => one.rates[key]))} /s`,
        formatMs(worst(traffic.map((one) => one.latency[key].p50Ms))),
        formatMs(worst(traffic.map((one) => one.latency[key].p99Ms))),
      ]),
    ),
  )
  const reads = sum(traffic, (one) => one.rates.failedReads)
  const writes = sum(traffic, (one) => one.rates.failedWrites)
  setText('failed', `Failed per second: reads ${formatRate(reads)}, writes ${formatRate(writes)}.`)
  byId('failed').className = reads + writes > 0 ? 'bad' : ''
}

/* --- clusters: latency and errors over the last minutes --- */

const history = { origin: [], target: [] }

const sampleOf = (statuses, cluster, nowMs) => {
  const traffic = trafficOf(statuses).map((one) => one.clusters[cluster])
  return {
    atMs: nowMs,
    p50: worst(traffic.map((one) => one.latency.p50Ms)),
    p99: worst(traffic.map((one) => one.latency.p99Ms)),
    requests: sum(traffic, (one) => one.requestsPerSecond),
    errors: sum(traffic, (one) => one.errorsPerSecond),
  }
}

const renderCluster = (name, cluster, statuses, nowMs) => {
  const samples = history[cluster]
  const now = samples.at(-1)
  const isUp = statuses.every((status) => status.clusters[cluster].isUp)
  const latency = {
    title: `${name}, latency`,
    unit: 'ms',
    least: 1,
    lines: [
      { name: 'p50', className: 'first', pick: (sample) => sample.p50 },
      { name: 'p99', className: 'second', pick: (sample) => sample.p99 },
    ],
    caption: `Latency: p50 ${formatMs(now.p50)}, p99 ${formatMs(now.p99)}`,
  }
  const errors = {
    title: `${name}, errors`,
    unit: '/s',
    least: 1,
    lines: [{ name: 'errors', className: 'errors', pick: (sample) => sample.errors }],
    caption: `Errors: ${formatRate(now.errors)} per second`,
    isBad: now.errors > 0,
  }
  return make('article', { className: 'cluster' }, [
    make('h3', { text: `${name} ` }, [
      make('span', { text: isUp ? 'up' : 'DOWN', className: isUp ? 'good' : 'bad' }),
    ]),
    make('p', { text: `${formatRate(now.requests)} requests per second` }),
    plot(latency, samples, nowMs),
    plot(errors, samples, nowMs),
  ])
}

export const renderClusters = (statuses, nowMs) => {
  for (const cluster of ['origin', 'target']) {
    history[cluster].push(sampleOf(statuses, cluster, nowMs))
    while (nowMs - history[cluster][0].atMs > WINDOW_MS) history[cluster].shift()
  }
  byId('clusters').replaceChildren(
    renderCluster('Origin', 'origin', statuses, nowMs),
    renderCluster('Target', 'target', statuses, nowMs),
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

/** The earliest time, and who has counted since a later one only. */
const sinceText = (statuses) => {
  const since = statuses.map(({ failedWrites }) => failedWrites.since).sort()[0]
  const later = statuses.filter(
    ({ failedWrites }) => Date.parse(failedWrites.since) - Date.parse(since) > SINCE_TOLERANCE_MS,
  )
  if (later.length === 0) return since
  const names = later.map(({ name, failedWrites }) => `${name} since ${failedWrites.since}`)
  return `${since} (but ${names.join(', ')} only)`
}

/** What was not compared cannot have differed: it is said. */
const mirroredText = (reads) => {
  const total = (key) => sum(reads, (one) => one[key])
  const differences =
    total('compared') === 0
      ? 'answers not compared (compare_async_reads: true compares them)'
      : `${total('mismatches')} of ${total('compared')} compared differed`
  const lost = total('dropped') === 0 ? '' : `, ${total('dropped')} copies dropped`
  return `Mirrored reads: ${total('reads')}, ${total('errors')} failed, ${differences}${lost}.`
}

/** Since when one cluster got no writes, as the states of the instances remember it; each once. */
const lacksOf = (statuses) => {
  const describe = ({ since, until }) =>
    until === null ? `since ${since}` : `from ${since} to ${until}`
  const texts = statuses.flatMap(({ state: { originLacks, targetLacks, cutOverAt } }) => [
    ...(originLacks === null
      ? []
      : [`Writes went to Target only ${describe(originLacks)}, and Origin lacks them.`]),
    ...(targetLacks === null
      ? []
      : [`Writes went to Origin only ${describe(targetLacks)}, and Target lacks them.`]),
    ...(cutOverAt === null
      ? []
      : [
          `Clients may have written to Target directly since ${cutOverAt}: whether Origin has every write is unknown.`,
        ]),
  ])
  return [...new Set(texts)]
}

export const renderDivergence = (statuses) => {
  byId('lacks').replaceChildren(...lacksOf(statuses).map((text) => make('li', { text })))
  const origin = sum(statuses, (status) => status.failedWrites.originOnly)
  const target = sum(statuses, (status) => status.failedWrites.targetOnly)
  const reads = statuses.flatMap(({ asyncReads }) => asyncReads ?? [])
  const mirrored = reads.length === 0 ? '' : ` ${mirroredText(reads)}`
  const uncounted = statuses.flatMap((status) => status.failedWrites.gaps)
  const gaps = uncounted.map((gap) => ` Not counted: ${gap}.`).join('')
  setText(
    'divergence-summary',
    `Writes that failed on one cluster only since ${sinceText(statuses)}: Origin ${origin}, Target ${target}.${gaps}${mirrored}`,
  )
  byId('divergence-summary').className = origin + target > 0 ? 'bad' : 'good'
  const rows = mergeTables(statuses).map(([name, one]) =>
    row([name, String(one.originOnly), String(one.targetOnly), String(one.both), one.lastAt]),
  )
  byId('divergence').tBodies[0].replaceChildren(
    ...(rows.length > 0 ? rows : [make('tr', {}, [make('td', { text: 'none', colspan: '5' })])]),
  )
}

export const renderMismatches = ({ mismatches }) => {
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

export const renderInstances = (deployment) => {
  setText(
    'agreement',
    deployment.isInAgreement ? 'All instances agree.' : 'The instances do not agree.',
  )
  byId('agreement').className = deployment.isInAgreement ? 'good' : 'bad'
  byId('drift').replaceChildren(
    ...checkItems(deployment.checks.filter(({ outcome }) => outcome !== 'pass')),
  )
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
