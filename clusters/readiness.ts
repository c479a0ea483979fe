/**
 * Whether a node serves clients: it answers OPTIONS with SUPPORTED (native protocol v4 §4.1.3) and,
 * where the cluster asks for credentials, lets the default role in.
 */
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import cassandra from 'cassandra-driver'
import { type ContactPoint, DATACENTER, DEFAULT_CREDENTIALS } from './cluster.ts'

const OPTIONS_V4 = Uint8Array.of(4, 0, 0, 0, 5, 0, 0, 0, 0)
const OPCODE_OFFSET = 4
const SUPPORTED = 6
const PROBE_TIMEOUT_MS = 2000
const RETRY_DELAY_MS = 250

/** Resolves to whether the node answered in time; never rejects. */
export const answersOptions = ({ address, port }: ContactPoint): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: PROBE_TIMEOUT_MS })
    const settle = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => socket.write(OPTIONS_V4))
    socket.once('data', (bytes) => settle(bytes[OPCODE_OFFSET] === SUPPORTED))
    socket.once('timeout', () => settle(false))
    socket.once('error', () => settle(false))
    socket.once('close', () => resolve(false))
  })

export const acceptsDefaultRole = async ({ address, port }: ContactPoint): Promise<boolean> => {
  const client = new cassandra.Client({
    contactPoints: [`${address}:${port}`],
    localDataCenter: DATACENTER,
    credentials: DEFAULT_CREDENTIALS,
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
