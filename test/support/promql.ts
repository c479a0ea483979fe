/** What a PromQL expression asks for, by Prometheus' own grammar. */
import type { SyntaxNode, Tree } from '@lezer/common'
import { parser } from '@prometheus-io/lezer-promql'

export type Matcher = {
  readonly label: string
  readonly operator: string
  readonly value: string
}

export type Selector = { readonly metric: string; readonly matchers: readonly Matcher[] }

export type Expression = {
  readonly selectors: readonly Selector[]
  /** Labels of by, without, on, ignoring, group_left and group_right. */
  readonly groupings: readonly string[]
}

export const textOf = (expression: string, node: SyntaxNode | null): string =>
  node === null ? '' : expression.slice(node.from, node.to)

const matcherOf = (expression: string, node: SyntaxNode): Matcher => ({
  label: textOf(expression, node.getChild('LabelName')),
  operator: textOf(expression, node.getChild('MatchOp')),
  value: textOf(expression, node.getChild('StringLiteral')).slice(1, -1),
})

export const selectorOf = (expression: string, node: SyntaxNode): Selector => ({
  metric: textOf(expression, node.getChild('Identifier')),
  matchers: (node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []).map(
    (matcher) => matcherOf(expression, matcher),
  ),
})

/** Whether a label with this value is what a matcher asks for; no value is the empty one. */
export const matchesValue = ({ operator, value: wanted }: Matcher, value = ''): boolean => {
  const matches = operator.endsWith('~')
    ? new RegExp(`^(?:${wanted})$`).test(value)
    : wanted === value
  return matches !== operator.startsWith('!')
}

/** Throws where the expression is not PromQL. */
export const parseExpression = (expression: string): Tree => {
  const tree = parser.parse(expression)
  tree.iterate({
    enter: ({ node }) => {
      if (!node.type.isError) return
      throw new Error(`not PromQL at ${node.from}: ${expression.slice(node.from) || '(its end)'}`)
    },
  })
  return tree
}

/** Throws where the expression is not PromQL. */
export const readExpression = (expression: string): Expression => {
  const selectors: Selector[] = []
  const groupings: string[] = []
  parseExpression(expression).iterate({
    enter: ({ node }) => {
      if (node.name === 'VectorSelector') selectors.push(selectorOf(expression, node))
      if (node.name === 'GroupingLabels') {
        groupings.push(...node.getChildren('LabelName').map((label) => textOf(expression, label)))
      }
    },
  })
  return { selectors, groupings }
}
