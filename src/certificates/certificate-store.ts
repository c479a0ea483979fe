/**
 * The certificates of all legs (or of the HTTP servers, with their tokens) as they are in force: read for a
 * start attempt, then looked at every few seconds. What changed and is sound replaces what was; what is
 * broken leaves the old ones in force and is said loudly (operations §11 S4). The control plane's alone: data
 * planes get the texts from it, so that no thread reads a file in another state than the others.
 *
 * Contents are compared, not times: renames, symbolic links that are switched (Kubernetes secrets) and
 * copies with old dates are all the same to it.
 */
import type { Clock, Timer } from '../clock.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import type { CertificateSeries } from '../metrics/certificate-series.ts'
import { clientContext } from '../net/tls.ts'
import { checkHolds } from './crl.ts'
import { CertificateError, CertificateErrorCode } from './errors.ts'
import type { CertificateRole, Leg, LegContent, LegSource } from './leg-source.ts'

/** How soon a renewed file is noticed. */
export const LOOK_INTERVAL_MS = 5_000
/** Certificates that expire sooner are warned of, once a day. */
const EXPIRES_SOON_MS = 30 * 24 * 60 * 60 * 1000
const WARN_AGAIN_MS = 24 * 60 * 60 * 1000
const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
/** Certificate and key may be replaced one after the other: a pair that fits at the next look was never broken. */
const BROKEN_AT_LOOK = 2

const LEGS = ['listener', 'origin', 'target', 'admin', 'metrics'] as const satisfies readonly Leg[]

/** Null or absent where a leg has neither TLS nor tokens. */
export type LegSources = Readonly<Partial<Record<Leg, LegSource | null>>>

/** For the metrics. */
export type CertificateExpiry = {
  readonly leg: Leg
  readonly role: CertificateRole
  readonly expiresAtSeconds: number
}

/** For the metrics. */
export type CrlExpiry = { readonly leg: Leg; readonly expiresAtSeconds: number }

/** For the metrics. */
export type LegReloads = {
  readonly leg: Leg
  readonly isRejected: boolean
  readonly reloads: { readonly applied: number; readonly rejected: number }
}

type LegState = {
  readonly leg: Leg
  readonly source: LegSource
  content: LegContent
  /** Looks in a row at which the files could not be used. */
  brokenLooks: number
  readonly reloads: { applied: number; rejected: number }
}

export class CertificateStore {
  readonly #sources: LegSources
  readonly #clock: Clock
  readonly #log: Logger
  #legs: readonly LegState[] = []
  #timer: Timer | null = null
  #onChange: (legs: readonly Leg[]) => void = () => {}
  #looking: Promise<void> | null = null
  readonly #warnedAtMs: Map<string, number>

  /** `warnedAtMs`: what the daily warnings are counted in; the stores of several start attempts share one. */
  constructor(
    sources: LegSources,
    tools: { readonly clock: Clock; readonly log: Logger },
    warnedAtMs = new Map<string, number>(),
  ) {
    this.#sources = sources
    this.#clock = tools.clock
    this.#log = tools.log
    this.#warnedAtMs = warnedAtMs
  }

