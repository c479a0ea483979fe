/**
 * The arguments of the command (operations §1.1). As in Go, one dash or two are the same, and a value
 * follows as the next argument or after `=`.
 */
import { nearestName } from './nearest-name.ts'

export type CommandLine =
  | {
      /** run: serve. check: look whether it could. print config: the settings in effect. */
      readonly kind: 'run' | 'check' | 'print config'
      /** Files of settings, a later one above those before it. None: settings come from the environment. */
      readonly configPaths: readonly string[]
      /** Variables of the environment are above the files. */
      readonly withEnvironment: boolean
      /** Unknown settings end the start. */
      readonly isStrict: boolean
    }
  | { readonly kind: 'version' }
  | { readonly kind: 'help' }
  /** The text is one line. */
  | { readonly kind: 'usage error'; readonly text: string }

export const USAGE = `Usage: zdm-proxy [--config PATH … [--with-environment]] [--strict-config] [--check | --print-config]

  --config PATH     Read the settings from this YAML file. Without it they come from
                    environment variables, ZDM_PRIMARY_CLUSTER for primary_cluster. May be
                    given several times: the last file that has a setting counts.
  --with-environment
                    With --config: environment variables count more than the files.
  --strict-config   End with an error if a setting is unknown, instead of a warning.
  --check           Check settings, files, names and both clusters; print a table, serve nothing.
                    Exit status 0 if nothing failed, 1 if a check failed, 255 for wrong settings.
  --print-config    Print every setting with its value in effect and where it came from; secrets
                    are hidden. Serves nothing.
  --version         Print the version.
  -h, --help        Print this.

docs/configuration.md lists the settings.
`

type Flag =
  | 'config'
  | 'with-environment'
  | 'strict-config'
  | 'check'
  | 'print-config'
  | 'version'
  | 'help'

const FLAGS: ReadonlyMap<string, Flag> = new Map([
  ['config', 'config'],
  ['with-environment', 'with-environment'],
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

/** What the flags have said so far. */
type Said = {
  readonly configPaths: string[]
  readonly flags: Set<Flag>
}

/** null: nothing is wrong. */
const faultOf = ({ configPaths, flags }: Said): string | null => {
  const twice = configPaths.find((path, at) => configPaths.indexOf(path) !== at)
  if (twice !== undefined) return `--config ${twice} is given twice`
  if (flags.has('check') && flags.has('print-config')) {
    return '--check and --print-config are two questions: ask one at a time'
  }
  return flags.has('with-environment') && configPaths.length === 0
    ? '--with-environment needs --config; without a file the settings come from the environment anyway'
    : null
}

const commandOf = (said: Said): CommandLine => {
  const { configPaths, flags } = said
  if (flags.has('version')) return { kind: 'version' }
  const fault = faultOf(said)
  if (fault !== null) return usageError(fault)
  return {
    kind: flags.has('check') ? 'check' : flags.has('print-config') ? 'print config' : 'run',
    configPaths,
    withEnvironment: flags.has('with-environment'),
    isStrict: flags.has('strict-config'),
  }
}

/** The arguments without the names of the interpreter and the script. */
export const parseCommandLine = (argv: readonly string[]): CommandLine => {
  const said: Said = { configPaths: [], flags: new Set() }
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
    said.flags.add(flag)
    if (flag !== 'config') continue
    const path = attached ?? argv[++at] ?? ''
    if (path === '') return usageError('--config needs the path of a YAML file')
    said.configPaths.push(path)
  }
  return commandOf(said)
}
