/**
 * IP addresses between text and the bytes of [inet] and of the CQL type inet (v5 §3, §6.10). Text is
 * read in every usual form and written in the one of RFC 5952.
 */

const IPV4_LENGTH = 4
const IPV6_LENGTH = 16
const IPV6_GROUPS = 8
const IPV4_PART = /^\d{1,3}$/
const IPV6_GROUP = /^[0-9a-f]{1,4}$/i

/** 4 or 16 bytes, or null where the text is no address. */
export const parseInet = (text: string): Uint8Array | null =>
  text.includes(':') ? parseIpv6(text) : parseIpv4(text)

const parseIpv4 = (text: string): Uint8Array | null => {
  const parts = text.split('.')
  if (parts.length !== IPV4_LENGTH) return null
  const isValid = parts.every((part) => IPV4_PART.test(part) && Number(part) <= 255)
  return isValid ? Uint8Array.from(parts, Number) : null
}

/** An IPv4 address at the end stands for the last two groups. */
const withoutIpv4Tail = (text: string): string | null => {
  if (!text.includes('.')) return text
  const tailStart = text.lastIndexOf(':') + 1
  const tail = parseIpv4(text.slice(tailStart))
  if (tail === null) return null
  const group = (at: number): string => ((tail[at]! << 8) | tail[at + 1]!).toString(16)
  return `${text.slice(0, tailStart)}${group(0)}:${group(2)}`
}

const groupsOf = (text: string): string[] => (text === '' ? [] : text.split(':'))

const parseIpv6 = (text: string): Uint8Array | null => {
  const halves = withoutIpv4Tail(text)?.split('::')
  if (halves === undefined || halves.length > 2) return null
  const head = groupsOf(halves[0] ?? '')
  const tail = groupsOf(halves[1] ?? '')
  const missing = IPV6_GROUPS - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null
  const groups = [...head, ...new Array<string>(missing).fill('0'), ...tail]
  if (!groups.every((group) => IPV6_GROUP.test(group))) return null
  const address = new Uint8Array(IPV6_LENGTH)
  groups.forEach((group, index) => {
    const value = Number.parseInt(group, 16)
    address[index * 2] = value >> 8
    address[index * 2 + 1] = value
  })
  return address
}

/** The address of 4 or 16 bytes as text; other lengths as hex, for they can only be shown. */
export const formatInet = (address: Uint8Array): string => {
  if (address.length === IPV4_LENGTH) return address.join('.')
  if (address.length === IPV6_LENGTH) return formatIpv6(address)
  return `0x${address.toHex()}`
}

const formatIpv6 = (address: Uint8Array): string => {
  const groups: number[] = []
  for (let at = 0; at < IPV6_LENGTH; at += 2) groups.push((address[at]! << 8) | address[at + 1]!)
  const { start, length } = longestZeroRun(groups)
  const hex = (from: number, to?: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  return length < 2 ? hex(0) : `${hex(0, start)}::${hex(start + length)}`
}

/** The first of the longest runs of zeros: the one that `::` stands for. */
const longestZeroRun = (groups: readonly number[]): { start: number; length: number } => {
  let longest = { start: 0, length: 0 }
  let length = 0
  groups.forEach((group, index) => {
    length = group === 0 ? length + 1 : 0
    if (length > longest.length) longest = { start: index + 1 - length, length }
  })
  return longest
}
