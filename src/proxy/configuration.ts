/**
 * The configuration of a running instance: what is in effect and where it came from, and reading again what
 * can change (SIGHUP): the file of settings, and the files of certificates and tokens that it names. What cannot be
 * read or is wrong changes nothing.
 */
import type { Clock } from '../clock.ts'
import { ConfigError } from '../config/errors.ts'
import type { LoadedSettings } from '../config/load.ts'
import { type DescribedSetting, describeSettings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import type { ReloadSeries } from '../metrics/reload-series.ts'
import type { ProxyInstance } from './instance.ts'

const MS_PER_SECOND = 1000

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

export type ConfigurationOptions = {
  readonly instance: ProxyInstance
  readonly loaded: LoadedSettings
  /** Reads the file again; throws a ConfigError for one that cannot be used. Null: there is no file. */
  readonly load: (() => LoadedSettings) | null
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

  constructor(options: ConfigurationOptions) {
    this.#options = options
    this.#sources = options.loaded.sources
    this.#readAtMs = options.clock.wallMs()
  }

  /** Every setting in effect with its source; secrets hidden. */
  describe(): readonly DescribedSetting[] {
    return describeSettings(this.#options.instance.settings, this.#sources)
  }

  /** For the metrics. */
  series(): ReloadSeries {
    return {
      counts: { ...this.#counts },
      isLastRefused: this.#isLastRefused,
      readAtSeconds: this.#readAtMs / MS_PER_SECOND,
    }
  }

  /** Reads everything again and applies what can change while the instance runs. Logs what it did. */
  reload(): Reload {
    const { lookAtFiles, load, log } = this.#options
    lookAtFiles()
    if (load !== null) return this.#reloadFile(load)
    const text =
      'the settings come from the environment, which cannot change while a process runs: all of them stay as they are until a restart, and only certificates and tokens are read again; to change settings by SIGHUP start with --config and a file'
    log.warn({ code: 'CONFIG_RELOAD_REFUSED' }, text)
    return { isRefused: true, problems: [text] }
  }

  #reloadFile(load: () => LoadedSettings): Reload {
    const { clock, instance, log } = this.#options
    let loaded: LoadedSettings
    try {
      loaded = load()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      return this.#refuse(error.problems.map(({ text }) => text))
    }
    this.#counts.applied++
    this.#isLastRefused = false
    this.#readAtMs = clock.wallMs()
    for (const { code, text } of loaded.warnings) log.warn({ code }, text)
    const { applied, needsRestart } = instance.reconfigure(loaded.settings)
    this.#takeSources(loaded.sources, applied)
    const changed =
      applied.length === 0 ? 'nothing has changed' : `in effect: ${applied.join(', ')}`
    log.info({ code: 'CONFIG_RELOADED', applied }, `settings read again; ${changed}`)
    if (needsRestart.length > 0) this.#tellWhatWaits(needsRestart)
    return { isRefused: false, applied, needsRestart }
  }

  #refuse(problems: readonly string[]): Reload {
    this.#counts.refused++
    this.#isLastRefused = true
    for (const text of problems) {
      this.#options.log.error({ code: 'CONFIG_RELOAD_REFUSED' }, `nothing is changed: ${text}`)
    }
    return { isRefused: true, problems }
  }

  #takeSources(read: LoadedSettings['sources'], applied: readonly string[]): void {
    const sources = new Map(this.#sources)
    for (const key of applied) {
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
