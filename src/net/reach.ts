/** Whether somebody listens: a connection that is hung up again without a byte, as load balancers probe. */
import type { Dialer, DialTarget } from './dialer.ts'
import type { TransportHandler } from './transport.ts'

const DEAF: TransportHandler = {
  onBytes: () => {},
  onDrain: () => {},
  onEnd: () => {},
  onClose: () => {},
}

/** Rejects as `dialer.dial` does, with the socket's error or a time-out. */
export const tryConnect = async (dialer: Dialer, target: DialTarget): Promise<void> => {
  const transport = await dialer.dial(target, DEAF)
  transport.destroy()
}