  /** Reads everything anew. Rejects with the CertificateError of the first leg that cannot be used. */
  async load(): Promise<void> {
    const legs: LegState[] = []
    for (const leg of LEGS) {
      const source = this.#sources[leg] ?? null
      if (source === null) continue
      const content = await source.read()
      checkUsable(content, leg, source, this.#clock.wallMs())
      legs.push({ leg, source, content, brokenLooks: 0, reloads: { applied: 0, rejected: 0 } })
    }
    this.#legs = legs
    this.#warnOfExpiry()
  }

  /** What is in force; null where the leg has neither TLS nor tokens. */
  content(leg: Leg): LegContent | null {
    return this.#legs.find((state) => state.leg === leg)?.content ?? null
  }

  /** Looks again every few seconds; `onChange` is told once per look at which anything changed. */
  watch(onChange: (legs: readonly Leg[]) => void): void {
    if (this.#legs.length === 0) return
    this.#onChange = onChange
    this.#timer = this.#clock.setInterval(() => void this.look(), LOOK_INTERVAL_MS)
  }

  /** Looks now; one look at a time. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  close(): void {
    this.#clock.clearInterval(this.#timer)
    this.#timer = null
  }

  /** For the metrics. */
  series(): CertificateSeries {
    return { expiries: this.expiries(), crls: this.crlExpiries(), legs: this.states() }
  }

  expiries(): readonly CertificateExpiry[] {
    return this.#legs.flatMap(({ leg, content }) =>
      (['authority', 'certificate'] as const).flatMap((role) => {
        const expiresAtMs = content.expiresAtMs[role]
        return expiresAtMs === undefined
          ? []
          : [{ leg, role, expiresAtSeconds: expiresAtMs / 1000 }]
      }),
    )
  }

  /** Of each leg whose revocation lists expire. */
  crlExpiries(): readonly CrlExpiry[] {
    return this.#legs.flatMap(({ leg, content: { revocation } }) => {
      const expiresAtMs = revocation?.expiresAtMs ?? null
      return expiresAtMs === null ? [] : [{ leg, expiresAtSeconds: expiresAtMs / 1000 }]
    })
  }

  /** Of each leg with files whether its files are broken now, so that older certificates are in force, and how often they changed. */
  states(): readonly LegReloads[] {
    return this.#legs.map(({ leg, brokenLooks, reloads }) => ({
      leg,
      isRejected: brokenLooks >= BROKEN_AT_LOOK,
      reloads: { ...reloads },
    }))
  }

  async #look(): Promise<void> {
    const changed: Leg[] = []
    for (const state of this.#legs) if (await this.#hasChanged(state)) changed.push(state.leg)
    if (this.#timer === null) return
    this.#warnOfExpiry()
    if (changed.length > 0) this.#onChange(changed)
  }

  async #hasChanged(state: LegState): Promise<boolean> {
    const { leg, source } = state
    try {
      const content = await source.read()
      const isUnchanged = isSame(content, state.content)
      if (!isUnchanged) checkUsable(content, leg, source, this.#clock.wallMs())
      state.brokenLooks = 0
      if (isUnchanged) return false
      this.#takeOver(state, content)
      return true
    } catch (error) {
      state.brokenLooks++
      if (state.brokenLooks === BROKEN_AT_LOOK) state.reloads.rejected++
      if (state.brokenLooks >= BROKEN_AT_LOOK) this.#sayBroken(state, error)
      return false
    }
  }

  #takeOver(state: LegState, content: LegContent): void {
    const { leg, source, content: before } = state
    state.content = content
    state.reloads.applied++
    this.#warnedAtMs.clear()
    if (!hasSameTokens(content, before)) {
      const text = `new tokens are asked for (${source.description}): ${content.tokens?.length ?? 0} are accepted`
      this.#log.info({ code: 'TOKENS_RELOADED', leg }, text)
    }
    if (hasSameCertificates(content, before)) return
    this.#log.info(
      { code: 'CERTIFICATES_RELOADED', leg },
      `new certificates for new connections (${source.description}): ${validityOf(content)}`,
    )
  }

  #sayBroken({ leg, content }: LegState, error: unknown): void {
    const text = messageOf(error)
    this.#log.limited(
      `CERTIFICATES_REJECTED ${leg}`,
      'error',
      { code: 'CERTIFICATES_REJECTED', leg },
      `${text}; what was read before stays in force: ${validityOf(content)}`,
    )
  }

  #warnOfExpiry(): void {
    for (const { leg, role, expiresAtSeconds } of this.expiries()) {
      const expiresAtMs = expiresAtSeconds * 1000
      const expiry = { leg, role, expiresAtMs, warnFromMs: expiresAtMs - EXPIRES_SOON_MS }
      this.#warnOf(CERTIFICATE_WARNING, expiry)
    }
    for (const { leg, content } of this.#legs) {
      const { expiresAtMs = null, warnFromMs = null, uncovered = [] } = content.revocation ?? {}
      const expiry = { leg, role: 'crl', expiresAtMs, warnFromMs }
      this.#warnOf(CRL_WARNING, expiry)
      for (const authority of uncovered) {
        const text = `${content.revocation!.file.setting} has no revocation list of ${authority}: certificates of that authority are refused`
        this.#warnDaily({ code: 'CRL_MISSING', leg, authority }, text)
      }
    }
  }

  #warnOf(warning: ExpiryWarning, { leg, role, expiresAtMs, warnFromMs }: Expiry): void {
    const nowMs = this.#clock.wallMs()
    if (expiresAtMs === null || warnFromMs === null || warnFromMs > nowMs) return
    const { name, soon, over, effect } = warning
    const source = this.#sources[leg]?.description ?? ''
    const left = timeText(Math.abs(expiresAtMs - nowMs))
    const [code, when] =
      expiresAtMs > nowMs ? [soon, `expires in ${left}`] : [over, `expired ${left} ago`]
    this.#warnDaily({ code, leg, role }, `${name} (${role}) of ${source} ${when}${effect}`)
  }

  #warnDaily(fields: WarningFields, text: string): void {
    const nowMs = this.#clock.wallMs()
    const key = Object.values(fields).join(' ')
    if (nowMs - (this.#warnedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < WARN_AGAIN_MS) return
    this.#warnedAtMs.set(key, nowMs)
    this.#log.warn(fields, text)
  }
}

