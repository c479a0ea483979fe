/** The admin API as the console asks it: with a deadline, and with the operator's token where it needs one. */
import { byId, setText } from './dom.js'

const TOKEN_KEY = 'zdm-token'
/** The instance itself waits three seconds for another one. */
const READ_TIMEOUT_MS = 6000
/** A change waits for the requests in flight, on every instance. */
const CHANGE_TIMEOUT_MS = 60_000

class ApiError extends Error {
  constructor(status, content) {
    super(content?.message ?? `The admin API answered ${status}`)
    this.status = status
  }
}

/** The operator does not want to give a token now. */
export class NoTokenError extends Error {}

let asking = null
let isDeclined = false

/** Resolves when there is a token; rejects with a NoTokenError. One dialog, however many ask. */
const askForToken = (why) => {
  asking ??= new Promise((resolve, reject) => {
    const dialog = byId('token-dialog')
    setText('token-error', why)
    byId('token').value = ''
    dialog.returnValue = ''
    dialog.addEventListener(
      'close',
      () => {
        asking = null
        if (dialog.returnValue === 'use') {
          sessionStorage.setItem(TOKEN_KEY, byId('token').value)
          resolve()
        } else {
          isDeclined = true
          byId('enter-token').hidden = false
          reject(new NoTokenError('The admin API needs a token, and none was given.'))
        }
        byId('token').value = ''
      },
      { once: true },
    )
    dialog.showModal()
  })
  return asking
}

/** Whoever closed the dialog is not asked again until they want to be: `onWish`. */
export const wireToken = (onWish) => {
  byId('enter-token').addEventListener('click', () => {
    isDeclined = false
    byId('enter-token').hidden = true
    onWish()
  })
}

const send = async (method, path, body, token) => {
  const timeoutMs = method === 'GET' ? READ_TIMEOUT_MS : CHANGE_TIMEOUT_MS
  try {
    return await fetch(path, {
      method,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (error) {
    const why =
      error.name === 'TimeoutError'
        ? `no answer within ${timeoutMs / 1000} s`
        : 'it cannot be reached'
    throw new Error(`${location.host}: ${why}`, { cause: error })
  }
}

/** A change answers a report with other statuses too, hence `accepted`. */
export const ask = async (method, path, body, accepted = [200]) => {
  if (isDeclined) throw new NoTokenError('The admin API needs a token, and none was given.')
  const token = sessionStorage.getItem(TOKEN_KEY)
  const response = await send(method, path, body, token)
  if (response.status === 401) {
    // Another question may have brought a new token meanwhile.
    if (sessionStorage.getItem(TOKEN_KEY) === token) {
      sessionStorage.removeItem(TOKEN_KEY)
      await askForToken(
        token === null ? '' : 'That token was refused: it is not the one in admin_token_path.',
      )
    }
    return ask(method, path, body, accepted)
  }
  const content = await response.json().catch(() => null)
  if (!accepted.includes(response.status)) throw new ApiError(response.status, content)
  return content
}
