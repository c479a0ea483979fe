/** The verb of a statement, for spans: one of those that are known, so that nothing else of its text gets out. */
import { Lexer, TokenKind } from './lexer.ts'
import { tokenText } from './token-text.ts'

const VERBS: ReadonlySet<string> = new Set([
  'ALTER',
  'BEGIN',
  'CALL',
  'CREATE',
  'DELETE',
  'DESC',
  'DESCRIBE',
  'DROP',
  'GRANT',
  'INSERT',
  'LIST',
  'REVOKE',
  'SELECT',
  'TRUNCATE',
  'UPDATE',
  'USE',
])

/** In capitals; null where there is none. */
export const operationName = (text: Uint8Array): string | null => {
  const lexer = new Lexer(text, 0, text.length)
  do lexer.next()
  while (lexer.kind === TokenKind.PUNCTUATION)
  const verb = lexer.kind === TokenKind.WORD ? tokenText(lexer).toUpperCase() : ''
  return VERBS.has(verb) ? verb : null
}
