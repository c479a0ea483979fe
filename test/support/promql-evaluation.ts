/**
 * What a PromQL expression comes to at one moment: as much of Prometheus' language as our alerts use, by its own grammar.
 * What is not known here throws.
 *
 * Like Prometheus 3: ranges without their first moment, rate() and increase() extrapolated to the range's ends but not
 * below zero, a series seen for 5 minutes after its last sample. Unlike it: no native histograms and no marks of
 * staleness, and arithmetic and comparison match vectors by all labels.
 */
import type { SyntaxNode } from '@lezer/common'
import { matchesValue, parseExpression, type Selector, selectorOf, textOf } from './promql.ts'

export type Labels = Readonly<Record<string, string>>
export type Point = readonly [seconds: number, value: number]
export type Series = { readonly labels: Labels; readonly points: readonly Point[] }
export type Sample = { readonly labels: Labels; readonly value: number }
export type Value = number | readonly Sample[]

const NAME = '__name__'
const LOOKBACK_SECONDS = 300
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** Of `5m` and its like, one unit only. */
export const durationSeconds = (text: string): number => {
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? []
  const seconds = UNIT_SECONDS[unit]
  if (seconds === undefined) throw new Error(`not a duration: ${text}`)
  return Number(count) * seconds
}

const without = (labels: Labels, names: readonly string[]): Labels =>
  Object.fromEntries(Object.entries(labels).filter(([name]) => !names.includes(name)))

const only = (labels: Labels, names: readonly string[]): Labels =>
  Object.fromEntries(Object.entries(labels).filter(([name]) => names.includes(name)))

/** What tells series apart for operators: all labels but the name. */
export const keyOf = (labels: Labels): string =>
  JSON.stringify(Object.entries(without(labels, [NAME])).sort(([a], [b]) => (a < b ? -1 : 1)))

const childrenOf = (node: SyntaxNode): readonly SyntaxNode[] => {
  const all: SyntaxNode[] = []
  for (let child = node.firstChild; child !== null; child = child.nextSibling) all.push(child)
  return all
}

/** How much a counter has grown within a range, its resets counted as Prometheus does. */
const growth = (points: readonly Point[], fromSeconds: number, toSeconds: number): number => {
  const [firstSeconds, first] = points[0]!
  const [lastSeconds, last] = points.at(-1)!
  const lostInResets = points.reduce((sum, [, value], index) => {
    const before = index === 0 ? value : points[index - 1]![1]
    return value < before ? sum + before : sum
  }, 0)
  const grown = last - first + lostInResets
  const sampled = lastSeconds - firstSeconds
  const apart = sampled / (points.length - 1)
  const reach = (gap: number): number => (gap >= apart * 1.1 ? apart / 2 : gap)
  const toZero = grown > 0 ? sampled * (first / grown) : Number.POSITIVE_INFINITY
  const before = Math.min(reach(firstSeconds - fromSeconds), toZero)
  return grown * ((sampled + before + reach(toSeconds - lastSeconds)) / sampled)
}

const changes = (points: readonly Point[]): number =>
  points.filter(([, value], index) => index > 0 && value !== points[index - 1]![1]).length

const bucketQuantile = (share: number, buckets: readonly Sample[]): number => {
  const sorted = buckets
    .map(({ labels, value }) => [Number(labels['le']?.replace('+Inf', 'Infinity')), value] as const)
    .sort(([a], [b]) => a - b)
  const [, observed] = sorted.at(-1)!
  if (observed === 0) return Number.NaN
  const rank = share * observed
  const index = sorted.findIndex(([, count]) => count >= rank)
  if (index === sorted.length - 1) return sorted.at(-2)![0]
  const [start, below] = index === 0 ? [0, 0] : sorted[index - 1]!
  const [end, upTo] = sorted[index]!
  return start + (end - start) * ((rank - below) / (upTo - below))
}

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
}
const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '>': (a, b) => a > b,
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
}
const AGGREGATIONS: Readonly<Record<string, (values: readonly number[]) => number>> = {
  sum: (values) => values.reduce((sum, value) => sum + value, 0),
  count: (values) => values.length,
  max: (values) => Math.max(...values),
  min: (values) => Math.min(...values),
}

class Evaluation {
  readonly #text: string
  readonly #series: readonly Series[]
  readonly #nowSeconds: number

  constructor(text: string, series: readonly Series[], nowSeconds: number) {
    this.#text = text
    this.#series = series
    this.#nowSeconds = nowSeconds
  }

