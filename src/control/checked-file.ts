/**
 * The text of a file that the proxy keeps: one JSON value with a version and a checksum, so that a file which
 * was cut off or changed by hand is told from a sound one. One value a line, so that people can read it.
 */
import { createHash } from 'node:crypto'
import { messageOf } from '../message-of.ts'

const VERSION = 1

/** Over the compact JSON of the value, in the order of its fields. */
const digest = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex')

export type Fields = Readonly<Record<string, unknown>>
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null

/** `name`: what the value is called in the file. */
export const renderChecked = (name: string, value: unknown): string =>
  `${JSON.stringify({ version: VERSION, checksum: digest(value), [name]: value }, null, 2)}\n`

/** The value that a file's text holds, or what is wrong with it. */
export const parseChecked = <T extends object>(
  text: string,
  name: string,
  isSound: (value: unknown) => value is T,
): T | { readonly fault: string } => {
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (error) {
    return { fault: `it is no JSON: ${messageOf(error)}` }
  }
  if (!isFields(content)) return { fault: 'it holds no object' }
  if (content['version'] !== VERSION) {
    return { fault: `its version is ${String(content['version'])}; this release knows ${VERSION}` }
  }
  const value = content[name]
  if (!isSound(value)) return { fault: `its ${name} lacks a field, or a field has no valid value` }
  if (content['checksum'] !== digest(value)) {
    return { fault: 'its checksum does not fit: it was cut off, or changed by hand' }
  }
  return value
}
