/**
 * A YAML file's scalars per setting (operations §1.1). The parser is asked for text alone, because
 * what a scalar means depends on the setting and follows the Go proxy's parser (scalar.ts).
 */
import { isAlias, isMap, isNode, isScalar, LineCounter, parseAllDocuments, Scalar } from 'yaml'
import { ConfigError, ConfigErrorCode } from './errors.ts'
import type { RawProblem, RawSettings, RawValue, UnknownName } from './raw.ts'
import { isNull } from './scalar.ts'
import { DEFINITIONS } from './settings.ts'

type Document = ReturnType<typeof parseAllDocuments>[number]

const KEYS: ReadonlySet<string> = new Set(DEFINITIONS.map(({ key }) => key))

const STRING_TAG = 'tag:yaml.org,2002:str'

const syntaxError = (texts: readonly string[]): ConfigError =>
  new ConfigError(
    ConfigErrorCode.SYNTAX,
    texts.map((text) => ({ setting: null, text })),
  )

/** The parser's words up to the first colon: what follows quotes the file, passwords included. */
const describeFault = (code: string, message: string): string => {
  if (code === 'DUPLICATE_KEY') return 'this setting is given twice'
  const words = message.split(':')[0] ?? message
  return words.slice(0, 1).toLowerCase() + words.slice(1)
}

/** Later documents do not count, nor do their mistakes. */
const firstDocument = (path: string, text: string, lines: LineCounter): Document => {
  const documents = parseAllDocuments(text, {
    schema: 'failsafe',
    prettyErrors: false,
    lineCounter: lines,
  })
  const document = Array.isArray(documents) ? documents[0] : undefined
  if (document === undefined) throw syntaxError([`${path}: the file has no settings`])
  if (document.errors.length > 0) {
    throw syntaxError(
      document.errors.map(
        ({ code, message, pos }) =>
          `${path}:${lines.linePos(pos[0]).line}: ${describeFault(code, message)}`,
      ),
    )
  }
  return document
}

const NOT_ONE_VALUE =
  'must be one value, not a list or a mapping; what has several items is written with commas, as in "a,b"'
const DANGLING_ALIAS =
  'begins with * and so refers to another value, which is not there; put quotes around it'

type Read = { readonly scalar: RawValue['scalar'] | null } | { readonly fault: string }

/** A null scalar: nothing given. */
const readScalar = (node: unknown, document: Document): Read => {
  const target = isAlias(node) ? node.resolve(document) : node
  if (target === undefined) return { fault: DANGLING_ALIAS }
  if (target === null) return { scalar: null }
  if (!isScalar(target)) return { fault: NOT_ONE_VALUE }
  const isPlain = target.type === Scalar.PLAIN && target.tag !== STRING_TAG
  const scalar = { form: isPlain ? 'plain' : 'quoted', text: String(target.value ?? '') } as const
  return { scalar: isNull(scalar) ? null : scalar }
}

const isNothing = (node: unknown, document: Document): boolean => {
  const read = readScalar(node, document)
  return 'scalar' in read && read.scalar === null
}

/** Throws a ConfigError for a file that is no mapping; what is wrong inside comes back as problems. */
export const readYaml = (path: string, text: string): RawSettings => {
  const lines = new LineCounter()
  const document = firstDocument(path, text, lines)
  const { contents } = document
  if (!isMap(contents)) {
    throw syntaxError([
      isNothing(contents, document)
        ? `${path}: the file has no settings`
        : `${path}: the file must be a mapping, a line \`name: value\` per setting`,
    ])
  }
  const values = new Map<string, RawValue>()
  const unknown: UnknownName[] = []
  const problems: RawProblem[] = []
  const source = { kind: 'file', path } as const
  for (const { key: node, value } of contents.items) {
    const name = isScalar(node) ? String(node.value) : String(node)
    const offset = isNode(node) ? (node.range?.[0] ?? 0) : 0
    const label = `${name} (${path}:${lines.linePos(offset).line})`
    if (!KEYS.has(name)) {
      unknown.push({ name, label })
      continue
    }
    const read = readScalar(value, document)
    if ('fault' in read) {
      problems.push({ key: name, setting: name, text: `${label}: ${read.fault}` })
    } else if (read.scalar !== null) {
      values.set(name, { scalar: read.scalar, setting: name, label, source })
    }
  }
  return { values, unknown, problems }
}
