/**
 * What a topology asks of IP addresses beyond their bytes and text (cql/inet.ts): whether they can
 * be dialled, and IPv4 in its 4-byte and 16-byte forms.
 */
import { formatInet, parseInet } from '../cql/inet.ts'

/** The first twelve bytes of an IPv4 address in 16-byte form, `::ffff:a.b.c.d`. */
const IPV4_MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)
const IPV6_LENGTH = 16

/** An IPv4 address in 16-byte form is an IPv4 address, as it is in Java and Go. */
const unmapped = (bytes: Uint8Array): Uint8Array =>
  bytes.length === IPV6_LENGTH && IPV4_MAPPED.every((byte, at) => bytes[at] === byte)
    ? bytes.subarray(IPV4_MAPPED.length)
    : bytes

/** The shortest bytes of an IP address, or null where the text is none. */
export const parseAddress = (text: string): Uint8Array | null => {
  const bytes = parseInet(text)
  return bytes === null ? null : unmapped(bytes)
}

/** Canonical text, so that two spellings of an address compare equal. */
export const formatAddress = (bytes: Uint8Array): string => formatInet(unmapped(bytes))

/** IPv4 as IPv4-mapped IPv6, as host ids are made (operations §6.3). */
export const toSixteenBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.length === IPV6_LENGTH ? bytes : Uint8Array.of(...IPV4_MAPPED, ...bytes)

/** 0.0.0.0 and `::` say "any address": nobody can be reached there. */
export const isAnyAddress = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)
