/** Whether an instance may leave: clients that have nowhere to go lose the service. Pure. */
import type { Seen } from './deployment.ts'
import { ControlError, ControlErrorCode } from './errors.ts'

/** Throws LAST_INSTANCE where no other of those that were asked serves clients. */
export const requireAnother = (others: readonly Seen[]): void => {
  const serves = ({ name, status }: Seen): boolean =>
    status?.name === name && status.serving === 'running' && status.notReady === null
  if (others.some(serves)) return
  const found = others.map(
    ({ name, status, error }) => `${name}: ${error ?? status?.notReady ?? status?.serving}`,
  )
  const why = found.length === 0 ? '' : ` (${found.join('; ')})`
  throw new ControlError(
    ControlErrorCode.LAST_INSTANCE,
    `no other instance is ready to serve clients${why}: start one, or force it`,
  )
}