  value(node: SyntaxNode): Value {
    switch (node.name) {
      case 'ParenExpr':
        return this.value(node.firstChild!)
      case 'NumberDurationLiteral':
        return Number(this.#textOf(node))
      case 'VectorSelector':
        return this.#instant(selectorOf(this.#text, node))
      case 'AggregateExpr':
        return this.#aggregate(node)
      case 'BinaryExpr':
        return this.#binary(node)
      case 'FunctionCall':
        return this.#call(node)
      default:
        throw this.#unknown(node)
    }
  }

  #textOf(node: SyntaxNode | null): string {
    return textOf(this.#text, node)
  }

  #unknown(node: SyntaxNode): Error {
    return new Error(`not evaluated here: ${node.name} ${this.#textOf(node)}`)
  }

  #vector(node: SyntaxNode): readonly Sample[] {
    const value = this.value(node)
    if (typeof value === 'number') throw new Error(`a number, no vector: ${this.#textOf(node)}`)
    return value
  }

  #selected({ metric, matchers }: Selector): readonly Series[] {
    return this.#series.filter(
      ({ labels }) =>
        labels[NAME] === metric &&
        matchers.every((matcher) => matchesValue(matcher, labels[matcher.label])),
    )
  }

  #instant(selector: Selector): readonly Sample[] {
    return this.#selected(selector).flatMap(({ labels, points }) => {
      const [, value] = this.#within(points, LOOKBACK_SECONDS).at(-1) ?? []
      return value === undefined ? [] : [{ labels, value }]
    })
  }

  #within(points: readonly Point[], rangeSeconds: number): readonly Point[] {
    const now = this.#nowSeconds
    return points.filter(([seconds]) => seconds > now - rangeSeconds && seconds <= now)
  }

  /** Of by, without and on. */
  #labelsOf(modifier: SyntaxNode | null): readonly string[] {
    const labels = modifier?.getChild('GroupingLabels')?.getChildren('LabelName') ?? []
    return labels.map((label) => this.#textOf(label))
  }

  #aggregate(node: SyntaxNode): readonly Sample[] {
    const modifier = node.getChild('AggregateModifier')
    const names = this.#labelsOf(modifier)
    const keep = (labels: Labels): Labels =>
      modifier?.getChild('Without') ? without(labels, [...names, NAME]) : only(labels, names)
    const aggregate = AGGREGATIONS[this.#textOf(node.getChild('AggregateOp'))]
    const [argument, ...others] = childrenOf(node.getChild('FunctionCallBody')!)
    if (aggregate === undefined || others.length > 0) throw this.#unknown(node)
    const groups = Map.groupBy(this.#vector(argument!), ({ labels }) => keyOf(keep(labels)))
    return [...groups.values()].map((samples) => ({
      labels: keep(samples[0]!.labels),
      value: aggregate(samples.map(({ value }) => value)),
    }))
  }

  #binary(node: SyntaxNode): Value {
    const modifier = node.getChild('MatchingModifierClause')
    const [left, operator, right, ...others] = childrenOf(node).filter(
      ({ name }) => name !== 'MatchingModifierClause',
    )
    if (others.length > 0) throw this.#unknown(node)
    const name = this.#textOf(operator!)
    if (['or', 'and', 'unless'].includes(name)) {
      if (modifier !== null && modifier.getChild('On') === null) throw this.#unknown(node)
      const names = modifier === null ? null : this.#labelsOf(modifier)
      return combine(name, [this.#vector(left!), this.#vector(right!)], names)
    }
    if (modifier !== null) throw this.#unknown(node)
    const [a, b] = [this.value(left!), this.value(right!)]
    const calculate = ARITHMETIC[name]
    const compare = COMPARISONS[name]
    if (calculate !== undefined) {
      if (typeof a === 'number' && typeof b === 'number') return calculate(a, b)
      return pairs(a, b).map(({ labels, values }) => ({
        labels: without(labels, [NAME]),
        value: calculate(...values),
      }))
    }
    if (compare === undefined) throw this.#unknown(node)
    return pairs(a, b)
      .filter(({ values }) => compare(...values))
      .map(({ labels, values: [x, y] }) => ({ labels, value: typeof a === 'number' ? y : x }))
  }

  #call(node: SyntaxNode): Value {
    const args = childrenOf(node.getChild('FunctionCallBody')!)
    const name = this.#textOf(node.getChild('FunctionIdentifier'))
    switch (name) {
      case 'time':
        return this.#nowSeconds
      case 'absent':
        return this.#absent(args[0]!)
      case 'rate':
      case 'increase':
      case 'changes':
        return this.#overRange(name, args[0]!)
      case 'label_replace':
        return this.#labelReplace(args)
      case 'histogram_quantile':
        return this.#quantile(args)
      default:
        throw this.#unknown(node)
    }
  }

  #absent(node: SyntaxNode): readonly Sample[] {
    if (this.#vector(node).length > 0) return []
    const exact = selectorOf(this.#text, node).matchers.filter(({ operator }) => operator === '=')
    return [
      { labels: Object.fromEntries(exact.map(({ label, value }) => [label, value])), value: 1 },
    ]
  }

  #overRange(name: 'rate' | 'increase' | 'changes', node: SyntaxNode): readonly Sample[] {
    const [selector, duration] = childrenOf(node)
    if (node.name !== 'MatrixSelector') throw this.#unknown(node)
    const range = durationSeconds(this.#textOf(duration!))
    const now = this.#nowSeconds
    return this.#selected(selectorOf(this.#text, selector!)).flatMap((series) => {
      const points = this.#within(series.points, range)
      const labels = without(series.labels, [NAME])
      if (name === 'changes') {
        return points.length === 0 ? [] : [{ labels, value: changes(points) }]
      }
      if (points.length < 2) return []
      const grown = growth(points, now - range, now)
      return [{ labels, value: name === 'rate' ? grown / range : grown }]
    })
  }

  #labelReplace([node, ...texts]: readonly SyntaxNode[]): readonly Sample[] {
    const [to, replacement, from, pattern] = texts.map((text) => this.#textOf(text).slice(1, -1))
    const expression = new RegExp(`^(?:${pattern})$`)
    return this.#vector(node!).map(({ labels, value }) => {
      const source = labels[from!] ?? ''
      if (!expression.test(source)) return { labels, value }
      return { labels: { ...labels, [to!]: source.replace(expression, replacement!) }, value }
    })
  }

  #quantile([share, node]: readonly SyntaxNode[]): readonly Sample[] {
    const histograms = Map.groupBy(this.#vector(node!), ({ labels }) =>
      keyOf(without(labels, ['le'])),
    )
    return [...histograms.values()].map((buckets) => ({
      labels: without(buckets[0]!.labels, ['le', NAME]),
      value: bucketQuantile(Number(this.#textOf(share!)), buckets),
    }))
  }
}

