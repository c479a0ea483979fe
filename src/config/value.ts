/**
 * From a scalar to the typed value of one setting: type, range, format (operations §1.3), and what this
 * release does not have yet. Rules between settings are rules.ts.
 */

import { COMPONENTS, LEVEL_WORDS, parseComponentLevel } from '../log-levels.ts'
import { hasPort, isAnyAddress, isHostName, isPlainIp, withoutBrackets } from './address.ts'
import { parseCredentialsMap } from './credentials-map.ts'
import type {
  BucketsDefinition,
  ChoiceDefinition,
  ListDefinition,
  NumberDefinition,
  SettingDefinition,
  SettingValue,
  StringDefinition,
} from './definition.ts'
import { REPLACEABLE_FUNCTIONS } from './replaceable-functions.ts'
import {
  type ParsedNumber,
  parseBoolean,
  parseInteger,
  parseNumber,
  type Scalar,
} from './scalar.ts'

/**
 * `fault` is what to say after the setting's name: the value, and what is allowed. It never holds a
 * secret, for the text of those is never wrong. `remark`: the value may not be the one meant.
 */
export type ParsedValue<Value extends SettingValue = SettingValue> =
  | { readonly value: Value; readonly remark?: string }
  | { readonly fault: string }

/** Node's timers fire at once when told to wait longer, and counters have 32 bits. */
const NUMBER_MAX = 2 ** 31 - 1
const SHOWN_LENGTH_MAX = 100
const SPACES = /\s+/g
const EVERY_ADDRESS = '0.0.0.0'
/** A [string]'s (v5 §3). */
const PAYLOAD_KEY_LENGTH_MAX = 65_535
const METRICS_PREFIX = /^(?:[a-z_:][a-z\d_:]*)?$/i
const PROTOCOL_VERSIONS: ReadonlyMap<string, string> = new Map([
  ...['2', '3', '4', '5'].flatMap((version): [string, string][] => [
    [version, version],
    [`v${version}`, version],
  ]),
  ['dsev1', 'DseV1'],
  ['dse_v1', 'DseV1'],
  ['dsev2', 'DseV2'],
  ['dse_v2', 'DseV2'],
])

/** A value as error texts show it: on one line, and not endless. */
export const quoted = (text: string): string =>
  JSON.stringify(text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text)

