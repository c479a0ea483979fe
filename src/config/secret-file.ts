/**
 * Files that hold the value of a setting: one secret a file, as Kubernetes and systemd hand them out
 * (operations §11 A3). What is wrong with one is told without its content.
 */
import { createHash } from 'node:crypto'
import { messageOf } from '../message-of.ts'
import type { StringDefinition } from './definition.ts'
import type { RawProblem, RawValue } from './raw.ts'
import { DEFINITIONS } from './settings.ts'

/** Reads a whole file; throws where it cannot. */
export type ReadFile = (path: string) => Uint8Array

type SecretFile = { readonly key: string; readonly definition: StringDefinition }

/** The settings that name such a file, with the definition of the one whose value it holds. */
const SECRET_FILES: readonly SecretFile[] = DEFINITIONS.flatMap((definition) => {
  if (definition.type !== 'string' || definition.contentOf === undefined) return []
  const filled = DEFINITIONS.find(({ key }) => key === definition.contentOf)
  if (filled?.type !== 'string') throw new TypeError(`${definition.key} fills no text`)
  return [{ key: definition.key, definition: filled }]
})

const NEWLINE_AT_END = /\r?\n$/
/** NUL ends a name in SASL PLAIN. */
const MORE_THAN_A_LINE = /[\r\n\0]/

/** By which it shows whether a file has changed. */
export const digestOf = (content: Uint8Array): string =>
  createHash('sha256').update(content).digest('hex')

type Read = { readonly text: string } | { readonly fault: string }

/** `hasLines`: the value may have several lines, and all of them count. */
const secretText = (content: Uint8Array, hasLines: boolean): Read => {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch {
    return { fault: 'is not UTF-8 text; write it again as text' }
  }
  if (text.trim() === '')
    return { fault: 'is empty; write the value into it, or leave the setting out' }
  if (hasLines) return { text }
  const line = text.replace(NEWLINE_AT_END, '')
  return MORE_THAN_A_LINE.test(line)
    ? { fault: 'has more than one line; it must hold the value alone, on one line' }
    : { text: line }
}

export type FilledValues = {
  /** What was given, with the values that files hold. */
  readonly values: ReadonlyMap<string, RawValue>
  /** Digests of the files' contents by path. */
  readonly files: ReadonlyMap<string, string>
  /** Of the settings whose file says nothing that can be used. */
  readonly problems: readonly RawProblem[]
}

/** An empty text is nothing given: a value and a path beside it do not contradict each other then. */
const isGiven = (value: RawValue | undefined): value is RawValue =>
  value !== undefined && value.scalar.text !== ''

/** Puts the contents of the files that are named into the settings that they are for. */
export const fillFromSecretFiles = (
  given: ReadonlyMap<string, RawValue>,
  readFile: ReadFile,
): FilledValues => {
  const values = new Map(given)
  const files = new Map<string, string>()
  const problems: RawProblem[] = []
  const read = (path: string, hasLines: boolean): Read => {
    try {
      const content = readFile(path)
      files.set(path, digestOf(content))
      return secretText(content, hasLines)
    } catch (error) {
      const why = messageOf(error)
      return {
        fault: `cannot be read: ${why}; correct the path, or let the user of the proxy read it`,
      }
    }
  }
  for (const { key, definition } of SECRET_FILES) {
    const named = given.get(key)
    if (!isGiven(named)) continue
    const { setting, label } = named
    const path = named.scalar.text
    const own = given.get(definition.key)
    const filled = read(path, definition.format === 'credentials map')
    const fault = isGiven(own)
      ? `cannot be used together with ${own.label}; leave one of them out`
      : 'fault' in filled && `${path} ${filled.fault}`
    if (fault !== false) problems.push({ key: definition.key, setting, text: `${label}: ${fault}` })
    if (fault !== false || 'fault' in filled) continue
    values.set(definition.key, {
      scalar: { form: 'environment', text: filled.text },
      setting,
      label: `${label}: ${path}`,
      source: { kind: 'secret file', path },
    })
  }
  return { values, files, problems }
}
