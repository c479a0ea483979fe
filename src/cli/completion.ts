/** Shell completion for `zdm`, made from the commands themselves. Pure. */

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

export type CompletedOption = {
  /** With its dashes. */
  readonly name: string
  readonly description: string
  /** What its value is; `none`: it has none. */
  readonly value: 'none' | 'file' | 'text' | readonly string[]
}

export type CompletedCommand = {
  /** `['set', 'primary']`; empty for `zdm` itself. */
  readonly path: readonly string[]
  readonly description: string
  /** Words that may follow: subcommands, or values of its argument. */
  readonly words: readonly string[]
  readonly options: readonly CompletedOption[]
}

const unique = (words: readonly string[]): string => [...new Set(words)].join(' ')

/** Once each: `--reason` is the same for every command. */
const allOptions = (commands: readonly CompletedCommand[]): readonly CompletedOption[] => [
  ...new Map(commands.flatMap(({ options }) => options.map((one) => [one.name, one]))).values(),
]

const namesWith = (
  commands: readonly CompletedCommand[],
  has: (option: CompletedOption) => boolean,
): string =>
  allOptions(commands)
    .filter(has)
    .map(({ name }) => name)
    .join('|')

const optionNames = ({ options }: CompletedCommand): string[] => options.map(({ name }) => name)

/**
 * For bash and zsh: from `$path`, the words before that are no options, each with a blank before it, to the
 * words that may come. The longest path first; behind its argument a command takes options only.
 */
const pathCases = (commands: readonly CompletedCommand[]): string => {
  const globals = optionNames(commands.find(({ path }) => path.length === 0)!)
  return [...commands]
    .sort((a, b) => b.path.length - a.path.length)
    .flatMap((command) => {
      const path = command.path.map((word) => ` ${word}`).join('')
      const options = [...optionNames(command), ...globals]
      const first = `    "${path}") words="${unique([...command.words, ...options])}" ;;`
      if (path === '') return [first]
      return [first, `    "${path} "*) words="${unique(options)}" ;;`]
    })
    .join('\n')
}

/** For both: from `$awaiting`, an option whose value comes next, to its values. */
const valueCases = (commands: readonly CompletedCommand[], files: string): string =>
  [
    `    ${namesWith(commands, ({ value }) => value === 'file')}) ${files}; return ;;`,
    ...allOptions(commands).flatMap(({ name, value }) =>
      typeof value === 'string' ? [] : [`    ${name}) words="${value.join(' ')}" ;;`],
    ),
    '    ?*) return ;;',
  ].join('\n')

const takesValue = ({ value }: CompletedOption): boolean => value !== 'none'

const bash = (commands: readonly CompletedCommand[]): string => `_zdm() {
  local current=\${COMP_WORDS[COMP_CWORD]} path= words= awaiting= i
  for (( i = 1; i < COMP_CWORD; i++ )); do
    case \${COMP_WORDS[i]} in
      ${namesWith(commands, takesValue)})
        awaiting=\${COMP_WORDS[i]}
        (( i++ ))
        [ "\${COMP_WORDS[i]}" = '=' ] && (( i++ ))
        # bash takes http://host:port for five words.
        while [ "\${COMP_WORDS[i+1]}" = ':' ]; do (( i += 2 )); done
        (( i < COMP_CWORD )) && awaiting= ;;
      -*) ;;
      *) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  [ "$current" = '=' ] && current=
  case $awaiting in
${valueCases(commands, 'COMPREPLY=($(compgen -f -- "$current"))')}
    *) case "$path" in
${pathCases(commands)}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _zdm zdm
`

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

const topCommands = (commands: readonly CompletedCommand[]): readonly CompletedCommand[] =>
  commands.filter(({ path }) => path.length === 1)

/** `path` is zsh's own; hence another name. */
const zsh = (commands: readonly CompletedCommand[]): string => `#compdef zdm
_zdm() {
  local before= awaiting= words_= word i
  local -a described
  for (( i = 2; i < CURRENT; i++ )); do
    word=$words[i]
    case $word in
      ${namesWith(commands, takesValue)})
        (( i++ ))
        (( i < CURRENT )) || awaiting=$word ;;
      -*) ;;
      *) before="$before $word" ;;
    esac
  done
  case $awaiting in
${valueCases(commands, '_files').replaceAll('words=', 'words_=')}
  esac
  if [[ -z $awaiting && -z $before && $words[CURRENT] != -* ]]; then
    described=(
${topCommands(commands)
  .map(({ path, description }) => `      ${quoted(`${path[0]}:${description}`)}`)
  .join('\n')}
    )
    _describe command described
    return
  fi
  [[ -z $awaiting ]] && case "$before" in
${pathCases(commands).replaceAll('words=', 'words_=')}
  esac
  compadd -- \${=words_}
}
compdef _zdm zdm
`

const fishOption = ({ name, description, value }: CompletedOption): string => {
  const option = `-l ${name.slice(2)} -d ${quoted(description)}`
  if (value === 'none') return option
  if (value === 'file') return `${option} -r -F`
  return value === 'text' ? `${option} -x` : `${option} -x -a ${quoted(value.join(' '))}`
}

const fish = (commands: readonly CompletedCommand[]): string => {
  const tops = topCommands(commands).map(({ path }) => path[0]!)
  const none = `not __fish_seen_subcommand_from ${tops.join(' ')}`
  return [
    'complete -c zdm -f',
    ...topCommands(commands).map(
      ({ path, description }) =>
        `complete -c zdm -n ${quoted(none)} -a ${path[0]} -d ${quoted(description)}`,
    ),
    ...commands.flatMap(({ path, words, options }) => {
      const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ')
      const where = seen === '' ? '' : ` -n ${quoted(seen)}`
      return [
        ...(path.length === 0 || words.length === 0
          ? []
          : [`complete -c zdm${where} -a ${quoted(words.join(' '))}`]),
        ...options.map((option) => `complete -c zdm${where} ${fishOption(option)}`),
      ]
    }),
    '',
  ].join('\n')
}

/** The script that a shell evaluates: `eval "$(zdm completion bash)"`. */
export const completionScript = (shell: Shell, commands: readonly CompletedCommand[]): string => {
  switch (shell) {
    case 'bash':
      return bash(commands)
    case 'zsh':
      return zsh(commands)
    case 'fish':
      return fish(commands)
  }
}
