/**
 * The connections that copies of reads use: pools of their own, so that a secondary that is stuck or
 * dead never touches a connection that a write needs. One pair of pools per profile, the same identity
 * and keyspace as the clients whose reads are copied; opened when the first read wants one, and again
 * after every failure, while clients go on.
 */
import { CLUSTERS, type Cluster } from '../routing/cluster.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Node, UpstreamPool } from '../upstream/pool.ts'
import { type Profile, profileKey } from '../upstream/profile.ts'
import type { ProfilePools } from '../upstream/profile-registry.ts'

const OPEN_DELAY_MIN_MS = 100
const OPEN_DELAY_MAX_MS = 10_000
/** Kept so long after the last client of the profile, or after copying was switched off. */
export const COPY_POOLS_LINGER_MS = 30_000

/** How the first connection of one pool is coming on. */
type Opening = { isUnderWay: boolean; failures: number; notBeforeMs: number }

export class CopyPools {
  readonly profile: Profile
  /** Indexed by cluster. */
  readonly pools: readonly [UpstreamPool, UpstreamPool]
  /** The clients' own pools whose reads are copied here. */
  readonly users = new Set<ProfilePools>()
  usedUntilMs: number
  isClosed = false
  readonly #openings: readonly [Opening, Opening]
  readonly #onOpenFailed: (cluster: Cluster, error: unknown) => void

  constructor(
    profile: Profile,
    pools: readonly [UpstreamPool, UpstreamPool],
    nowMs: number,
    onOpenFailed: (cluster: Cluster, error: unknown) => void,
  ) {
    this.profile = profile
    this.pools = pools
    this.usedUntilMs = nowMs
    this.#onOpenFailed = onOpenFailed
    const opening = (): Opening => ({ isUnderWay: false, failures: 0, notBeforeMs: 0 })
    this.#openings = [opening(), opening()]
  }

  /** A usable connection, or null; then one is being opened, but for a pause after a failure. */
  connection(cluster: Cluster, preferred: number, nowMs: number): UpstreamConnection | null {
    const connection = this.pools[cluster].pick(preferred)
    if (connection === null) this.warm(cluster, preferred, nowMs)
    return connection
  }

  /** Opens the first connection, unless that is under way or has just failed. */
  warm(cluster: Cluster, preferred: number, nowMs: number): void {
    const opening = this.#openings[cluster]
    if (this.isClosed || opening.isUnderWay || nowMs < opening.notBeforeMs) return
    opening.isUnderWay = true
    this.pools[cluster].ready(preferred).then(
      () => {
        opening.isUnderWay = false
        opening.failures = 0
      },
      (error: unknown) => {
        opening.isUnderWay = false
        const delayMs = Math.min(OPEN_DELAY_MIN_MS * 2 ** opening.failures, OPEN_DELAY_MAX_MS)
        opening.notBeforeMs = nowMs + delayMs
        opening.failures++
        if (!this.isClosed) this.#onOpenFailed(cluster, error)
      },
    )
  }

  close(): void {
    this.isClosed = true
    for (const cluster of CLUSTERS) this.pools[cluster].close()
  }
}

export type CopyPoolsOptions = {
  makePool(cluster: Cluster, profile: Profile): UpstreamPool
  onOpenFailed(cluster: Cluster, error: unknown): void
}

export class CopyPoolsRegistry {
  readonly #options: CopyPoolsOptions
  readonly #byKey = new Map<string, CopyPools>()
  /** By the pools that the client's own requests use: one look-up per copy. */
  readonly #byUser = new WeakMap<ProfilePools, CopyPools>()

  constructor(options: CopyPoolsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#byKey.size
  }

  /** The pools for the reads of the clients that use `user`. */
  of(user: ProfilePools, nowMs: number): CopyPools {
    const known = this.#byUser.get(user)
    if (known?.isClosed === false) {
      // The sweep forgets a user without clients, and clients may come back to it.
      known.users.add(user)
      return known
    }
    // Copies need no connection of one's own, also where each client has one.
    const pools = this.forProfile({ ...user.profile, exclusiveTo: null }, nowMs)
    pools.users.add(user)
    this.#byUser.set(user, pools)
    return pools
  }

  /** Pools that nobody's reads are copied to yet. */
  forProfile(profile: Profile, nowMs: number): CopyPools {
    const key = profileKey(profile)
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    const { makePool, onOpenFailed } = this.#options
    const pools = [makePool(0, profile), makePool(1, profile)] as const
    const made = new CopyPools(profile, pools, nowMs, onOpenFailed)
    this.#byKey.set(key, made)
    return made
  }

  setNodes(cluster: Cluster, nodes: readonly Node[]): void {
    for (const { pools } of this.#byKey.values()) pools[cluster].setNodes(nodes)
  }

  /** `isOn`: reads are being copied. */
  sweep(nowMs: number, isOn: boolean): void {
    for (const [key, entry] of this.#byKey) {
      for (const pool of entry.pools) pool.sweep()
      for (const user of entry.users) if (user.sessions === 0) entry.users.delete(user)
      if (isOn && entry.users.size > 0) entry.usedUntilMs = nowMs
      if (nowMs - entry.usedUntilMs <= COPY_POOLS_LINGER_MS) continue
      this.#byKey.delete(key)
      entry.close()
    }
  }

  closeAll(): void {
    for (const entry of this.#byKey.values()) entry.close()
    this.#byKey.clear()
  }
}
