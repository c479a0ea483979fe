/**
 * Who may use the admin API (architecture §2.5): requests of other web sites are refused, callers without
 * the token too, and everybody is limited in rate. Decides before a body is read.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import type { Clock } from '../clock.ts'
import { type ServerCredentials, showsToken } from './credentials.ts'
import { RateLimit } from './rate-limit.ts'

export type Refusal = {
  readonly status: 401 | 403 | 429
  readonly code: 'UNAUTHORIZED' | 'HOST_NOT_ALLOWED' | 'CROSS_ORIGIN' | 'RATE_LIMITED'
  readonly message: string
  /** For Retry-After. */
  readonly retryAfterSeconds?: number
}

export type GuardOptions = {
  /**
   * Without tokens whoever can connect may use it: only on loopback, or with mutual TLS, where callers have
   * shown a certificate already.
   */
  readonly credentials: () => ServerCredentials
}

/** The routes that need no token, because they say nothing; every other does, and what is no route too. */
export type PublicRoutes = ReadonlySet<string>

export type GuardedRequest = {
  readonly method: string
  /**
   * The route that will answer, never the path as it was sent: a router takes many spellings for one. Null
   * where there is none.
   */
  readonly route: string | null
  readonly remote: string
  readonly isTls: boolean
  readonly headers: IncomingHttpHeaders
}

/** Pages that poll once a second, and pipelines in a hurry. */
const REQUESTS = { burst: 100, perSecond: 20 }
/** A change is an event, not a load. */
const CHANGES = { burst: 20, perSecond: 2 }
/** Guessing gets nowhere with 256 bits, but it need not be fast either. */
const FAILURES = { burst: 10, perSecond: 0.2 }

/** `127.0.0.1:14003` → `127.0.0.1`; brackets go. */
const hostName = (host: string): string => {
  const withoutPort = host.replace(/:\d+$/, '')
  return withoutPort.replace(/^\[(.*)\]$/, '$1').toLowerCase()
}

export class Guard {
  readonly #credentials: () => ServerCredentials
  readonly #publicRoutes: PublicRoutes
  /** Of those who show the token. What others do from the same address does not count against them. */
  readonly #known: Limits
  readonly #others: Limits
  readonly #failures: RateLimit

  constructor({ credentials }: GuardOptions, publicRoutes: PublicRoutes, clock: Clock) {
    this.#publicRoutes = publicRoutes
    this.#credentials = credentials
    this.#known = limits(clock)
    this.#others = limits(clock)
    this.#failures = new RateLimit(FAILURES, clock)
  }

  /** Null where the request may go on. */
  refusal(request: GuardedRequest): Refusal | null {
    const isPublic = request.route !== null && this.#publicRoutes.has(request.route)
    const { tokens, hasMutualTls } = this.#credentials()
    const hasToken = tokens !== null && showsToken(request.headers, tokens)
    const isOpen = tokens === null && !hasMutualTls
    return (
      tooFast(hasToken ? this.#known : this.#others, request) ??
      (isOpen ? wrongHost(request) : null) ??
      crossOrigin(request) ??
      (isPublic || hasToken || tokens === null ? null : this.#unauthorized(request))
    )
  }

  #unauthorized({ remote, headers }: GuardedRequest): Refusal {
    const seconds = this.#failures.take(remote)
    if (seconds > 0) return rateLimited(seconds)
    const message =
      headers.authorization === undefined
        ? 'show the token of admin_token_path: "authorization: Bearer …"'
        : 'the token that was shown is none of admin_token_path'
    return { status: 401, code: 'UNAUTHORIZED', message }
  }
}

/**
 * A page whose name was made to resolve to this address (DNS rebinding) sends that name. It has no
 * token and no certificate, so where one is needed any name will do.
 */
const wrongHost = ({ headers }: GuardedRequest): Refusal | null => {
  const name = hostName(headers.host ?? '')
  if (name === 'localhost' || isIP(name) !== 0) return null
  const message = `the Host header names ${JSON.stringify(name)}: without admin_token_path only IP addresses and localhost are served`
  return { status: 403, code: 'HOST_NOT_ALLOWED', message }
}

type Limits = { readonly requests: RateLimit; readonly changes: RateLimit }

const limits = (clock: Clock): Limits => ({
  requests: new RateLimit(REQUESTS, clock),
  changes: new RateLimit(CHANGES, clock),
})

const tooFast = (
  { requests, changes }: Limits,
  { method, remote }: GuardedRequest,
): Refusal | null => {
  const isChange = method !== 'GET' && method !== 'HEAD'
  const seconds = (isChange ? changes : requests).take(remote)
  return seconds === 0 ? null : rateLimited(seconds)
}

const rateLimited = (seconds: number): Refusal => ({
  status: 429,
  code: 'RATE_LIMITED',
  message: `too many requests: wait ${seconds} s`,
  retryAfterSeconds: seconds,
})

/** What a browser says of the page that asks; other callers say nothing. */
const crossOrigin = ({ headers, isTls }: GuardedRequest): Refusal | null => {
  const site = headers['sec-fetch-site']
  const isForeignSite = site !== undefined && site !== 'same-origin' && site !== 'none'
  const own = `${isTls ? 'https' : 'http'}://${headers.host ?? ''}`
  const isForeignOrigin = headers.origin !== undefined && headers.origin !== own
  if (!isForeignSite && !isForeignOrigin) return null
  return {
    status: 403,
    code: 'CROSS_ORIGIN',
    message: `pages of ${headers.origin ?? 'other sites'} may not use this API`,
  }
}
