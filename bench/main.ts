/** Entry of `npm run bench`: command line, progress to stderr, the table to stdout, exit code. */
import { writeFileSync } from 'node:fs'
import { messageOf } from '../src/message-of.ts'
import { runBench } from './bench.ts'
import { killAllChildren } from './child.ts'
import { HELP, parseOptions, UsageError } from './options.ts'
import { formatReport, missedLimits } from './report.ts'

const EXIT_FAILED = 1
const EXIT_USAGE = 2
/** As a shell reports it. */
const EXIT_INTERRUPTED = 130

const main = async (): Promise<number> => {
  const options = parseOptions(process.argv.slice(2))
  if (options === null) {
    console.log(HELP)
    return 0
  }
  const report = await runBench(options, (line) => console.error(line))
  console.log(formatReport(report))
  if (options.jsonFile !== null) {
    writeFileSync(options.jsonFile, `${JSON.stringify(report, null, 2)}\n`)
  }
  const missed = missedLimits(report)
  for (const line of missed) console.error(`missed ${line}`)
  return missed.length === 0 ? 0 : EXIT_FAILED
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(EXIT_INTERRUPTED))
}
process.once('exit', killAllChildren)

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    console.error(`bench failed: ${messageOf(error)}`)
    process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED
  },
)