type Pair = { readonly labels: Labels; readonly values: readonly [number, number] }

/** What an operator is applied to: a number with each of a vector, or what has the same labels in both. */
const pairs = (a: Value, b: Value): readonly Pair[] => {
  if (typeof a === 'number' && typeof b === 'number') throw new Error('two numbers compared')
  if (typeof a === 'number') return pairs(b, a).map(reversed)
  if (typeof b === 'number') return a.map(({ labels, value }) => ({ labels, values: [value, b] }))
  const byKey = new Map(b.map((sample) => [keyOf(sample.labels), sample.value]))
  if (byKey.size < b.length) throw new Error('several series of one side match one of the other')
  return a.flatMap(({ labels, value }) => {
    const other = byKey.get(keyOf(labels))
    return other === undefined ? [] : [{ labels, values: [value, other] as const }]
  })
}

const reversed = ({ labels, values: [a, b] }: Pair): Pair => ({ labels, values: [b, a] })

/** `names`: the labels by which the two sides are compared; null: all. */
const combine = (
  operator: string,
  [a, b]: readonly [readonly Sample[], readonly Sample[]],
  names: readonly string[] | null,
): readonly Sample[] => {
  const key = ({ labels }: Sample): string => keyOf(names === null ? labels : only(labels, names))
  const inA = new Set(a.map(key))
  const inB = new Set(b.map(key))
  if (operator === 'or') return [...a, ...b.filter((sample) => !inA.has(key(sample)))]
  return a.filter((sample) => inB.has(key(sample)) === (operator === 'and'))
}

/** What an expression comes to over these series at a moment, in seconds. Throws where it has what is not known here. */
export const evaluate = (
  expression: string,
  series: readonly Series[],
  nowSeconds: number,
): Value =>
  new Evaluation(expression, series, nowSeconds).value(
    parseExpression(expression).topNode.firstChild!,
  )
