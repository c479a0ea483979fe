/**
 * The header of v2 and before: eight bytes, with a stream id of one signed byte. Inside the proxy every
 * envelope has nine; they are converted here, on the way in by the decoder and on the way out by the
 * output, so that nothing else knows of it (v2 §2).
 *
 *   0         8        16        24        32                                  64
 *   +---------+---------+---------+---------+---------+---------+---------+---------+
 *   | version |  flags  | stream  | opcode  |                length                 |  body …
 */
import { HEADER_LENGTH, RESPONSE_BIT, readBodyLength } from './envelope.ts'

export const SHORT_HEADER_LENGTH = 8
const SHORT_HEADER_VERSION_MAX = 2

/** Whether the envelope that starts at `start` has a short header on the wire. */
export const isSentShort = (bytes: Uint8Array, start: number): boolean =>
  (bytes[start]! & ~RESPONSE_BIT) <= SHORT_HEADER_VERSION_MAX

/** Makes the eight bytes at the beginning of `header` nine; a negative stream id stays negative. */
export const widenHeader = (header: Uint8Array): void => {
  header.copyWithin(3, 2, SHORT_HEADER_LENGTH)
  header[2] = header[3]! >= 0x80 ? 0xff : 0
}

/**
 * Makes the headers of a run of whole envelopes short, in place, where their version has short ones;
 * returns the run's new length.
 */
export const narrowHeaders = (bytes: Uint8Array, length: number): number => {
  let to = 0
  for (let from = 0; from < length; ) {
    const next = from + HEADER_LENGTH + readBodyLength(bytes, from)
    if (isSentShort(bytes, from)) {
      bytes.copyWithin(to, from, from + 2)
      // The stream id's high byte goes.
      bytes.copyWithin(to + 2, from + 3, next)
      to += next - from - 1
    } else {
      bytes.copyWithin(to, from, next)
      to += next - from
    }
    from = next
  }
  return to
}
