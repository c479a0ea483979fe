/** How much memory the process may map at all. */
import { readFileSync } from 'node:fs'

/** What Go says of no limit. */
const UNLIMITED_BYTES = 2 ** 64
const SOFT_LIMIT = /^Max address space\s+(\d+|unlimited)/m

/** The soft limit that /proc/self/limits tells, in bytes; null where it tells none. */
export const addressSpaceMaxOf = (limits: string): number | null => {
  const [, text] = SOFT_LIMIT.exec(limits) ?? []
  if (text === undefined) return null
  return text === 'unlimited' ? UNLIMITED_BYTES : Number(text)
}

/** Of this process; null on other platforms than Linux. */
export const readAddressSpaceMax = (): number | null => {
  try {
    return addressSpaceMaxOf(readFileSync('/proc/self/limits', 'utf8'))
  } catch {
    return null
  }
}