/** The smallest and largest number that a setting takes. What means nothing here has no limits. */
export const rangeOf = (definition: NumberDefinition): readonly [number, number] =>
  definition.status === 'ignored'
    ? [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
    : [definition.min ?? -NUMBER_MAX, definition.max ?? NUMBER_MAX]

const describeNumber = (definition: NumberDefinition): string => {
  const [min, max] = rangeOf(definition)
  const noun = definition.type === 'int' ? 'a whole number' : 'a number'
  const unit = definition.unit === undefined ? '' : ` ${definition.unit}`
  if (definition.status === 'ignored') return noun
  return `${noun} from ${min} to ${max}${unit}`
}

const numberHint = ({ form, text }: Scalar): string => {
  if (form === 'quoted') return ' (without quotes)'
  return form === 'environment' && /^[+-]?0\d/.test(text) ? ' (a leading 0 means octal)' : ''
}

/** A number that the Go proxy takes for another one. */
const substituteOf = (definition: NumberDefinition, value: number): ParsedNumber | null => {
  const { insteadOfZero, max } = definition
  if (insteadOfZero !== undefined && value <= 0) {
    return { value: insteadOfZero, remark: `${insteadOfZero}, which 0 or less stands for` }
  }
  if (definition.status === 'ignored' || max !== undefined || value <= NUMBER_MAX) return null
  return { value: NUMBER_MAX, remark: `${NUMBER_MAX}, the most that there is` }
}

const parseNumeric = (definition: NumberDefinition, scalar: Scalar): ParsedValue<number> => {
  const given = definition.type === 'int' ? parseInteger(scalar) : parseNumber(scalar)
  const parsed = given === null ? null : (substituteOf(definition, given.value) ?? given)
  const [min, max] = rangeOf(definition)
  if (parsed === null || parsed.value < min || parsed.value > max) {
    const hint = parsed === null ? numberHint(scalar) : ''
    return { fault: `${quoted(scalar.text)} is not ${describeNumber(definition)}${hint}` }
  }
  return parsed
}

const BOOLEAN_WORDS = {
  environment: 'true or false',
  plain: 'true or false',
  quoted: 'true or false (without quotes)',
} as const

const parseFlag = (scalar: Scalar): ParsedValue<boolean> => {
  const value = parseBoolean(scalar)
  return value === null
    ? { fault: `${quoted(scalar.text)} is not ${BOOLEAN_WORDS[scalar.form]}` }
    : { value }
}

const parseChoice = (definition: ChoiceDefinition, { text }: Scalar): ParsedValue<string> => {
  const word = (definition.isTrimmed === true ? text.trim() : text).toLowerCase()
  const value = definition.choices.find((choice) => choice.toLowerCase() === word)
  return value === undefined
    ? { fault: `${quoted(text)} is not one of ${definition.choices.join(', ')}` }
    : { value }
}

const parseListenAddress = (text: string): ParsedValue<string> => {
  // As with the Go proxy: automation may hand over what it has no value for.
  if (text === '') return { value: EVERY_ADDRESS, remark: `${EVERY_ADDRESS}, every address` }
  const value = withoutBrackets(text)
  if (isPlainIp(value) || isHostName(value)) return { value }
  const hint = hasPort(text) ? '; ports have a setting of their own' : ''
  return { fault: `${quoted(text)} is not an IP address or host name to listen on${hint}` }
}

const parseString = ({ format }: StringDefinition, { text }: Scalar): ParsedValue<string> => {
  if (format === 'listen address') return parseListenAddress(text)
  if (format === 'credentials map' && text !== '') {
    const parsed = parseCredentialsMap(text)
    return 'fault' in parsed ? parsed : { value: text }
  }
  if (format === 'metrics prefix' && !METRICS_PREFIX.test(text)) {
    return {
      fault: `${quoted(text)} cannot begin the names of metrics: letters, digits, _ and : are allowed, no digit first`,
    }
  }
  if (format === 'payload key' && Buffer.byteLength(text) > PAYLOAD_KEY_LENGTH_MAX) {
    return {
      fault: `${quoted(text)} has more than ${PAYLOAD_KEY_LENGTH_MAX} bytes, which no custom payload can carry as a key`,
    }
  }
  return format === 'HTTP URL' && text !== '' ? parseHttpUrl(text) : { value: text }
}

/** As people may see it: the query of an address often has a key in it. */
export const withoutQuery = (url: string): string => url.replace(/\?.*$/s, '?(hidden)')

const parseHttpUrl = (text: string): ParsedValue<string> => {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return { fault: `${quoted(withoutQuery(text))} is no URL like http://127.0.0.1:4318/v1/traces` }
  }
  return url.username === '' && url.password === ''
    ? { value: text }
    : {
        fault: 'the URL has a user or a password in it, which would be shown in logs; none is sent',
      }
}

const parseContactPoint = (item: string): ParsedValue<string> => {
  const value = withoutBrackets(item)
  if (isAnyAddress(value)) return { fault: `${quoted(item)} is no address to connect to` }
  if (isPlainIp(value) || isHostName(value)) return { value }
  const reason = hasPort(item)
    ? 'has a port; ports have a setting of their own'
    : 'is not a host name or IP address'
  return { fault: `${quoted(item)} ${reason}` }
}

const parseAdvertisedAddress = (item: string): ParsedValue<string> => {
  const value = withoutBrackets(item)
  if (isAnyAddress(value))
    return { fault: `${quoted(item)} is no address that clients can connect to` }
  if (isPlainIp(value) || isHostName(value)) return { value }
  const hint = hasPort(item) ? '; all instances listen on proxy_listen_port' : ''
  return { fault: `${quoted(item)} is not an IP address or host name${hint}` }
}

const parseProtocolVersion = (item: string): ParsedValue<string> => {
  const value = PROTOCOL_VERSIONS.get(item.toLowerCase())
  return value === undefined
    ? { fault: `${quoted(item)} is not one of 2, 3, 4, 5, DseV1, DseV2` }
    : { value }
}

