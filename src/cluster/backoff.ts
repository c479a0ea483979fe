/** How long to wait before the next try, for the control connections and for the start. */

/** `min + random[0,1) × (min × factor^attempt − min)`, at most `max` (operations §2.2). */
export const backoffMs = (
  attempt: number,
  minMs: number,
  maxMs: number,
  factor: number,
  random: () => number,
): number => {
  // After hours of failures the power is infinite, and 0 times that is no number.
  const grownMs = Math.min(minMs * factor ** attempt, Number.MAX_VALUE)
  return Math.min(minMs + random() * (grownMs - minMs), maxMs)
}
