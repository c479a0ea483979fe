/**
 * What SUPPORTED tells clients, made of what both clusters' own SUPPORTED said (request-path §1.7):
 * Target's options, except where a client acts on the answer and both clusters must be able to follow.
 * Pure.
 */
import { isDseVersion, SUPPORTED_VERSIONS, Version, versionLabel } from '../cql/protocol.ts'

export type SupportedOptions = ReadonlyMap<string, readonly string[]>

export type OfferingCluster = {
  readonly supported: SupportedOptions
  /** The protocol version that its control connection has negotiated. */
  readonly version: Version
}

const COMPRESSION = 'COMPRESSION'
const CQL_VERSION = 'CQL_VERSION'
const PROTOCOL_VERSIONS = 'PROTOCOL_VERSIONS'

/** A part that is no number counts as its digits in front: `6-SNAPSHOT` as 6. */
const partsOf = (release: string): number[] =>
  release.split('.').map((part) => Number.parseInt(part, 10) || 0)

/** `3.4.6` before `3.4.10`: by numbers, part by part. */
export const compareReleases = (a: string, b: string): number => {
  const [left, right] = [partsOf(a), partsOf(b)]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** A statement runs on both clusters, so it must not be newer than the older of the two. */
const lowerCqlVersions = (
  origin: readonly string[],
  target: readonly string[],
): readonly string[] =>
  [origin, target]
    .filter((versions) => versions[0] !== undefined)
    .sort((a, b) => compareReleases(a[0]!, b[0]!))[0] ?? []

/**
 * Up to what was negotiated, and what the cluster itself says where it says so: it may have given up
 * old versions too. Its entries look like `4/v4` or `5/v5-beta`.
 */
const speaks = ({ supported, version: versionMax }: OfferingCluster, version: Version): boolean => {
  const listed = supported.get(PROTOCOL_VERSIONS)?.map((entry) => Number.parseInt(entry, 10))
  if (version > versionMax || listed?.includes(version) === false) return false
  if (listed !== undefined) return true
  // A cluster that lists nothing is old: DSE with v4 and below next to its own versions, which are
  // numbered above v5, or Cassandra before it listed versions and without anybody who asks for v2.
  if (isDseVersion(versionMax) && version === Version.V5) return false
  return version !== Version.V2 || versionMax === Version.V2
}

const isSpokenByBoth = (
  origin: OfferingCluster,
  target: OfferingCluster,
  version: Version,
): boolean => speaks(origin, version) && speaks(target, version)

/**
 * The version of errors to clients whose own version is refused. Some drivers take it for the one to use
 * next (gocql does), so it is one that both clusters speak, that is not blocked, and that not only DSE's
 * drivers know; where there is none, the lower one of the two control connections.
 */
export const errorVersion = (
  origin: OfferingCluster,
  target: OfferingCluster,
  blocked: readonly number[],
): Version =>
  SUPPORTED_VERSIONS.find(
    (version) =>
      !isDseVersion(version) &&
      !blocked.includes(version) &&
      isSpokenByBoth(origin, target, version),
  ) ?? (origin.version < target.version ? origin.version : target.version)

/**
 * `spokenCompressions` are the algorithms that the proxy itself understands; what is offered are those
 * of them that both clusters have, in Origin's order. Where Origin does not say which it has, neither
 * does the answer. `blockedVersions` are those that clients may not use.
 */
export const offeredOptions = (
  origin: OfferingCluster,
  target: OfferingCluster,
  spokenCompressions: readonly string[],
  blockedVersions: readonly number[] = [],
): SupportedOptions => {
  const compressions = origin.supported.get(COMPRESSION)
  const targetCompressions = target.supported.get(COMPRESSION) ?? []
  const cqlVersions = lowerCqlVersions(
    origin.supported.get(CQL_VERSION) ?? [],
    target.supported.get(CQL_VERSION) ?? [],
  )
  const options = new Map(target.supported)
  if (compressions === undefined) options.delete(COMPRESSION)
  else {
    const isSpoken = (name: string): boolean =>
      targetCompressions.includes(name) && spokenCompressions.includes(name)
    options.set(COMPRESSION, compressions.filter(isSpoken))
  }
  options.set(
    PROTOCOL_VERSIONS,
    SUPPORTED_VERSIONS.filter(
      (version) => !blockedVersions.includes(version) && isSpokenByBoth(origin, target, version),
    )
      .map(versionLabel)
      .reverse(),
  )
  if (cqlVersions.length > 0) options.set(CQL_VERSION, cqlVersions)
  return options
}
