/**
 * Certificate revocation lists (RFC 5280 §5), as far as they must be known before OpenSSL gets them. It is
 * strict in silence: with a list that has expired, or without one of an authority in a chain, it refuses
 * everybody, and says so in each handshake only. Pure; files are leg-source.ts.
 */
import { verify, type X509Certificate } from 'node:crypto'
import { messageOf } from '../message-of.ts'
import { DerTag, isTime, readElement, readSequence, timeMs } from './der.ts'
import { CertificateError, CertificateErrorCode, type NamedFile } from './errors.ts'

const BLOCK = /-----BEGIN (?:X509 )?CRL-----([^-]*)-----END (?:X509 )?CRL-----/g

/** Lists are renewed far more often than certificates: what is left of the last quarter of their time is short. */
const WARNED_SHARE = 1 / 4

/** Object identifiers in hex, and the digest that `verify` wants; null: the algorithm has its own. */
const DIGESTS: ReadonlyMap<string, string | null> = new Map([
  ['2a864886f70d010105', 'sha1'],
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
  ['2b6570', null],
  ['2b6571', null],
])

type List = {
  readonly pem: string
  readonly issuer: string
  readonly thisUpdateMs: number
  /** Null: it does not expire. */
  readonly nextUpdateMs: number | null
  readonly signed: Buffer
  readonly signature: Buffer
  /** Undefined: an algorithm that is not known here, and may be to OpenSSL. */
  readonly digest: string | null | undefined
}

/** What a leg checks certificates against. */
export type Revocation = {
  readonly file: NamedFile
  /** PEM, a list each. */
  readonly lists: readonly string[]
  /** When the last list begins to hold, in milliseconds since 1970. */
  readonly validFromMs: number
  /** When the first list expires that no newer one of the same issuer replaces, in milliseconds since 1970. */
  readonly expiresAtMs: number | null
  /** From when on that is soon. */
  readonly warnFromMs: number | null
  /** Authorities of which there is no list, so that everybody is refused whom they have signed. */
  readonly uncovered: readonly string[]
}

