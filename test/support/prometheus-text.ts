/**
 * A strict reader of Prometheus' text format 0.0.4. It refuses what a scraper would put up with: families
 * without HELP or TYPE, in pieces or twice, series twice, unknown escapes, histograms that do not add up.
 */

export type Sample = {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export type Family = {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: readonly Sample[]
}

type OpenFamily = { name: string; help: string; type: string | null; samples: Sample[] }

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|Inf|NaN)$/i
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped']
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
}

const parseNumber = (text: string): number => {
  if (!NUMBER.test(text)) throw new Error(`not a number: ${text}`)
  if (/inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  return Number(text)
}

const unescapeHelp = (text: string): string =>
  text.replace(/\\(.?)/g, (all, escaped: string) => {
    if (escaped === 'n') return '\n'
    if (escaped === '\\') return '\\'
    throw new Error(`unknown escape in HELP: ${all}`)
  })

/** `name="value",…` from `{` on; returns what follows the `}`. */
const parseLabels = (text: string): { labels: Record<string, string>; rest: string } => {
  const labels: Record<string, string> = {}
  let at = 1
  while (text[at] !== '}') {
    const equals = text.indexOf('="', at)
    if (equals < 0) throw new Error(`label without a value at ${at}`)
    const name = text.slice(at, equals)
    if (!LABEL_NAME.test(name)) throw new Error(`not a label name: ${name}`)
    if (Object.hasOwn(labels, name)) throw new Error(`label twice: ${name}`)
    let value = ''
    for (at = equals + 2; text[at] !== '"'; at++) {
      if (at >= text.length) throw new Error(`label value without an end: ${name}`)
      if (text[at] !== '\\') {
        value += text[at]
        continue
      }
      at++
      const escaped = { '\\': '\\', '"': '"', n: '\n' }[text[at] ?? '']
      if (escaped === undefined) throw new Error(`unknown escape in a label: \\${text[at]}`)
      value += escaped
    }
    labels[name] = value
    at++
    if (text[at] === ',') at++
    else if (text[at] !== '}') throw new Error(`neither , nor } after label ${name}`)
  }
  return { labels, rest: text.slice(at + 1) }
}

const parseSample = (line: string): Sample => {
  const name = /^[^{ ]*/.exec(line)![0]
  if (!METRIC_NAME.test(name)) throw new Error(`not a metric name: ${name}`)
  const after = line.slice(name.length)
  const { labels, rest } = after.startsWith('{') ? parseLabels(after) : { labels: {}, rest: after }
  if (!rest.startsWith(' ')) throw new Error('no space before the value')
  return { name, labels, value: parseNumber(rest.slice(1)) }
}

const seriesKey = ({ name, labels }: Sample): string =>
  JSON.stringify([name, ...sortedLabels(labels)])

const sortedLabels = (labels: Sample['labels']): [string, string][] =>
  Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))

/** The samples of a histogram or summary by the labels that make a series of it. */
const bySeries = (samples: readonly Sample[], own: string): Map<string, Sample[]> => {
  const series = new Map<string, Sample[]>()
  for (const sample of samples) {
    const { [own]: _, ...labels } = sample.labels
    const key = JSON.stringify(sortedLabels(labels))
    series.set(key, [...(series.get(key) ?? []), sample])
  }
  return series
}

const only = (samples: readonly Sample[], name: string): Sample => {
  const found = samples.filter((sample) => sample.name === name)
  if (found.length !== 1) throw new Error(`${found.length} lines of ${name} in one series`)
  return found[0]!
}

const checkHistogram = ({ name, samples }: Family): void => {
  for (const [key, series] of bySeries(samples, 'le')) {
    const count = only(series, `${name}_count`)
    only(series, `${name}_sum`)
    const buckets = series.filter((sample) => sample.name === `${name}_bucket`)
    let bound = -Infinity
    let observed = 0
    for (const { labels, value } of buckets) {
      const le = parseNumber(labels['le'] ?? 'no le')
      if (le <= bound) throw new Error(`buckets out of order: le ${le} after ${bound} in ${key}`)
      if (value < observed)
        throw new Error(`buckets not cumulative: ${value} at le ${le} in ${key}`)
      bound = le
      observed = value
    }
    if (bound !== Infinity) throw new Error(`no bucket +Inf in ${key}`)
    if (observed !== count.value) {
      throw new Error(`bucket +Inf is ${observed}, _count is ${count.value} in ${key}`)
    }
  }
}

