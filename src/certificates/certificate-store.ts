/**
 * The certificates of all legs as they are in force: read for a start attempt, then looked at every few
 * seconds. What changed and is sound replaces what was; what is broken leaves the old ones in force and is
 * said loudly (operations §11 S4). The control plane's alone: data planes get the texts from it, so
 * that no thread reads a file in another state than the others.
 *
 * Contents are compared, not times: renames, symbolic links that are switched (Kubernetes secrets) and
 * copies with old dates are all the same to it.
 */
import type { Clock, Timer } from '../clock.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import { clientContext } from '../net/tls.ts'
import { CertificateError, CertificateErrorCode } from './errors.ts'
import type { CertificateRole, Leg, LegContent, LegSource } from './leg-source.ts'

/** How soon a renewed file is noticed. */
export const LOOK_INTERVAL_MS = 5_000
/** Certificates that expire sooner are warned of, once a day. */
const EXPIRES_SOON_MS = 30 * 24 * 60 * 60 * 1000
const WARN_AGAIN_MS = 24 * 60 * 60 * 1000
const DAY_MS = 24 * 60 * 60 * 1000
/** Certificate and key may be replaced one after the other: a pair that fits at the next look was never broken. */
const BROKEN_AT_LOOK = 2

export const LEGS = ['listener', 'origin', 'target'] as const satisfies readonly Leg[]

export type LegSources = Readonly<Record<Leg, LegSource | null>>

/** For the metrics. */
export type CertificateExpiry = {
  readonly leg: Leg
  readonly role: CertificateRole
  readonly expiresAtSeconds: number
}

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
  #warnedAtMs = Number.NEGATIVE_INFINITY

  constructor(sources: LegSources, tools: { readonly clock: Clock; readonly log: Logger }) {
    this.#sources = sources
    this.#clock = tools.clock
    this.#log = tools.log
  }

  /** Reads everything anew. Rejects with the CertificateError of the first leg that cannot be used. */
  async load(): Promise<void> {
    const legs: LegState[] = []
    for (const leg of LEGS) {
      const source = this.#sources[leg]
      if (source === null) continue
      const content = await source.read()
      checkUsable(content, leg, source)
      legs.push({ leg, source, content, brokenLooks: 0, reloads: { applied: 0, rejected: 0 } })
    }
    this.#legs = legs
    this.#warnOfExpiry()
  }

  /** What is in force; null where the leg has no TLS. */
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

  /** Of each leg with TLS whether its files are broken now, so that older certificates are in force, and how often they changed. */
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
      if (!isUnchanged) checkUsable(content, leg, source)
      state.brokenLooks = 0
      if (isUnchanged) return false
      state.content = content
      state.reloads.applied++
      this.#warnedAtMs = Number.NEGATIVE_INFINITY
      this.#log.info(
        { code: 'CERTIFICATES_RELOADED', leg },
        `new certificates for new connections (${source.description}): ${validityOf(content)}`,
      )
      return true
    } catch (error) {
      state.brokenLooks++
      if (state.brokenLooks === BROKEN_AT_LOOK) state.reloads.rejected++
      if (state.brokenLooks >= BROKEN_AT_LOOK) this.#sayBroken(state, error)
      return false
    }
  }

  #sayBroken({ leg, content }: LegState, error: unknown): void {
    const text = messageOf(error)
    this.#log.limited(
      `CERTIFICATES_REJECTED ${leg}`,
      'error',
      { code: 'CERTIFICATES_REJECTED', leg },
      `${text}; the certificates that were read before stay in force: ${validityOf(content)}`,
    )
  }

  #warnOfExpiry(): void {
    const nowMs = this.#clock.wallMs()
    if (nowMs - this.#warnedAtMs < WARN_AGAIN_MS) return
    this.#warnedAtMs = nowMs
    for (const { leg, role, expiresAtSeconds } of this.expiries()) {
      const leftMs = expiresAtSeconds * 1000 - nowMs
      if (leftMs > EXPIRES_SOON_MS) continue
      const source = this.#sources[leg]?.description ?? ''
      const days = Math.floor(Math.abs(leftMs) / DAY_MS)
      const [code, when] =
        leftMs > 0
          ? ['CERTIFICATE_EXPIRES_SOON', `expires in ${days} days`]
          : ['CERTIFICATE_EXPIRED', `expired ${days} days ago`]
      this.#log.warn({ code, leg, role }, `a certificate (${role}) of ${source} ${when}`)
    }
  }
}

/** OpenSSL refuses more than can be seen in the files, such as keys that are too short. */
const checkUsable = (content: LegContent, leg: Leg, { description }: LegSource): void => {
  try {
    clientContext(content)
  } catch (error) {
    const reason = messageOf(error)
    const file = { setting: `TLS of ${leg}`, path: description }
    const text = `cannot be used: ${reason}`
    throw new CertificateError(CertificateErrorCode.INVALID, file, text, error)
  }
}

const isSame = (a: LegContent, b: LegContent): boolean =>
  a.authority === b.authority &&
  a.certificate === b.certificate &&
  a.key === b.key &&
  a.bundle?.host === b.bundle?.host &&
  a.bundle?.port === b.bundle?.port

/** When what a leg has expires, for log lines. */
export const validityOf = ({ expiresAtMs }: LegContent): string => {
  const parts = (['certificate', 'authority'] as const).flatMap((role) => {
    const at = expiresAtMs[role]
    return at === undefined ? [] : [`${role} valid until ${new Date(at).toISOString()}`]
  })
  return parts.length === 0 ? 'no certificates of its own' : parts.join(', ')
}