const toPem = (der: Buffer): string => {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN X509 CRL-----\n${lines.join('\n')}\n-----END X509 CRL-----\n`
}

const parseList = (der: Buffer): List => {
  const [signed, algorithm, signature] = readSequence(der)
  if (signed === undefined || algorithm === undefined || signature?.tag !== DerTag.BIT_STRING) {
    throw new RangeError('it is no signed list')
  }
  const fields = readSequence(signed.whole)
  const [, issuer, thisUpdate, nextUpdate] =
    fields[0]?.tag === DerTag.INTEGER ? fields.slice(1) : fields
  if (issuer?.tag !== DerTag.SEQUENCE || !isTime(thisUpdate)) {
    throw new RangeError('it has no issuer, or no time of issue')
  }
  const identifier = readElement(algorithm.content).content.toString('hex')
  return {
    pem: toPem(der),
    issuer: issuer.whole.toString('hex'),
    thisUpdateMs: timeMs(thisUpdate),
    nextUpdateMs: isTime(nextUpdate) ? timeMs(nextUpdate) : null,
    signed: signed.whole,
    // Behind the number of bits that do not count, which is 0.
    signature: signature.content.subarray(1),
    digest: DIGESTS.get(identifier),
  }
}

const parseLists = (text: string, file: NamedFile): readonly List[] => {
  const blocks = [...text.matchAll(BLOCK)]
  if (blocks.length === 0) throw invalid(file, 'holds no revocation list (X509 CRL) in PEM form')
  return blocks.map(([, base64 = ''], index) => {
    try {
      return parseList(Buffer.from(base64, 'base64'))
    } catch (error) {
      throw invalid(file, `: list ${index + 1} cannot be read: ${messageOf(error)}`, error)
    }
  })
}

/** Of each issuer the list that holds longest: OpenSSL takes that. */
const inForce = (lists: readonly List[]): readonly List[] => {
  const holdsUntil = ({ nextUpdateMs }: List): number => nextUpdateMs ?? Number.POSITIVE_INFINITY
  const byIssuer = new Map<string, List>()
  for (const list of lists) {
    const other = byIssuer.get(list.issuer)
    if (other === undefined || holdsUntil(other) < holdsUntil(list)) byIssuer.set(list.issuer, list)
  }
  return [...byIssuer.values()]
}

const isSignedBy = ({ signed, signature, digest }: List, authority: X509Certificate): boolean => {
  if (digest === undefined) return true
  try {
    return verify(digest, signed, authority.publicKey, signature)
  } catch {
    return false
  }
}

const isRoot = (certificate: X509Certificate): boolean =>
  certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey)

/**
 * The lists of a PEM text, for certificates of these authorities. Throws a CertificateError where nobody would
 * be let in with them, whatever the time is; `checkHolds` says what the time makes of them.
 */
export const parseRevocation = (
  text: string,
  authorities: readonly X509Certificate[],
  files: { readonly crl: NamedFile; readonly authority: NamedFile },
): Revocation => {
  const { crl, authority } = files
  const lists = inForce(parseLists(text, crl))
  const names = (certificates: readonly X509Certificate[]): readonly string[] =>
    certificates.map(({ subject }) => subject.replaceAll('\n', ', '))
  const where = `${authority.path} (${authority.setting})`
  const roots = authorities.filter(isRoot)
  if (roots.length === 0) {
    const which = `${names(authorities).join('; ')} in ${where}`
    const why =
      'revocation is checked up to a root, with a list of each authority on the way, or every certificate is refused'
    throw invalid(crl, `needs the root beside ${which}: ${why}`)
  }
  const uncovered = roots.filter((root) => !lists.some((list) => isSignedBy(list, root)))
  if (uncovered.length === roots.length) {
    const which = `${names(roots).join('; ')} in ${where}`
    const why = "every certificate would be refused; add the list of each authority, the root's too"
    throw invalid(crl, `holds no revocation list of ${which}: ${why}`)
  }
  return { file: crl, ...validity(lists), uncovered: names(uncovered) }
}

/** Throws a CertificateError where the lists do not hold at this time, so that nobody would be let in. */
export const checkHolds = (revocation: Revocation, nowMs: number): void => {
  const { file, expiresAtMs, validFromMs } = revocation
  const iso = (ms: number): string => new Date(ms).toISOString()
  const effect = 'with it every certificate would be refused'
  if (expiresAtMs !== null && expiresAtMs <= nowMs) {
    const detail = `holds a revocation list that has expired on ${iso(expiresAtMs)}: ${effect}; fetch the current one`
    throw invalid(file, detail)
  }
  if (validFromMs > nowMs) {
    const detail = `holds a revocation list that is not valid before ${iso(validFromMs)}: ${effect}; look at this machine's clock`
    throw invalid(file, detail)
  }
}

const validity = (lists: readonly List[]): Omit<Revocation, 'uncovered' | 'file'> => {
  const ends = lists.flatMap(({ thisUpdateMs, nextUpdateMs }) =>
    nextUpdateMs === null ? [] : [{ thisUpdateMs, nextUpdateMs }],
  )
  const warnings = ends.map(
    ({ thisUpdateMs, nextUpdateMs }) => nextUpdateMs - (nextUpdateMs - thisUpdateMs) * WARNED_SHARE,
  )
  const first = (times: readonly number[]): number | null =>
    times.length === 0 ? null : Math.min(...times)
  return {
    lists: lists.map(({ pem }) => pem),
    validFromMs: Math.max(...lists.map(({ thisUpdateMs }) => thisUpdateMs)),
    expiresAtMs: first(ends.map(({ nextUpdateMs }) => nextUpdateMs)),
    warnFromMs: first(warnings),
  }
}

const invalid = (file: NamedFile, detail: string, cause?: unknown): CertificateError =>
  new CertificateError(CertificateErrorCode.INVALID, file, detail, cause)