const checkSummary = ({ name, samples }: Family): void => {
  for (const series of bySeries(samples, 'quantile').values()) {
    only(series, `${name}_sum`)
    only(series, `${name}_count`)
    for (const sample of series.filter((line) => line.name === name)) {
      const quantile = parseNumber(sample.labels['quantile'] ?? 'no quantile')
      if (!(quantile >= 0 && quantile <= 1)) throw new Error(`not a quantile: ${quantile}`)
    }
  }
}

const closeFamily = (open: OpenFamily): Family => {
  if (open.type === null) throw new Error('no TYPE')
  const family: Family = { ...open, type: open.type }
  const seen = new Set<string>()
  for (const sample of family.samples) {
    const key = seriesKey(sample)
    if (seen.has(key)) throw new Error(`series twice: ${key}`)
    seen.add(key)
    if (family.type === 'counter' && !(sample.value >= 0)) {
      throw new Error(`counter below 0: ${key} ${sample.value}`)
    }
  }
  if (family.type === 'histogram') checkHistogram(family)
  if (family.type === 'summary') checkSummary(family)
  return family
}

const belongs = (family: OpenFamily, sampleName: string): boolean =>
  (SUFFIXES[family.type ?? ''] ?? ['']).some((suffix) => `${family.name}${suffix}` === sampleName)

class FamilyReader {
  readonly families = new Map<string, Family>()
  #open: OpenFamily | null = null

  readLine(line: string): void {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (keyword === 'HELP') this.#onHelp(name, rest)
    else if (keyword === 'TYPE') this.#onType(name, rest)
    else if (line.startsWith('#')) throw new Error('a comment that is neither HELP nor TYPE')
    else if (line !== '') this.#onSample(parseSample(line))
  }

  close(): void {
    if (this.#open === null) return
    this.families.set(this.#open.name, closeFamily(this.#open))
    this.#open = null
  }

  #onHelp(name: string, help: string): void {
    this.close()
    if (!METRIC_NAME.test(name)) throw new Error(`not a metric name: ${name}`)
    if (this.families.has(name)) throw new Error(`family twice: ${name}`)
    this.#open = { name, help: unescapeHelp(help), type: null, samples: [] }
  }

  #onType(name: string, type: string): void {
    const open = this.#open
    if (open === null || open.name !== name) throw new Error(`TYPE without HELP: ${name}`)
    if (open.type !== null) throw new Error(`TYPE twice: ${name}`)
    if (!TYPES.includes(type)) throw new Error(`not a type: ${type}`)
    open.type = type
  }

  #onSample(sample: Sample): void {
    const open = this.#open
    if (open === null || open.type === null) throw new Error(`sample before TYPE: ${sample.name}`)
    if (!belongs(open, sample.name)) throw new Error(`${sample.name} is not of family ${open.name}`)
    open.samples.push(sample)
  }
}

/** The families by name. Throws with the line's number and text at the first thing that is not right. */
export const parsePrometheusText = (text: string): ReadonlyMap<string, Family> => {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const reader = new FamilyReader()
  text.split('\n').forEach((line, index) => {
    try {
      reader.readLine(line)
    } catch (error) {
      throw new Error(`line ${index + 1}: ${(error as Error).message}: ${line}`)
    }
  })
  reader.close()
  return reader.families
}

/** The value of one series. Throws if it is not there. */
export const sampleValue = (
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number => {
  const family = families.get(name) ?? families.get(name.replace(/_(?:bucket|sum|count)$/, ''))
  const wanted = seriesKey({ name, labels, value: 0 })
  const sample = family?.samples.find((candidate) => seriesKey(candidate) === wanted)
  if (sample === undefined) throw new Error(`no series ${wanted}`)
  return sample.value
}
