/** For work that knows no signal: whoever waits for it is let go, and what still comes of it is not lost. */

/** Rejects as soon as the signal says so, with its reason; what then still arrives goes to `discard`. */
export const unlessAborted = async <T>(
  work: Promise<T>,
  signal: AbortSignal,
  discard: (late: T) => unknown = () => undefined,
): Promise<T> => {
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([aborted.promise, work])
  } catch (error) {
    if (signal.aborted) work.then(discard).catch(() => undefined)
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