const parseComponent = (item: string): ParsedValue<string> => {
  const parsed = parseComponentLevel(item)
  return parsed === null
    ? {
        fault: `${quoted(item)} is not COMPONENT=LEVEL, with ${COMPONENTS.join(', ')} and ${LEVEL_WORDS.join(', ')}`,
      }
    : { value: `${parsed[0]}=${parsed[1].toUpperCase()}` }
}

const parseCqlFunction = (item: string): ParsedValue<string> => {
  const name = item.replace(/\(\)$/, '').toLowerCase()
  const value = REPLACEABLE_FUNCTIONS.find((known) => known.toLowerCase() === name)
  return value === undefined
    ? { fault: `${quoted(item)} is not one of ${REPLACEABLE_FUNCTIONS.join(', ')}` }
    : { value }
}

const ITEM_PARSERS = {
  'contact points': parseContactPoint,
  addresses: parseAdvertisedAddress,
  'protocol versions': parseProtocolVersion,
  'log levels': parseComponent,
  'CQL functions': parseCqlFunction,
} as const satisfies Record<ListDefinition['format'], (item: string) => ParsedValue<string>>

/** The values of all items, or the first fault. */
const parseItems = <Value extends string | number>(
  items: readonly string[],
  parse: (item: string) => ParsedValue<Value>,
): { readonly value: readonly Value[] } | { readonly fault: string } => {
  const values: Value[] = []
  for (const item of items) {
    const parsed = parse(item)
    if ('fault' in parsed) return parsed
    values.push(parsed.value)
  }
  return { value: values }
}

/** An empty item is left out; the Go proxy takes it for a node on its own machine, and goes on to the next. */
const parseContactPoints = (compact: string): ParsedValue => {
  const items = compact.split(',').filter((item) => item !== '')
  const parsed = parseItems(items, parseContactPoint)
  if ('fault' in parsed || items.join(',') === compact) return parsed
  return { ...parsed, remark: `${items.join(',')}, without what is empty between commas` }
}

const parseList = (definition: ListDefinition, { text }: Scalar): ParsedValue => {
  const parse = ITEM_PARSERS[definition.format]
  if (definition.format === 'protocol versions') {
    const items = text.split(',').map((item) => item.trim())
    return parseItems(
      items.filter((item) => item !== ''),
      parse,
    )
  }
  const compact = text.replaceAll(SPACES, '')
  if (compact === '') return { value: [] }
  if (definition.format === 'contact points') return parseContactPoints(compact)
  return parseItems(compact.split(','), (item) =>
    item === ''
      ? { fault: `${quoted(text)} has an empty item; write one comma between two items` }
      : parse(item),
  )
}

const parseBuckets = (_definition: BucketsDefinition, { text }: Scalar): ParsedValue => {
  const parsed = parseItems(text.split(','), (item): ParsedValue<number> => {
    const bound = parseNumber({ form: 'environment', text: item.trim() })
    return bound === null || bound.value < 0
      ? { fault: `${quoted(text)} is not a list of numbers of milliseconds, as in "1,2.5,10"` }
      : bound
  })
  if ('fault' in parsed) return parsed
  const isRising = parsed.value.every((bound, at, all) => at === 0 || bound > all[at - 1]!)
  return isRising
    ? parsed
    : { fault: `${quoted(text)} does not rise: each bound must be above the one before` }
}

/** The value of a setting that is given. */
export const parseValue = (definition: SettingDefinition, scalar: Scalar): ParsedValue => {
  switch (definition.type) {
    case 'int':
    case 'float':
      return parseNumeric(definition, scalar)
    case 'boolean':
      return parseFlag(scalar)
    case 'choice':
      return parseChoice(definition, scalar)
    case 'string':
      return parseString(definition, scalar)
    case 'list':
      return parseList(definition, scalar)
    case 'buckets':
      return parseBuckets(definition, scalar)
  }
}

/** As one word: lists as they are written. */
export const valueText = (value: SettingValue): string =>
  typeof value === 'object' ? value.join(',') : String(value)
