/**
 * The arguments of the command (operations §1.1). As in Go, one dash or two are the same, and a value
 * follows as the next argument or after `=`.
 */
import { nearestName } from './nearest-name.ts'

export type CommandLine =
  | {
      /** run: serve. check: look whether it could. print config: the settings in effect. */
      readonly kind: 'run' | 'check' | 'print config'
      /** null: settings come from the environment. */
      readonly configPath: string | null
      /** Unknown settings end the start. */
      readonly isStrict: boolean
    }
  | { readonly kind: 'version' }
  | { readonly kind: 'help' }
  /** The text is one line. */
  | { readonly kind: 'usage error'; readonly text: string }

export const USAGE = `Usage: zdm-proxy [--config PATH] [--strict-config] [--check | --print-config]

  --config PATH     Read the settings from this YAML file. Without it they come from
                    environment variables, ZDM_PRIMARY_CLUSTER for primary_cluster.
  --strict-config   End with an error if a setting is unknown, instead of a warning.
  --check           Check settings, files, names and both clusters; print a table, serve nothing.
                    Exit status 0 if nothing failed, 1 if a check failed, 255 for wrong settings.
  --print-config    Print every setting with its value in effect and where it came from; secrets
                    are hidden. Serves nothing.
  --version         Print the version.
  -h, --help        Print this.

docs/configuration.md lists the settings.
`

type Flag = 'config' | 'strict-config' | 'check' | 'print-config' | 'version' | 'help'

const FLAGS: ReadonlyMap<string, Flag> = new Map([
  ['config', 'config'],
  ['strict-config', 'strict-config'],
  ['check', 'check'],
  ['print-config', 'print-config'],
  ['version', 'version'],
  ['help', 'help'],
  ['h', 'help'],
])
const ARGUMENT = /^--?([^-=][^=]*)(?:=(.*))?$/s

const usageError = (text: string): CommandLine => ({ kind: 'usage error', text })

/** Quoted, with what was most likely meant. */
const whatItIs = (argument: string, name: string): string => {
  const quoted = JSON.stringify(argument)
  if (!argument.startsWith('-')) {
    const isFile = /\.ya?ml$/.test(argument)
    return `argument ${quoted}${isFile ? `; did you mean --config ${argument}?` : ''}`
  }
  const nearest = name.length < 3 ? null : nearestName(name.toLowerCase(), [...FLAGS.keys()])
  return `flag ${quoted}${nearest === null ? '' : `; did you mean --${nearest}?`}`
}

/** The arguments without the names of the interpreter and the script. The last `--config` counts. */
export const parseCommandLine = (argv: readonly string[]): CommandLine => {
  let configPath: string | null = null
  let isStrict = false
  let wantsVersion = false
  let kind: 'run' | 'check' | 'print config' = 'run'
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!
    const [, name = '', attached] = ARGUMENT.exec(argument) ?? []
    const flag = FLAGS.get(name)
    if (flag === undefined) {
      return usageError(`unknown ${whatItIs(argument, name)}`)
    }
    if (flag !== 'config' && attached !== undefined) {
      return usageError(`--${flag} takes no value`)
    }
    if (flag === 'help') return { kind: 'help' }
    if (flag === 'version') wantsVersion = true
    if (flag === 'strict-config') isStrict = true
    if (flag === 'check') kind = 'check'
    if (flag === 'print-config') kind = 'print config'
    if (flag !== 'config') continue
    const path = attached ?? argv[++at] ?? ''
    if (path === '') return usageError('--config needs the path of a YAML file')
    configPath = path
  }
  return wantsVersion ? { kind: 'version' } : { kind, configPath, isStrict }
}
