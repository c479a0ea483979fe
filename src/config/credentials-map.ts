/**
 * The file of users of the other cluster (credentials_map_path, operations §11 S3): for a client's user the one that
 * the proxy signs in as where the client's own credentials do not go. Read strictly; what is wrong is told with the
 * entry's name and line, and never with what stands there.
 *
 *     unlisted: refuse
 *     users:
 *       orders: { username: orders_origin, password: … }
 */
import { isMap, isNode, isScalar, LineCounter, parseAllDocuments, type YAMLMap } from 'yaml'
import { nearestName } from './nearest-name.ts'

export type MappedUser = { readonly username: string; readonly password: string }

export type CredentialsMap = {
  /** What clients get whose user is not listed: the proxy's own user, or a refusal. */
  readonly unlisted: 'configured' | 'refuse'
  /** By the client's user name. */
  readonly users: ReadonlyMap<string, MappedUser>
}

export type ParsedCredentialsMap = { readonly map: CredentialsMap } | { readonly fault: string }

const FAULTS_MAX = 10
const NAME_LENGTH_MAX = 100
const FORM =
  'users: with NAME: {username: …, password: …} for each, and unlisted: configured or refuse'
const TOP_KEYS = ['unlisted', 'users'] as const
const ENTRY_KEYS = ['username', 'password'] as const

type Item = { readonly name: string; readonly value: unknown; readonly line: number }

/** What it finds wrong, each with its line. */
class Faults {
  readonly texts: string[] = []
  readonly #lines: LineCounter

  constructor(lines: LineCounter) {
    this.#lines = lines
  }

  lineOf(node: unknown): number {
    return this.#lines.linePos(isNode(node) ? (node.range?.[0] ?? 0) : 0).line
  }

  add(line: number, text: string): void {
    this.texts.push(`line ${line}: ${text}`)
  }
}

const quoted = (name: string): string =>
  JSON.stringify(name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name)

/** Text that SASL PLAIN can carry, or null: `!x y` and `&x y` without quotes are not the text that they look like. */
const textOf = (node: unknown): string | null => {
  if (!isScalar(node) || node.tag !== undefined || node.anchor !== undefined) return null
  const text = String(node.value ?? '')
  return text === '' || text.includes('\0') ? null : text
}

/** The items with different names; what comes again is a fault. */
const itemsOf = (map: YAMLMap, what: string, faults: Faults): readonly Item[] => {
  const items = new Map<string, Item>()
  for (const { key, value } of map.items) {
    const line = faults.lineOf(key)
    const name = textOf(key)
    if (name === null) faults.add(line, `${what} has an empty name`)
    else if (items.has(name)) faults.add(line, `${what} has ${quoted(name)} twice`)
    else items.set(name, { name, value, line })
  }
  return [...items.values()]
}

/** A name that is not known is only shown where it is near to one that is: it might be a password. */
const unknownKey = (name: string, known: readonly string[]): string => {
  const nearest = nearestName(name.toLowerCase(), known)
  return nearest === null
    ? `a key that is not known here; there are ${known.join(' and ')}`
    : `the key ${quoted(name)}, which is not known; did you mean ${nearest}?`
}

const readUser = ({ name, value, line }: Item, faults: Faults): MappedUser | null => {
  const what = `the entry of ${quoted(name)}`
  if (!isMap(value)) {
    faults.add(line, `${what} must be {username: …, password: …}`)
    return null
  }
  const texts = new Map<string, string>()
  const before = faults.texts.length
  for (const item of itemsOf(value, what, faults)) {
    const key = ENTRY_KEYS.find((known) => known === item.name)
    const text = textOf(item.value)
    if (key === undefined) faults.add(item.line, `${what} has ${unknownKey(item.name, ENTRY_KEYS)}`)
    else if (text === null)
      faults.add(
        item.line,
        `${what} has a ${key} that is empty or no text; text that begins with ! & or * needs quotes`,
      )
    else texts.set(key, text)
  }
  if (faults.texts.length > before) return null
  const [username, password] = ENTRY_KEYS.map((key) => texts.get(key))
  if (username !== undefined && password !== undefined) return { username, password }
  faults.add(line, `${what} has no ${username === undefined ? 'username' : 'password'}`)
  return null
}

const readUsers = (value: unknown, line: number, faults: Faults): Map<string, MappedUser> => {
  const users = new Map<string, MappedUser>()
  if (!isMap(value)) {
    faults.add(line, 'users must have an entry NAME: {username: …, password: …} for each user')
    return users
  }
  for (const item of itemsOf(value, 'users', faults)) {
    const user = readUser(item, faults)
    if (user !== null) users.set(item.name, user)
  }
  return users
}

const readMap = (contents: YAMLMap, faults: Faults): CredentialsMap => {
  let unlisted: CredentialsMap['unlisted'] = 'configured'
  let users: Map<string, MappedUser> | null = null
  for (const { name, value, line } of itemsOf(contents, 'the map', faults)) {
    if (name === 'users') users = readUsers(value, line, faults)
    else if (name !== 'unlisted') faults.add(line, `the map has ${unknownKey(name, TOP_KEYS)}`)
    else if (textOf(value) === 'refuse') unlisted = 'refuse'
    else if (textOf(value) !== 'configured') faults.add(line, 'unlisted is configured or refuse')
  }
  if (users === null && faults.texts.length === 0) faults.add(1, `users is missing: ${FORM}`)
  return { unlisted, users: users ?? new Map() }
}

/** `fault`: everything that is wrong, on one line and without secrets. */
export const parseCredentialsMap = (text: string): ParsedCredentialsMap => {
  const lines = new LineCounter()
  const faults = new Faults(lines)
  const documents = parseAllDocuments(text, {
    // Every scalar is text: a password of digits too.
    schema: 'failsafe',
    prettyErrors: false,
    lineCounter: lines,
    uniqueKeys: false,
  })
  const [document, ...more] = Array.isArray(documents) ? documents : []
  for (const { pos } of document?.errors.slice(0, 1) ?? []) {
    // The parser's own words may quote the file.
    faults.add(
      lines.linePos(pos[0]).line,
      'this is no YAML; text with : # { or quotes needs quotes',
    )
  }
  if (faults.texts.length > 0 || document === undefined || !isMap(document.contents)) {
    return { fault: toldOf(faults.texts.length > 0 ? faults.texts : [`it must have ${FORM}`]) }
  }
  if (more.length > 0) return { fault: 'it must be one YAML document, not several' }
  const map = readMap(document.contents, faults)
  return faults.texts.length > 0 ? { fault: toldOf(faults.texts) } : { map }
}

const toldOf = (texts: readonly string[]): string => {
  const rest = texts.length - FAULTS_MAX
  const told = texts.slice(0, FAULTS_MAX).join('; ')
  return rest > 0 ? `${told}; and ${rest} more` : told
}
