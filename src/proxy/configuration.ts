/**
 * The configuration of a running instance: what is in effect and where it came from, and reading again what
 * can change: everything when it is asked for (SIGHUP), and by itself the files that hold secrets. What cannot be
 * read or is wrong changes nothing.
 */
import { readFile } from 'node:fs/promises'
import { LOOK_INTERVAL_MS } from '../certificates/certificate-store.ts'
import type { Clock, Timer } from '../clock.ts'
import { ConfigError } from '../config/errors.ts'
import { LIVE_SETTINGS } from '../config/live-settings.ts'
import type { LoadedSettings } from '../config/load.ts'
import type { SettingsLayer } from '../config/raw.ts'
import { digestOf } from '../config/secret-file.ts'
import { type DescribedSetting, describeSettings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import { messageOf } from '../message-of.ts'
import type { ReloadSeries } from '../metrics/reload-series.ts'
import type { ProxyInstance } from './instance.ts'

const MS_PER_SECOND = 1000
const ENVIRONMENT_STAYS =
  'the settings come from the environment, which cannot change while a process runs: all of them stay as they are until a restart'
const ONLY_SECRETS =
  'files of secrets read again, alone, because the other settings come from the environment, which cannot change while a process runs'

/** Where an operator's change goes to the admin API; the settings are the first values only. */
const CHANGED_BY_SWITCH: ReadonlySet<string> = new Set(['primary_cluster', 'read_mode'])

export type Reload =
  | {
      readonly isRefused: false
      /** Keys whose new value is in effect. */
      readonly applied: readonly string[]
      /** Keys whose new value waits for a restart. */
      readonly needsRestart: readonly string[]
    }
  | { readonly isRefused: true; readonly problems: readonly string[] }

/**
 * Loads the settings again: of these layers and of what secret files say now; without layers of everything, read anew.
 * Throws a ConfigError for what cannot be used.
 */
export type LoadAgain = (layers?: readonly SettingsLayer[]) => LoadedSettings

export type ConfigurationOptions = {
  readonly instance: ProxyInstance
  readonly loaded: LoadedSettings
  readonly load: LoadAgain
  /** Looks at files of certificates, keys and tokens now. */
  readonly lookAtFiles: () => void
  readonly clock: Clock
  readonly log: Logger
}

export class Configuration {
  readonly #options: ConfigurationOptions
  readonly #counts = { applied: 0, refused: 0 }
  #isLastRefused = false
  #readAtMs: number
  #sources: LoadedSettings['sources']
  /** What was loaded last without fault. */
  #loaded: LoadedSettings
  #timer: Timer | null = null
  #looking: Promise<void> | null = null
  /** What the look before has seen of the secret files. */
  #seen: string
  /** Contents of the secret files that were refused; null: those in force are there. */
  #refused: string | null = null

  constructor(options: ConfigurationOptions) {
    this.#options = options
    this.#loaded = options.loaded
    this.#sources = options.loaded.sources
    this.#readAtMs = options.clock.wallMs()
    this.#seen = fingerprint(options.loaded.secretFiles)
  }

  /** Every setting in effect with its source; secrets hidden. */
  describe(): readonly DescribedSetting[] {
    return describeSettings(this.#options.instance.settings, this.#sources)
  }

  /** For the metrics. */
  series(): ReloadSeries {
    return {
      counts: { ...this.#counts },
      isLastRefused: this.#isLastRefused || this.#refused !== null,
      readAtSeconds: this.#readAtMs / MS_PER_SECOND,
    }
  }

  /** Looks every few seconds whether files that hold secrets have changed, until it is closed. */
  watch(): void {
    this.#timer = this.#options.clock.setInterval(() => void this.look(), LOOK_INTERVAL_MS)
  }

  close(): void {
    this.#options.clock.clearInterval(this.#timer)
    this.#timer = null
  }

  /** Reads everything again and applies what can change while the instance runs. Logs what it did. */
  reload(): Reload {
    const { lookAtFiles, load, log } = this.#options
    lookAtFiles()
    if (!this.#hasFile && this.#loaded.secretFiles.size === 0) {
      const text = `${ENVIRONMENT_STAYS}, and only certificates and tokens are read again; to change settings by SIGHUP start with --config and a file`
      log.warn({ code: 'CONFIG_RELOAD_REFUSED' }, text)
      return { isRefused: true, problems: [text] }
    }
    const loaded = this.#tryTo(load)
    if (Array.isArray(loaded)) {
      this.#isLastRefused = true
      return { isRefused: true, problems: loaded }
    }
    this.#isLastRefused = false
    for (const { code, text } of loaded.warnings) log.warn({ code }, text)
    const what = this.#hasFile ? 'settings read again' : ONLY_SECRETS
    const change = this.#take(loaded, what)
    if (change.needsRestart.length > 0) this.#tellWhatWaits(change.needsRestart)
    return { isRefused: false, ...change }
  }

  /**
   * Looks at the secret files now; one look at a time. A change counts when two looks in a row have seen the same, because
   * user name and password may be written one after the other, and a file while it is read.
   */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    const { secretFiles, layers } = this.#loaded
    const inForce = fingerprint(secretFiles)
    const now = fingerprint(await readDigests([...secretFiles.keys()]))
    // Closed meanwhile, or reloaded: what was compared is no longer in force.
    if (this.#timer === null || this.#loaded.secretFiles !== secretFiles) return
    const isSettled = now === this.#seen
    this.#seen = now
    if (now === inForce) this.#forgive()
    if (now === inForce || !isSettled || now === this.#refused) return
    const loaded = this.#tryTo(() => this.#options.load(layers))
    if (Array.isArray(loaded)) {
      this.#refused = now
      return
    }
    this.#take(loaded, 'files of secrets have changed')
  }

  get #hasFile(): boolean {
    return this.#loaded.layers.some(({ kind }) => kind === 'file')
  }

  /** What was loaded, or what is wrong with it, which is counted and logged. */
  #tryTo(load: () => LoadedSettings): LoadedSettings | string[] {
    try {
      return load()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      this.#counts.refused++
      const problems = error.problems.map(({ text }) => text)
      for (const text of problems) {
        this.#options.log.error({ code: 'CONFIG_RELOAD_REFUSED' }, `nothing is changed: ${text}`)
      }
      return problems
    }
  }

  #take(
    loaded: LoadedSettings,
    what: string,
  ): { readonly applied: readonly string[]; readonly needsRestart: readonly string[] } {
    const { clock, instance, log } = this.#options
    this.#counts.applied++
    this.#forgive()
    this.#readAtMs = clock.wallMs()
    this.#loaded = loaded
    this.#seen = fingerprint(loaded.secretFiles)
    const { applied, needsRestart } = instance.reconfigure(loaded.settings)
    this.#takeSources(loaded.sources)
    const changed =
      applied.length === 0 ? 'nothing has changed' : `in effect: ${applied.join(', ')}`
    log.info({ code: 'CONFIG_RELOADED', applied }, `${what}; ${changed}`)
    return { applied, needsRestart }
  }

  /** The secret files are right: nothing is refused any more, but for a file of settings. */
  #forgive(): void {
    this.#refused = null
    if (!this.#hasFile) this.#isLastRefused = false
  }

  #takeSources(read: LoadedSettings['sources']): void {
    const sources = new Map(this.#sources)
    for (const key of LIVE_SETTINGS) {
      const source = read.get(key)
      if (source === undefined) sources.delete(key)
      else sources.set(key, source)
    }
    this.#sources = sources
  }

  #tellWhatWaits(settings: readonly string[]): void {
    const switched = settings.filter((key) => CHANGED_BY_SWITCH.has(key))
    const hint =
      switched.length === 0
        ? ''
        : `; ${switched.join(' and ')} can be changed without one by zdm, or the admin API`
    this.#options.log.warn(
      { code: 'CONFIG_NEEDS_RESTART', settings },
      `changed, but the old value holds until a restart: ${settings.join(', ')}${hint}`,
    )
  }
}

const fingerprint = (digests: ReadonlyMap<string, string>): string =>
  JSON.stringify([...digests].sort())

/** Of a file that cannot be read: why not. */
const readDigests = async (paths: readonly string[]): Promise<ReadonlyMap<string, string>> =>
  new Map(
    await Promise.all(
      paths.map(async (path) => {
        const said = await readFile(path).then(digestOf, messageOf)
        return [path, said] as const
      }),
    ),
  )
