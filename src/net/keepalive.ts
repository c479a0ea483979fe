/**
 * How soon a dead peer is noticed. Keep-alive probes find an idle connection's death; the kernel's
 * user time-out (TCP_USER_TIMEOUT, through net-keepalive) finds it while data waits for an
 * acknowledgement, which would otherwise take the kernel's 15 minutes of retransmissions.
 */
import type { Socket } from 'node:net'
import { setKeepAliveInterval, setKeepAliveProbes, setUserTimeout } from 'net-keepalive'

const IDLE_MS = 10_000
const PROBE_INTERVAL_MS = 3_000
const PROBES = 3
const USER_TIMEOUT_MS = 20_000

/** Tunes a connected socket. Where the platform has no such option the defaults stay. */
export const tuneSocket = (socket: Socket): void => {
  socket.setNoDelay(true)
  socket.setKeepAlive(true, IDLE_MS)
  try {
    setKeepAliveInterval(socket, PROBE_INTERVAL_MS)
    setKeepAliveProbes(socket, PROBES)
    setUserTimeout(socket, USER_TIMEOUT_MS)
  } catch {
    // Not Linux or macOS, or the socket is gone already: its close event tells the rest.
  }
}
