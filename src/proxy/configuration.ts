/**
 * The configuration of a running instance: what is in effect and where it came from, and reading its
 * source again (SIGHUP; the admin API calls the same). What cannot be read or is wrong changes nothing.
 */
import { ConfigError } from '../config/errors.ts'
import type { LoadedSettings } from '../config/load.ts'
import { type DescribedSetting, describeSettings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import type { ProxyInstance } from './instance.ts'

export type Reload =
  | {
      readonly isRefused: false
      /** Keys whose new value is in effect. */
      readonly applied: readonly string[]
      /** Keys whose new value waits for a restart. */
      readonly needsRestart: readonly string[]
    }
  | { readonly isRefused: true; readonly problems: readonly string[] }

export class Configuration {
  readonly #instance: ProxyInstance
  readonly #log: Logger
  readonly #load: () => LoadedSettings
  #sources: LoadedSettings['sources']

  /** `load` reads the source again; it throws a ConfigError for one that cannot be used. */
  constructor(
    instance: ProxyInstance,
    loaded: LoadedSettings,
    load: () => LoadedSettings,
    log: Logger,
  ) {
    this.#instance = instance
    this.#sources = loaded.sources
    this.#load = load
    this.#log = log
  }

  /** Every setting in effect with its source; secrets hidden. */
  describe(): readonly DescribedSetting[] {
    return describeSettings(this.#instance.settings, this.#sources)
  }

  /** Reads the source again and applies what can change while the instance runs. Logs what it did. */
  reload(): Reload {
    const log = this.#log
    let loaded: LoadedSettings
    try {
      loaded = this.#load()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      const problems = error.problems.map(({ text }) => text)
      for (const text of problems) {
        log.error({ code: 'CONFIG_RELOAD_REFUSED' }, `nothing is changed: ${text}`)
      }
      return { isRefused: true, problems }
    }
    for (const { code, text } of loaded.warnings) log.warn({ code }, text)
    const { applied, needsRestart } = this.#instance.reconfigure(loaded.settings)
    const sources = new Map(this.#sources)
    for (const key of applied) {
      const source = loaded.sources.get(key)
      if (source === undefined) sources.delete(key)
      else sources.set(key, source)
    }
    this.#sources = sources
    const changed =
      applied.length === 0 ? 'nothing has changed' : `in effect: ${applied.join(', ')}`
    log.info({ code: 'CONFIG_RELOADED', applied }, `settings read again; ${changed}`)
    if (needsRestart.length > 0) {
      log.warn(
        { code: 'CONFIG_NEEDS_RESTART', settings: needsRestart },
        `changed, but the old value holds until a restart: ${needsRestart.join(', ')}`,
      )
    }
    return { isRefused: false, applied, needsRestart }
  }
}
