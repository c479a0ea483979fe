/** What `--keep` prints: where everything is, and what to try there. */
import type { ContactPoint } from '../clusters/cluster.ts'
import { KEYSPACE, TABLE } from './schema.ts'

export interface KeptAddresses {
  readonly proxy: ContactPoint & { readonly httpPort: number; readonly logPath: string }
  readonly origin: ContactPoint
  readonly target: ContactPoint
  readonly localDatacenter: string
}

const at = ({ address, port }: ContactPoint): string => `${address}:${port}`
const cqlsh = ({ address, port }: ContactPoint): string => `cqlsh ${address} ${port}`

export const renderAddresses = (kept: KeptAddresses): string[] => {
  const { proxy, origin, target, localDatacenter } = kept
  const http = `http://127.0.0.1:${proxy.httpPort}`
  return [
    'Everything is still running:',
    '',
    `  proxy      ${at(proxy).padEnd(18)} ${cqlsh(proxy)}`,
    `  Origin     ${at(origin).padEnd(18)} ${cqlsh(origin)}`,
    `  Target     ${at(target).padEnd(18)} ${cqlsh(target)}`,
    `  metrics    ${http}/metrics`,
    `  health     ${http}/health/readiness`,
    `  proxy log  ${proxy.logPath}`,
    '',
    'With cassandra-driver, from the folder of this project (node --input-type=module):',
    '',
    "  import cassandra from 'cassandra-driver'",
    '  const client = new cassandra.Client({',
    `    contactPoints: ['${at(proxy)}'],`,
    `    localDataCenter: '${localDatacenter}',`,
    `    keyspace: '${KEYSPACE}',`,
    '  })',
    `  console.log((await client.execute('SELECT * FROM ${TABLE} LIMIT 3')).rows)`,
    '  await client.shutdown()',
    '',
    'Ctrl-C stops all of it and removes its data.',
  ]
}
