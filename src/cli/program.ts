/**
 * The command `zdm`: its commands, options, help and exit statuses. What a command does is commands.ts.
 * Everything that it touches comes in as an argument, so that tests run it in their own process.
 */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { PHASES, type Phase } from '../control/phase.ts'
import { COMPONENTS } from '../log-levels.ts'
import { messageOf } from '../message-of.ts'
import { type AccessOptions, openClient, tokenHint } from './access.ts'
import * as commands from './commands.ts'
import {
  type CompletedCommand,
  type CompletedOption,
  completionScript,
  SHELLS,
  type Shell,
} from './completion.ts'
import { CliError, ExitCode, exitCodeOf, wayOut } from './exit.ts'
import { styleFor } from './style.ts'

export type Surroundings = {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly isTerminal: boolean
  /** Who runs it, for the audit log. */
  readonly user: string
  readonly version: string
  out(text: string): void
  error(text: string): void
  /** Resolves after a while; rejects never. */
  sleep(ms: number): Promise<void>
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

type GlobalOptions = AccessOptions & { readonly json?: boolean }
type ScopeOptions = { readonly thisInstance?: boolean }
type CheckOptions = ScopeOptions & { readonly keyspace?: readonly string[] }
type ChangeOptions = { readonly reason?: string; readonly by?: string; readonly force?: boolean }

const WATCH_PERIOD_MS = 2000
const CLEAR_SCREEN = '\u001b[H\u001b[2J'
/** What the admin API gives at most. */
const LIMIT_MAX = 1000
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace']

const EXIT_HELP = `
Exit status: 0 done, 1 an instance could not be reached or could not do it, 2 wrong arguments,
3 refused, or a check failed, and nothing changed, 4 some instances have changed and some have not.
status and instances end with 1 too where the instances do not agree or are configured differently;
status also where one is not ready, or cannot write its state file or audit log.

The admin API is found by --address, else by ZDM_ADMIN_ADDRESS, ZDM_ADMIN_PORT and
ZDM_ADMIN_TOKEN_PATH, else at http://127.0.0.1:14003.
`

const CLOSE_HELP = `
Nothing keeps the clients from coming back, and drivers do at once: a firewall, or taking the login
from their role on the clusters, does.
`

const DRAIN_HELP = `
Refused where no other instance is ready to serve clients, unless forced. Whoever watches over the process
may start it again: Kubernetes does, systemd with Restart=on-failure does not (it ends with 0).
`

const scopeOf = ({ thisInstance }: ScopeOptions): 'instance' | 'deployment' =>
  thisInstance === true ? 'instance' : 'deployment'

const positive = (text: string): number => {
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new InvalidArgumentError('A number above 0 is expected.')
}

const count = (text: string): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= LIMIT_MAX) return value
  throw new InvalidArgumentError(`A whole number from 1 to ${LIMIT_MAX} is expected.`)
}

/** One of these words, however it is written. */
const oneOf =
  <Word extends string>(words: readonly Word[]) =>
  (text: string): Word => {
    const word = words.find((one) => one.toLowerCase() === text.toLowerCase())
    if (word !== undefined) return word
    throw new InvalidArgumentError(`Allowed choices are ${words.join(', ')}.`)
  }

const wordArgument = (name: string, words: readonly string[]): Argument =>
  new Argument(name).choices([...words]).argParser(oneOf(words))

const wordOption = (flags: string, description: string, words: readonly string[]): Option =>
  new Option(flags, description).choices([...words]).argParser(oneOf(words))

/** Whoever mistypes a command is pointed to its own help. */
const pointToHelp = (command: Command, path = ''): void => {
  for (const sub of command.commands) {
    const name = `${path}${sub.name()}`
    sub.showHelpAfterError(`(zdm ${name} --help lists its arguments and options)`)
    pointToHelp(sub, `${name} `)
  }
}

class Zdm {
  readonly program = new Command('zdm')
  exitCode: ExitCode = ExitCode.OK
  readonly #around: Surroundings

