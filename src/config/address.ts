/** Addresses as operators write them: what is an IP address, what a host name, and which are the same. */
import { isIP, isIPv6 } from 'node:net'

const HOST_NAME_LENGTH_MAX = 253
const LABEL = /^[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?$/i
/** What ends in a number is an IPv4 address, or a mistake in one; no domain is all digits. */
const NUMBER = /^\d+$/
const PORT = /^(?:[^:[\]]+|\[.*\]):\d+$/
const ANY = new Set(['0.0.0.0', '::', '::ffff:0:0'])

/** By the rules of DNS (RFC 1123), underscores allowed; no address, and not all digits at the end. */
export const isHostName = (text: string): boolean => {
  const name = text.endsWith('.') ? text.slice(0, -1) : text
  const labels = name.split('.')
  return (
    name.length <= HOST_NAME_LENGTH_MAX &&
    labels.every((label) => LABEL.test(label)) &&
    !NUMBER.test(labels.at(-1) ?? '')
  )
}

/** Without a zone: an address that others can use too. */
export const isPlainIp = (text: string): boolean => isIP(text) !== 0 && !text.includes('%')

/** `[::1]` → `::1`, as sockets want it. */
export const withoutBrackets = (text: string): string =>
  text.startsWith('[') && text.endsWith(']') && isIPv6(text.slice(1, -1)) ? text.slice(1, -1) : text

/** `10.0.0.1:9042`, `node1:9042`, `[::1]:9042`. */
export const hasPort = (text: string): boolean => PORT.test(text)

/** One spelling for all of the same address: lower case, shortest IPv6, no dot at the end. */
export const canonicalAddress = (address: string): string => {
  const lower = address.toLowerCase()
  if (isIPv6(lower) && !lower.includes('%'))
    return new URL(`http://[${lower}]`).hostname.slice(1, -1)
  const name = lower.endsWith('.') ? lower.slice(0, -1) : lower
  return name === 'localhost' ? '127.0.0.1' : name
}

/** `0.0.0.0` and `::` say "every address of this machine": fine to listen on, nobody can connect to it. */
export const isAnyAddress = (address: string): boolean => ANY.has(canonicalAddress(address))

/** Only this machine reaches it. Host names but `localhost` may be anybody's. */
export const isLoopback = (address: string): boolean => {
  const canonical = canonicalAddress(address)
  return canonical === '::1' || (isIP(canonical) === 4 && canonical.startsWith('127.'))
}

/** Node binds the IPv6 loopback for `localhost` on some systems; settings mean 127.0.0.1. */
export const bindAddress = (address: string): string =>
  address.toLowerCase() === 'localhost' ? '127.0.0.1' : address
