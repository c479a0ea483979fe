/**
 * One instance of the proxy as its admin API shows it to others: another instance, the command line. HTTP
 * or TLS, a token where one is needed; every call has a deadline.
 */
import { request as requestHttp } from 'node:http'
import { type RequestOptions, request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import type { InstanceClient } from '../control/coordinate.ts'
import { ControlError, ControlErrorCode } from '../control/errors.ts'
import type {
  CheckReport,
  ClientCloseReport,
  ClientGroups,
  ClientReport,
  ClientSelection,
  CommittedChange,
  ConfigEntry,
  InstanceStatus,
  PreparedChange,
  PrepareRequest,
  Reconciliation,
  Requester,
} from '../control/report.ts'
import { messageOf } from '../message-of.ts'

export type InstanceAccess = {
  readonly token: string | null
  /** PEM; for https. */
  readonly tls: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized'>
  /** How long an instance may take to answer, but for a commit. */
  readonly timeoutMs: number
  /** A commit waits for requests in flight. */
  readonly commitTimeoutMs: number
}

/** A check gives up by itself before. */
const CHECK_TIMEOUT_MS = 30_000

/** An instance that cannot be reached, or whose answer is none of this API's. */
export class InstanceError extends Error {
  /** Of its answer; null where there was none. */
  readonly status: number | null
  /** The code of what went wrong on the way, such as ECONNREFUSED; TIMEOUT; empty where there is none. */
  readonly reason: string

  constructor(message: string, status: number | null, reason: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'InstanceError'
    this.status = status
    this.reason = reason
  }
}

const codeOf = (cause: unknown): string =>
  cause instanceof Error && 'code' in cause ? String(cause.code) : ''

export class HttpInstanceClient implements InstanceClient {
  /** `http://10.0.0.1:14003` */
  readonly name: string
  readonly #access: InstanceAccess

  constructor(name: string, access: InstanceAccess) {
    this.name = name
    this.#access = access
  }

  status(): Promise<InstanceStatus> {
    return this.ask('GET', '/v1/status')
  }

  config(): Promise<readonly ConfigEntry[]> {
    return this.ask('GET', '/v1/config')
  }

  prepare(request: PrepareRequest): Promise<PreparedChange> {
    return this.ask('POST', '/v1/changes', request)
  }

  commit(id: string): Promise<CommittedChange> {
    const path = `/v1/changes/${encodeURIComponent(id)}/commit`
    return this.ask('POST', path, {}, this.#access.commitTimeoutMs)
  }

  async abort(id: string): Promise<void> {
    await this.ask('DELETE', `/v1/changes/${encodeURIComponent(id)}`)
  }

  check(): Promise<CheckReport> {
    return this.ask('GET', '/v1/check?scope=instance&schema=false', undefined, CHECK_TIMEOUT_MS)
  }

  async reconciled(
    reconciliation: Reconciliation,
    requester: Omit<Requester, 'force'>,
  ): Promise<void> {
    const body = { ...requester, ...reconciliation, scope: 'instance' }
    await this.ask('POST', '/v1/reconciliations', body)
  }

  async clients(): Promise<ClientGroups> {
    const report = await this.ask<ClientReport>('GET', '/v1/clients?scope=instance')
    return only(report.instances, this.name)
  }

  async closeClients(
    selection: ClientSelection,
    requester: Omit<Requester, 'force'>,
  ): Promise<number> {
    const body = { ...requester, ...selection, scope: 'instance' }
    const report = await this.ask<ClientCloseReport>('POST', '/v1/clients/close', body)
    return only(report.instances, this.name).closed ?? 0
  }

  /**
   * Any operation of docs/admin-api.yaml. Rejects with a ControlError where the instance refuses with one
   * of its codes, and with an Error that names the instance for everything else (an InstanceError).
   */
  async ask<T>(
    method: string,
    path: string,
    body?: unknown,
    timeoutMs = this.#access.timeoutMs,
  ): Promise<T> {
    const { status, content } = await this.exchange(method, path, body, timeoutMs)
    if (status < 300) return checked<T>(content)
    throw this.problem(status, content)
  }

  /** The same with any answer: a change that was refused or is partial answers a report. */
  async exchange(
    method: string,
    path: string,
    body?: unknown,
    timeoutMs = this.#access.commitTimeoutMs,
  ): Promise<{ readonly status: number; readonly content: unknown }> {
    const { status, content } = await this.#send(method, path, body, timeoutMs)
    try {
      return { status, content: JSON.parse(content) }
    } catch {
      const text = `${this.name} answered ${method} ${path} with ${status} and no JSON: is it an admin API?`
      throw new InstanceError(text, status, '')
    }
  }

  async #send(
    method: string,
    path: string,
    body: unknown,
    timeoutMs: number,
  ): Promise<{ readonly status: number; readonly content: string }> {
    const { token, tls } = this.#access
    const url = new URL(path, this.name)
    const payload = body === undefined ? null : JSON.stringify(body)
    const headers = {
      accept: 'application/json',
      ...(payload === null ? {} : { 'content-type': 'application/json' }),
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    }
    const signal = AbortSignal.timeout(timeoutMs)
    const send = url.protocol === 'https:' ? requestHttps : requestHttp
    try {
      return await new Promise((resolve, reject) => {
        // A connection of its own: what is kept open may be gone when it is needed, after a restart.
        const options = { ...tls, method, headers, signal, agent: false as const }
        const request = send(url, options, (response) => {
          text(response).then(
            (content) => resolve({ status: response.statusCode ?? 0, content }),
            reject,
          )
        })
        request.on('error', reject)
        request.end(payload ?? undefined)
      })
    } catch (cause) {
      const why = signal.aborted ? `no answer within ${timeoutMs} ms` : messageOf(cause)
      const reason = signal.aborted ? 'TIMEOUT' : codeOf(cause)
      throw new InstanceError(`${this.name} cannot be reached: ${why}`, null, reason, cause)
    }
  }

  /** What an answer that is no success says. */
  problem(status: number, content: unknown): Error {
    const fields = typeof content === 'object' && content !== null ? content : {}
    const code = 'code' in fields ? String(fields.code) : ''
    const message = 'message' in fields ? String(fields.message) : `it answered ${status}`
    const known = Object.values(ControlErrorCode).find((candidate) => candidate === code)
    if (known === undefined) {
      return new InstanceError(`${this.name}: ${message} (${code || status})`, status, '')
    }
    const checks = 'checks' in fields && Array.isArray(fields.checks) ? fields.checks : []
    return new ControlError(known, message, { checks })
  }
}

/** What an instance says of itself alone; throws what it says is wrong with it. */
const only = <T extends { readonly error: string | null }>(
  [one]: readonly T[],
  name: string,
): T => {
  if (one === undefined) throw new InstanceError(`${name} said nothing of itself`, null, '')
  if (one.error !== null) throw new InstanceError(one.error, null, '')
  return one
}

/** The other side checks what it sends against the schemas of the same document. */
const checked = <T>(value: unknown): T => value as T
