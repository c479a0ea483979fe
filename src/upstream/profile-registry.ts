/**
 * The profiles in use on one data plane thread and their pools, counted by the sessions that hold
 * them. A shared profile outlives its last session for a moment, so that a client that reconnects
 * finds its connections warm.
 */
import { CLUSTERS, type Cluster } from '../routing/cluster.ts'
import type { Node, UpstreamPool } from './pool.ts'
import { type Profile, profileKey } from './profile.ts'

export const PROFILE_LINGER_MS = 30_000

/** One profile's pools, as a session holds them. */
export type ProfilePools = {
  readonly key: string
  readonly profile: Profile
  /** Indexed by cluster. */
  readonly pools: readonly [UpstreamPool, UpstreamPool]
  sessions: number
  unusedSinceMs: number
}

export class ProfileRegistry {
  readonly #profiles = new Map<string, ProfilePools>()
  readonly #makePool: (cluster: Cluster, profile: Profile, key: string) => UpstreamPool
  #isClosed = false

  constructor(makePool: (cluster: Cluster, profile: Profile, key: string) => UpstreamPool) {
    this.#makePool = makePool
  }

  /** After `closeAll` the pools are closed: they reject whoever waits for a connection. */
  acquire(profile: Profile): ProfilePools {
    const key = profileKey(profile)
    let entry = this.#profiles.get(key)
    if (entry === undefined) {
      const pools = [this.#makePool(0, profile, key), this.#makePool(1, profile, key)] as const
      entry = { key, profile, pools, sessions: 0, unusedSinceMs: 0 }
      if (this.#isClosed) this.#close(entry)
      else this.#profiles.set(key, entry)
    }
    entry.sessions++
    return entry
  }

  release(entry: ProfilePools, nowMs: number): void {
    entry.sessions--
    entry.unusedSinceMs = nowMs
    if (entry.sessions === 0 && entry.profile.exclusiveTo !== null) this.#close(entry)
  }

  setNodes(cluster: Cluster, nodes: readonly Node[]): void {
    for (const entry of this.#profiles.values()) entry.pools[cluster].setNodes(nodes)
  }

  setNodeStatus(cluster: Cluster, hostId: string, isUp: boolean): void {
    for (const entry of this.#profiles.values()) entry.pools[cluster].setNodeStatus(hostId, isUp)
  }

  sweep(nowMs: number): void {
    for (const entry of this.#profiles.values()) {
      for (const pool of entry.pools) pool.sweep()
      if (entry.sessions === 0 && nowMs - entry.unusedSinceMs > PROFILE_LINGER_MS) {
        this.#close(entry)
      }
    }
  }

  closeAll(): void {
    this.#isClosed = true
    for (const entry of [...this.#profiles.values()]) this.#close(entry)
  }

  get size(): number {
    return this.#profiles.size
  }

  #close(entry: ProfilePools): void {
    this.#profiles.delete(entry.key)
    for (const cluster of CLUSTERS) entry.pools[cluster].close()
  }
}
