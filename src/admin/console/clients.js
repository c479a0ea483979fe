/** Who uses the proxy: a table, as `zdm clients` has it. Texts of clients go in as text. */
import { byId, make, row, setText, sum } from './dom.js'

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
]

/** `3d 4h`: the two largest units. */
const formatAge = (seconds) => {
  const parts = []
  let rest = seconds
  for (const [unit, size] of UNITS) {
    if (rest >= size || parts.length > 0) parts.push(`${Math.floor(rest / size)}${unit}`)
    rest %= size
  }
  return [...parts, `${rest}s`].slice(0, 2).join(' ')
}

const named = (name, version) => `${name} ${version}`.trim() || '–'

export const renderClients = ({ instances }) => {
  const rows = instances.flatMap(({ name, groups }) =>
    groups.map((group) =>
      row([
        group.address,
        group.user || '–',
        named(group.applicationName, group.applicationVersion),
        named(group.driverName, group.driverVersion),
        group.protocolVersion === null ? '–' : `v${group.protocolVersion}`,
        name,
        String(group.connections),
        String(group.inFlight),
        formatAge(group.oldestSeconds),
        `${formatAge(group.idleSeconds)} ago`,
      ]),
    ),
  )
  byId('clients').tBodies[0].replaceChildren(
    ...(rows.length > 0 ? rows : [make('tr', {}, [make('td', { text: 'none', colspan: '10' })])]),
  )
  const failed = instances.filter(({ error }) => error !== null)
  byId('clients-errors').replaceChildren(
    ...failed.map(({ name, error }) => make('li', { text: `${name}: ${error}` })),
  )
  const unlisted = sum(instances, (one) => one.unlistedConnections)
  setText('clients-more', unlisted === 0 ? '' : `And ${unlisted} connections of further groups.`)
}