  constructor(around: Surroundings) {
    this.#around = around
    this.program
      .description('Shows and changes where a migration stands.')
      .version(around.version)
      .addOption(new Option('--address <url>', 'admin API of any instance of the deployment'))
      .addOption(new Option('--token-file <path>', 'file with the token of the admin API'))
      .addOption(new Option('--ca <path>', 'certificate authority of the admin API (PEM)'))
      .addOption(new Option('--cert <path>', 'certificate to show to it (PEM)'))
      .addOption(new Option('--key <path>', 'the private key of --cert (PEM)'))
      .option('--timeout <seconds>', 'how long an answer may take', positive, 10)
      .option('--json', 'write the answer as JSON')
      .addHelpText('after', EXIT_HELP)
      .showHelpAfterError('(zdm --help lists commands and options)')
      .exitOverride()
      .configureOutput({ writeOut: around.out, writeErr: around.error })
    this.#addViews()
    this.#addChanges()
    this.#addRest()
    pointToHelp(this.program)
  }

  has(name: string): boolean {
    return this.program.commands.some((command) => command.name() === name)
  }

  get tokenHint(): string | null {
    return tokenHint(this.program.opts<GlobalOptions>(), this.#around.environment)
  }

  #session(): commands.Session {
    const options = this.program.opts<GlobalOptions>()
    return {
      client: openClient(options, this.#around.environment),
      style: styleFor(this.#around.isTerminal, this.#around.environment),
      isJson: options.json === true,
      write: this.#around.out,
    }
  }

  #run(work: (session: commands.Session) => Promise<ExitCode>): Promise<void> {
    return work(this.#session()).then((exitCode) => {
      this.exitCode = exitCode
    })
  }

  #requester({ reason = '', by, force = false }: ChangeOptions): commands.Requester {
    return { by: by ?? this.#around.user, reason, force }
  }

