/** The demo's command line: what is wanted, or what is wrong with it. */
import { parseArgs } from 'node:util'
import { messageOf } from '../src/message-of.ts'

export const SECONDS_DEFAULT = 15
export const SECONDS_MAX = 3600

export const USAGE = `Usage: npm run demo -- [--keep] [--seconds N]

Starts two Cassandra clusters (Origin 4.1, Target 5.0) and three proxies between them, and walks a
migration from its first phase to its last and once back, while a driver works. Proves at each
step that no request failed and where each read was served, and that every row is in both clusters with
equal values and write times.

  --keep       leave everything running afterwards, and print the addresses to try
  --seconds N  about how long the driver works, 1 to ${SECONDS_MAX} (default ${SECONDS_DEFAULT})
  --help       this text

Exit codes: 0 PASS, 1 differences or a failure, 2 wrong options, 130 Ctrl-C.
`

export type Arguments =
  | { readonly kind: 'run'; readonly keep: boolean; readonly seconds: number }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly message: string }

const OPTIONS = {
  keep: { type: 'boolean' },
  seconds: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

const parseSeconds = (text: string | undefined): number | undefined => {
  if (text === undefined) return SECONDS_DEFAULT
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0
  return seconds >= 1 && seconds <= SECONDS_MAX ? seconds : undefined
}

export const parseArguments = (args: readonly string[]): Arguments => {
  try {
    const { values } = parseArgs({ args: [...args], options: OPTIONS })
    if (values.help === true) return { kind: 'help' }
    const seconds = parseSeconds(values.seconds)
    if (seconds === undefined) {
      const message = `--seconds ${values.seconds}: give a whole number from 1 to ${SECONDS_MAX}`
      return { kind: 'wrong', message }
    }
    return { kind: 'run', keep: values.keep === true, seconds }
  } catch (error) {
    return { kind: 'wrong', message: messageOf(error) }
  }
}
