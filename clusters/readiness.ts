/**
 * Whether a node serves clients: it answers OPTIONS with SUPPORTED (native protocol v4 §4.1.3) and,
 * where the cluster asks for credentials, lets the default role in.
 */
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import cassandra from 'cassandra-driver'
import { type ClientTls, type ContactPoint, DATACENTER, DEFAULT_CREDENTIALS } from './cluster.ts'

const OPTIONS_V4 = Uint8Array.of(4, 0, 0, 0, 5, 0, 0, 0, 0)
const OPCODE_OFFSET = 4
const SUPPORTED = 6
const PROBE_TIMEOUT_MS = 2000
const RETRY_DELAY_MS = 250

/** Nodes are on whichever loopback address is free: their certificates cannot name it. */
const anyName = (tls: ClientTls) => ({ ...tls, checkServerIdentity: () => undefined })

/** Resolves to whether the node answered in time; never rejects. */
export const answersOptions = (
  { address, port }: ContactPoint,
  tls?: ClientTls,
): Promise<boolean> =>
  new Promise((resolve) => {
    const where = { host: address, port, timeout: PROBE_TIMEOUT_MS }
    const socket = tls === undefined ? connect(where) : connectTls({ ...where, ...anyName(tls) })
    const settle = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => socket.write(OPTIONS_V4))
    socket.once('data', (bytes) => settle(bytes[OPCODE_OFFSET] === SUPPORTED))
    socket.once('timeout', () => settle(false))
    socket.once('error', () => settle(false))
    socket.once('close', () => resolve(false))
  })

export const acceptsDefaultRole = async (
  { address, port }: ContactPoint,
  tls?: ClientTls,
): Promise<boolean> => {
  const client = new cassandra.Client({
    contactPoints: [`${address}:${port}`],
    localDataCenter: DATACENTER,
    credentials: DEFAULT_CREDENTIALS,
    ...(tls === undefined ? {} : { sslOptions: anyName(tls) }),
  })
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.shutdown()
  }
}

/** Asks again until it is so; ends with the signal's reason if that comes first. */
export const waitUntil = async (
  isSo: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> => {
  for (;;) {
    signal.throwIfAborted()
    if (await isSo()) return
    await delay(RETRY_DELAY_MS, undefined, { signal })
  }
}