  #recorded(name: string, description: string, parent: Command = this.program): Command {
    return parent
      .command(name)
      .description(description)
      .option('--reason <text>', 'why, for the audit log')
      .option('--by <name>', 'who wants it, for the audit log')
  }

  #changing(name: string, description: string, parent: Command = this.program): Command {
    return this.#recorded(name, description, parent)
      .option('--force', 'go on although checks fail; needs --reason')
      .hook('preAction', (_, command) => {
        const { force, reason } = command.opts<ChangeOptions>()
        if (force !== true || (reason ?? '') !== '') return
        throw new CliError(ExitCode.USAGE, '--force needs --reason "…": it is recorded why')
      })
  }

  #addViews(): void {
    this.program
      .command('status')
      .description('where the migration stands, on one screen')
      .option('--watch', 'every two seconds, until Ctrl-C')
      .action(({ watch }: { watch?: boolean }) =>
        this.#run((session) => (watch === true ? this.#watch(session) : commands.status(session))),
      )
    this.program
      .command('check')
      .description('whether the migration can succeed: looks at both clusters and their schemas')
      .option('--keyspace <name...>', 'compare these alone; all otherwise')
      .option('--this-instance', 'only from the instance that is asked, not from all of them')
      .action(({ keyspace = [], ...options }: CheckOptions) =>
        this.#run((session) => commands.check(session, keyspace, scopeOf(options))),
      )
    this.program
      .command('plan')
      .description('what a change would do, and each check; changes nothing')
      .addArgument(new Argument('<verb>').choices(['advance', 'rollback']))
      .addArgument(wordArgument('[phase]', PHASES))
      .addOption(wordOption('--to <phase>', 'where to advance, as the argument', PHASES))
      .action((verb: 'advance' | 'rollback', phase: Phase | undefined, { to }: { to?: Phase }) => {
        if (verb === 'rollback' && (phase ?? to) !== undefined) {
          throw new CliError(ExitCode.USAGE, 'a rollback has no phase: every read goes back')
        }
        if (phase !== undefined && to !== undefined && phase !== to) {
          throw new CliError(ExitCode.USAGE, `${phase} or --to ${to}? Name one phase`)
        }
        return this.#run((session) => commands.plan(session, verb, phase ?? to))
      })
    this.program
      .command('instances')
      .description('every instance of the deployment, and whether they agree')
      .action(() => this.#run(commands.instances))
    this.program
      .command('audit')
      .description('the latest changes: who, when, from, to, why')
      .option('--limit <count>', 'entries, at most 1000', count, 20)
      .action(({ limit }: { limit: number }) =>
        this.#run((session) => commands.audit(session, limit)),
      )
    this.program
      .command('mismatches')
      .description('the last mirrored reads that the clusters answered differently; no data')
      .option('--limit <count>', 'entries, at most 1000', count, 20)
      .action(({ limit }: { limit: number }) =>
        this.#run((session) => commands.mismatches(session, limit)),
      )
    this.#addClients()
    this.#addDrain()
    this.program
      .command('config')
      .description('every setting in effect, and where it came from')
      .action(() => this.#run(commands.config))
  }

  #addClients(): void {
    const view = this.program
      .command('clients')
      .description('who uses the proxy: by address, user, driver and application')
      .option('--this-instance', 'only of the instance that is asked, not of all of them')
      .action((options: ScopeOptions) =>
        this.#run((session) => commands.clients(session, scopeOf(options))),
      )
    this.#recorded(
      'close',
      'closes the connections from an address when all they asked is answered; they may come back',
      view,
    )
      .argument('<address>', 'without port, as `zdm clients` shows it')
      .option('--user <name>', "only this user's, as `zdm clients` shows it")
      .option('--this-instance', 'only of the instance that is asked, not of all of them')
      .addHelpText('after', CLOSE_HELP)
      .action((address: string, options: ChangeOptions & { user?: string }, command: Command) => {
        if ((options.reason ?? '') === '') {
          throw new CliError(ExitCode.USAGE, 'close needs --reason "…": it is recorded why')
        }
        const selection = { address, user: options.user ?? null }
        const scope = scopeOf(command.optsWithGlobals<ScopeOptions>())
        return this.#run((session) =>
          commands.closeClients(session, selection, scope, this.#requester(options)),
        )
      })
  }

  #addDrain(): void {
    this.#changing('drain', 'has one instance leave as SIGTERM does; its process ends')
      .option('--this-instance', 'the one that is asked; there is no way to drain all at once')
      .addHelpText('after', DRAIN_HELP)
      .action((options: ChangeOptions & ScopeOptions) => {
        if (options.thisInstance !== true) {
          const text = 'drain needs --this-instance, and --address of the one that is to leave'
          throw new CliError(ExitCode.USAGE, text)
        }
        if ((options.reason ?? '') === '') {
          throw new CliError(ExitCode.USAGE, 'drain needs --reason "…": it is recorded why')
        }
        return this.#run((session) => commands.drain(session, this.#requester(options)))
      })
  }

  #addChanges(): void {
    this.#changing(
      'advance',
      'goes on to the next phase, or to the one named, as cut-over must be, and any after a rollback',
    )
      .addArgument(wordArgument('[phase]', PHASES))
      .addOption(
        wordOption('--from <phase>', 'refuse it where the deployment is in another', PHASES),
      )
      .action((to: Phase | undefined, options: ChangeOptions & { from?: Phase }) => {
        const way = { to, from: options.from }
        return this.#run((session) => commands.advance(session, way, this.#requester(options)))
      })
    this.#changing('rollback', 'puts every read back on Origin at once, from any phase')
      .option('--leave', 'tell too what remains to go back to Origin without the proxy')
      .action((options: ChangeOptions & { leave?: boolean }) =>
        this.#run((session) =>
          commands.rollback(session, options.leave === true, this.#requester(options)),
        ),
      )
    this.#changing('align', 'gives all instances the state of one: finishes or reverts a change')
      .requiredOption(
        '--like <instance>',
        'the instance that is right, as `zdm instances` names it',
      )
      .action((options: ChangeOptions & { like: string }) =>
        this.#run((session) => commands.align(session, options.like, this.#requester(options))),
      )
    const set = this.program
      .command('set')
      .description('changes the routing outside the phases (guarded)')
    this.#addSetting(set, 'primary', 'which cluster serves reads', ['ORIGIN', 'TARGET'])
    this.#addSetting(set, 'read-mode', 'whether reads are copied to the secondary', [
      'PRIMARY_ONLY',
      'DUAL_ASYNC_ON_SECONDARY',
    ])
    this.#addSetting(set, 'write-mode', 'where writes go; all but both end the safety net', [
      'both',
      'origin_only',
      'target_only',
    ])
    this.#recorded('reconciled', 'records a comparison of both clusters: --begin, then without')
      .option('--begin', 'a comparison begins now: what fails from now on is not covered by it')
      .addOption(
        wordOption('--into <cluster>', 'the cluster that has the rows of the other now', [
          'origin',
          'target',
        ]).default('target'),
      )
      .addOption(
        new Option(
          '--since <time>',
          'when the comparison began, if --begin was forgotten: ISO 8601, or now',
        ).conflicts('begin'),
      )
      .action((options: ChangeOptions & commands.ComparisonOptions) =>
        this.#run((session) => commands.reconciled(session, options, this.#requester(options))),
      )
  }

  #addSetting(set: Command, name: string, description: string, values: readonly string[]): void {
    const KEYS = { primary: 'primary', 'read-mode': 'readMode', 'write-mode': 'writeMode' } as const
    const key = KEYS[name as keyof typeof KEYS]
    this.#changing(name, description, set)
      .addArgument(wordArgument('<value>', values))
      .action((value: string, options: ChangeOptions) =>
        this.#run((session) =>
          commands.setRouting(session, { [key]: value }, this.#requester(options)),
        ),
      )
  }

  #addRest(): void {
    this.program
      .command('log-level')
      .description('the least severe events that one instance logs; sets it until a restart')
      .addArgument(new Argument('[level]').choices(LOG_LEVELS))
      .addOption(
        new Option('--component <name>', 'of this alone; without: of all that have none').choices([
          ...COMPONENTS,
        ]),
      )
      .action((level: string | undefined, { component = null }: { component?: string | null }) =>
        this.#run((session) => commands.logLevel(session, level, component, this.#requester({}))),
      )
    this.program
      .command('completion')
      .description('a script that completes zdm: eval "$(zdm completion bash)"')
      .addArgument(new Argument('<shell>').choices([...SHELLS]))
      .action((shell: Shell) =>
        this.#around.out(completionScript(shell, completedCommands(this.program))),
      )
  }

  async #watch(session: commands.Session): Promise<ExitCode> {
    const { isTerminal, signal, sleep, out } = this.#around
    let last: ExitCode = ExitCode.OK
    while (!signal.aborted) {
      if (isTerminal) out(CLEAR_SCREEN)
      try {
        last = await commands.status(session)
      } catch (error) {
        last = ExitCode.FAILED
        out(`${messageOf(error)}\n`)
      }
      await sleep(WATCH_PERIOD_MS)
    }
    return last
  }
}

