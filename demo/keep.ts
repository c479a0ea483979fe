/** What `--keep` prints: where everything is, and what to try there. */
import type { ContactPoint } from '../clusters/cluster.ts'
import { adminVariables } from './operator.ts'
import type { Place } from './place.ts'
import type { RunningProxies } from './proxy-process.ts'
import { KEYSPACE, TABLE } from './schema.ts'

export interface KeptAddresses {
  readonly proxies: Pick<RunningProxies, 'place' | 'contactPoint' | 'metrics' | 'logPaths'>
  readonly origin: ContactPoint
  readonly target: ContactPoint
  readonly localDatacenter: string
}

const at = ({ address, port }: ContactPoint): string => `${address}:${port}`
const cqlsh = ({ address, port }: ContactPoint): string => `cqlsh ${address} ${port}`

/** The lines that let `zdm` find the proxies. */
export const exportLine = (place: Place): string => {
  const words = Object.entries(adminVariables(place)).map(([name, value]) => `${name}=${value}`)
  return `export ${words.join(' ')}`
}

export const renderAddresses = (kept: KeptAddresses): string[] => {
  const { proxies, origin, target, localDatacenter } = kept
  const { place, contactPoint, metrics, logPaths } = proxies
  return [
    'Everything is still running:',
    '',
    ...place.addresses.map((address) => {
      const here = { address, port: place.port }
      return `  proxy      ${at(here).padEnd(18)} ${cqlsh(here)}`
    }),
    `  Origin     ${at(origin).padEnd(18)} ${cqlsh(origin)}`,
    `  Target     ${at(target).padEnd(18)} ${cqlsh(target)}`,
    `  console    http://${place.addresses[0]}:${place.adminPort}`,
    `  metrics    http://${at(metrics[0]!)}/metrics`,
    `  health     http://${at(metrics[0]!)}/health/readiness`,
    `  logs       ${logPaths.join(' ')}`,
    '',
    'Where it stands and the way back, from the folder of this project:',
    '',
    `  ${exportLine(place)}`,
    '  npx zdm status',
    '  npx zdm rollback',
    '',
    'With cassandra-driver, from the folder of this project (node --input-type=module):',
    '',
    "  import cassandra from 'cassandra-driver'",
    '  const client = new cassandra.Client({',
    `    contactPoints: ['${at(contactPoint)}'],`,
    `    localDataCenter: '${localDatacenter}',`,
    `    protocolOptions: { port: ${contactPoint.port} },`,
    `    keyspace: '${KEYSPACE}',`,
    '  })',
    `  console.log((await client.execute('SELECT * FROM ${TABLE} LIMIT 3')).rows)`,
    '  await client.shutdown()',
    '',
    'Ctrl-C stops all of it and removes its data.',
  ]
}
