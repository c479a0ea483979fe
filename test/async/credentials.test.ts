/** Whose credentials the copies of reads have (operations §8.2): the client's where they are that cluster's, else the configured ones. */
import { expect, test } from 'vitest'
import { Opcode } from '../../src/cql/protocol.ts'
import { eventually, startPlane } from '../support/plane.ts'

const CONFIGURED = { username: 'configured', password: 'c' }
const CLIENT = { username: 'application', password: 'a' }
const BOTH = {
  name: 'org.apache.cassandra.auth.PasswordAuthenticator',
  credentials: { [CONFIGURED.username]: CONFIGURED.password, [CLIENT.username]: CLIENT.password },
}
const READ = 'SELECT * FROM ks.t'

test.each([
  { primary: 'ORIGIN', forward: false, targetAsks: true, user: CLIENT.username },
  { primary: 'TARGET', forward: false, targetAsks: true, user: CONFIGURED.username },
  { primary: 'ORIGIN', forward: true, targetAsks: true, user: CONFIGURED.username },
  { primary: 'TARGET', forward: true, targetAsks: true, user: CLIENT.username },
  { primary: 'ORIGIN', forward: false, targetAsks: false, user: undefined },
] as const)(
  'primary $primary, forwarded to origin: $forward, target asks: $targetAsks: copies are those of $user',
  async ({ primary, forward, targetAsks, user }) => {
    const rig = await startPlane({
      origin: { authenticator: BOTH },
      target: targetAsks ? { authenticator: BOTH } : {},
      settings: {
        primaryCluster: primary,
        readMode: 'DUAL_ASYNC_ON_SECONDARY',
        forwardClientCredentialsToOrigin: forward,
        originUsername: CONFIGURED.username,
        originPassword: CONFIGURED.password,
        targetUsername: CONFIGURED.username,
        targetPassword: CONFIGURED.password,
      },
    })
    const secondary = primary === 'ORIGIN' ? rig.target : rig.origin
    const driver = await rig.client(4, { credentials: CLIENT })
    const copies = (): readonly number[] =>
      secondary.received
        .filter(({ opcode, text }) => opcode === Opcode.QUERY && text === READ)
        .map(({ connection }) => connection)
    // The first read may come before the connection for its copy is open.
    while (copies().length === 0) await driver.query(READ)
    await eventually(() => copies().length > 0)
    const [copied] = copies()
    expect(secondary.openConnections.find(({ index }) => index === copied)!.username).toBe(user)
  },
)