const valueKind = ({ flags, argChoices, required, optional }: Option): CompletedOption['value'] => {
  if (argChoices !== undefined) return argChoices
  if (!required && !optional) return 'none'
  return flags.includes('<path>') ? 'file' : 'text'
}

const completedCommands = (
  command: Command,
  path: readonly string[] = [],
): readonly CompletedCommand[] => [
  {
    path,
    description: command.description(),
    words: [
      ...command.commands.map((sub) => sub.name()),
      ...command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
    ],
    options: command.options.flatMap((option) =>
      option.long == null
        ? []
        : [{ name: option.long, description: option.description, value: valueKind(option) }],
    ),
  },
  ...command.commands.flatMap((sub) => completedCommands(sub, [...path, sub.name()])),
]

/** Runs one command; resolves with the exit status and never rejects. */
export const runZdm = async (argv: readonly string[], around: Surroundings): Promise<number> => {
  const zdm = new Zdm(around)
  try {
    const [first, topic = ''] = argv
    // Commander shows its general help instead.
    if (first === 'help' && topic !== '' && !zdm.has(topic)) {
      zdm.program.error(`error: unknown command '${topic}'`)
    }
    await zdm.program.parseAsync(argv, { from: 'user' })
    return zdm.exitCode
  } catch (error) {
    // Commander has written its text already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : ExitCode.USAGE
    const next = wayOut(error, zdm.tokenHint)
    around.error(`zdm: ${messageOf(error)}\n${next === null ? '' : `     ${next}\n`}`)
    return exitCodeOf(error)
  }
}
