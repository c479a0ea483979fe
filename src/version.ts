/** The version of the package, which the proxy and the command line show. */
import { readFileSync } from 'node:fs'

/** Of package.json, which has to be beside src/. */
export const readVersion = (): string => {
  const packageUrl = new URL('../package.json', import.meta.url)
  const content: unknown = JSON.parse(readFileSync(packageUrl, 'utf8'))
  const hasVersion = typeof content === 'object' && content !== null && 'version' in content
  return hasVersion ? String(content.version) : 'unknown'
}
