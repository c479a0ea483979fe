/**
 * A file of bearer tokens, one a line. Several are for the time of a change: all are accepted, and the first is
 * the one that is shown to others. Pure.
 */
import { CertificateError, CertificateErrorCode, type NamedFile } from './errors.ts'

const TOKEN_LENGTH_MIN = 16

/** The tokens of a text, in its order; empty lines do not count. */
export const tokenLines = (text: string): readonly string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')

/** At least one. Throws a CertificateError, which shows no token. */
export const parseTokens = (text: string, file: NamedFile): readonly string[] => {
  const tokens = tokenLines(text)
  const isSound = (token: string): boolean => token.length >= TOKEN_LENGTH_MIN && !/\s/.test(token)
  if (tokens.length > 0 && tokens.every(isSound)) return tokens
  throw new CertificateError(
    CertificateErrorCode.INVALID,
    file,
    `must hold one word of at least ${TOKEN_LENGTH_MIN} characters, or several, one a line; make one with: openssl rand -hex 32`,
  )
}
