/** Who uses the proxy, and who was told to go, as lines of text. Pure. */
import type {
  ClientCloseReport,
  ClientGroup,
  ClientReport,
  ClientSelection,
  InstanceClients,
} from '../control/report.ts'
import { plural } from '../plural.ts'
import { formatCount, type Style, table } from './style.ts'

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
] as const

/** `3d 4h`, `12m 5s`: the two largest units. */
export const formatAge = (seconds: number): string => {
  const parts: string[] = []
  let rest = seconds
  for (const [unit, size] of UNITS) {
    if (rest >= size || parts.length > 0) parts.push(`${Math.floor(rest / size)}${unit}`)
    rest %= size
  }
  return [...parts, `${rest}s`].slice(0, 2).join(' ')
}

const named = (name: string, version: string): string => [name, version].join(' ').trim() || '–'

const HEADINGS = [
  'address',
  'user',
  'application',
  'driver',
  'protocol',
  'connections',
  'in flight',
  'oldest',
  'last heard',
]

const cells = (group: ClientGroup): string[] => [
  group.address,
  group.user || '–',
  named(group.applicationName, group.applicationVersion),
  named(group.driverName, group.driverVersion),
  group.protocolVersion === null ? '–' : `v${group.protocolVersion}`,
  formatCount(group.connections),
  formatCount(group.inFlight),
  formatAge(group.oldestSeconds),
  `${formatAge(group.idleSeconds)} ago`,
]

const connectionsOf = ({ groups, unlistedConnections }: InstanceClients): number =>
  groups.reduce((sum, { connections }) => sum + connections, unlistedConnections)

const connectionsText = (count: number): string => plural(count, 'client connection', formatCount)

const instanceLines = (one: InstanceClients, style: Style): string[] => {
  const { name, groups, unlistedConnections, error } = one
  if (error !== null) return [style.bold(name), style.bad(`  ${error}`)]
  const rest =
    unlistedConnections === 0
      ? []
      : [style.warning(`  and ${connectionsText(unlistedConnections)} of further groups`)]
  const rows = [HEADINGS.map(style.dim), ...groups.map(cells)]
  return [
    `${style.bold(name)}  ${connectionsText(connectionsOf(one))}`,
    ...(groups.length === 0 ? [] : table(rows).map((line) => `  ${line}`)),
    ...rest,
  ]
}

export const renderClients = ({ instances }: ClientReport, style: Style): string[] => {
  const lines = instances.flatMap((one) => instanceLines(one, style))
  const total = instances.reduce((sum, one) => sum + connectionsOf(one), 0)
  const silent = instances.filter(({ error }) => error !== null).length
  if (silent > 0) {
    const how = `${connectionsText(total)} ${total === 1 ? 'is' : 'are'} known of; ${silent} of ${plural(instances.length, 'instance')} did not answer.`
    return [...lines, '', style.bad(how)]
  }
  return total === 0 ? [...lines, '', style.good('Nobody uses the proxy.')] : lines
}

/** What is said of a connection that nobody answers for, and of an instance without any. */
export const renderClosed = (
  { instances }: ClientCloseReport,
  { address, user }: ClientSelection,
  style: Style,
): string[] => {
  const closed = instances.reduce((sum, one) => sum + (one.closed ?? 0), 0)
  const whose = user === null ? '' : ` of ${JSON.stringify(user)}`
  const failed = instances.flatMap(({ name, error }) =>
    error === null ? [] : [style.bad(`${name}: ${error}; ask again, it is safe`)],
  )
  const counts = instances.flatMap(({ name, closed: count }) =>
    count === null || count === 0 ? [] : [`  ${name}: ${count}`],
  )
  if (closed === 0) {
    const none = `No connection from ${address}${whose} was found; zdm clients shows who there is.`
    return [failed.length === 0 ? style.warning(none) : none, ...failed]
  }
  return [
    `${connectionsText(closed)} from ${address}${whose} being closed, each when all that it asked is answered:`,
    ...counts,
    ...failed,
    'Nothing keeps them from coming back; zdm clients shows whether they have.',
  ]
}

export const isCloseReport = (answer: unknown): answer is ClientCloseReport =>
  typeof answer === 'object' && answer !== null && 'instances' in answer
