/** Shell completion for `zdm`, made from the commands themselves. Pure. */

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

export type CompletedCommand = {
  readonly name: string
  readonly description: string
  /** Words that may follow. */
  readonly words: readonly string[]
}

const bash = (
  commands: readonly CompletedCommand[],
  options: readonly string[],
): string => `_zdm() {
  local current=\${COMP_WORDS[COMP_CWORD]} words
  case \${COMP_WORDS[1]} in
${commands
  .filter(({ words }) => words.length > 0)
  .map(({ name, words }) => `    ${name}) words="${words.join(' ')}" ;;`)
  .join('\n')}
    *) words="" ;;
  esac
  [ "$COMP_CWORD" -le 1 ] && words="${commands.map(({ name }) => name).join(' ')}"
  COMPREPLY=($(compgen -W "$words ${options.join(' ')}" -- "$current"))
}
complete -F _zdm zdm
`

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

const zsh = (
  commands: readonly CompletedCommand[],
  options: readonly string[],
): string => `#compdef zdm
_zdm() {
  local -a commands
  commands=(
${commands.map(({ name, description }) => `    ${quoted(`${name}:${description}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case $words[2] in
${commands
  .filter(({ words }) => words.length > 0)
  .map(({ name, words }) => `    ${name}) compadd -- ${words.join(' ')} ${options.join(' ')} ;;`)
  .join('\n')}
    *) compadd -- ${options.join(' ')} ;;
  esac
}
compdef _zdm zdm
`

const fish = (commands: readonly CompletedCommand[], options: readonly string[]): string =>
  [
    'complete -c zdm -f',
    ...commands.map(
      ({ name, description }) =>
        `complete -c zdm -n __fish_use_subcommand -a ${name} -d ${quoted(description)}`,
    ),
    ...commands
      .filter(({ words }) => words.length > 0)
      .map(
        ({ name, words }) =>
          `complete -c zdm -n '__fish_seen_subcommand_from ${name}' -a ${quoted(words.join(' '))}`,
      ),
    ...options.map((option) => `complete -c zdm -l ${option.slice(2)}`),
    '',
  ].join('\n')

/** The script that a shell evaluates: `eval "$(zdm completion bash)"`. */
export const completionScript = (
  shell: Shell,
  commands: readonly CompletedCommand[],
  options: readonly string[],
): string => {
  switch (shell) {
    case 'bash':
      return bash(commands, options)
    case 'zsh':
      return zsh(commands, options)
    case 'fish':
      return fish(commands, options)
  }
}