type ExpiryWarning = {
  readonly name: string
  /** Codes. */
  readonly soon: string
  readonly over: string
  readonly effect: string
}

const CERTIFICATE_WARNING: ExpiryWarning = {
  name: 'a certificate',
  soon: 'CERTIFICATE_EXPIRES_SOON',
  over: 'CERTIFICATE_EXPIRED',
  effect: '',
}

const CRL_WARNING: ExpiryWarning = {
  name: 'a revocation list',
  soon: 'CRL_EXPIRES_SOON',
  over: 'CRL_EXPIRED',
  effect: ': every certificate is refused then',
}

type WarningFields = Readonly<Record<string, string>> & { readonly code: string }

type Expiry = {
  readonly leg: Leg
  readonly role: string
  /** Null: never. */
  readonly expiresAtMs: number | null
  readonly warnFromMs: number | null
}

/** Days; of the last one the hours. */
const timeText = (ms: number): string =>
  ms < DAY_MS ? `${Math.floor(ms / HOUR_MS)} hours` : `${Math.floor(ms / DAY_MS)} days`

/** OpenSSL refuses more than can be seen in the files, such as keys that are too short. */
const checkUsable = (
  content: LegContent,
  leg: Leg,
  { description }: LegSource,
  nowMs: number,
): void => {
  if (content.revocation !== null) checkHolds(content.revocation, nowMs)
  try {
    clientContext({
      ...content,
      crls: content.revocation?.lists ?? [],
      trustsWellKnownRoots: false,
    })
  } catch (error) {
    const reason = messageOf(error)
    const file = { setting: `TLS of ${leg}`, path: description }
    const text = `cannot be used: ${reason}`
    throw new CertificateError(CertificateErrorCode.INVALID, file, text, error)
  }
}

const isSame = (a: LegContent, b: LegContent): boolean =>
  hasSameCertificates(a, b) && hasSameTokens(a, b)

const hasSameTokens = (a: LegContent, b: LegContent): boolean =>
  (a.tokens ?? []).join('\n') === (b.tokens ?? []).join('\n')

const hasSameCertificates = (a: LegContent, b: LegContent): boolean =>
  a.authority === b.authority &&
  a.certificate === b.certificate &&
  a.key === b.key &&
  (a.revocation?.lists ?? []).join('') === (b.revocation?.lists ?? []).join('') &&
  a.bundle?.host === b.bundle?.host &&
  a.bundle?.port === b.bundle?.port

/** When what a leg has expires, for log lines. */
export const validityOf = ({ expiresAtMs, revocation }: LegContent): string => {
  const ends: readonly (readonly [string, number | null | undefined])[] = [
    ['certificate', expiresAtMs.certificate],
    ['authority', expiresAtMs.authority],
    ['revocation list', revocation?.expiresAtMs],
  ]
  const parts = ends.flatMap(([name, at]) =>
    at == null ? [] : [`${name} valid until ${new Date(at).toISOString()}`],
  )
  return parts.length === 0 ? 'no certificates of its own' : parts.join(', ')
}
