/**
 * What SUPPORTED tells clients, made of what both clusters' own SUPPORTED said (request-path §1.7):
 * Target's options, except where a client acts on the answer and both clusters must be able to follow.
 * Pure.
 */
import { SUPPORTED_VERSIONS, type Version } from '../cql/protocol.ts'

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
const compareReleases = (a: string, b: string): number => {
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
  return version <= versionMax && (listed === undefined || listed.includes(version))
}

/**
 * `spokenCompressions` are the algorithms that the proxy itself understands; what is offered are those
 * of them that both clusters have, in Origin's order. Where Origin does not say which it has, neither
 * does the answer.
 */
export const offeredOptions = (
  origin: OfferingCluster,
  target: OfferingCluster,
  spokenCompressions: readonly string[],
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
    SUPPORTED_VERSIONS.filter((version) => speaks(origin, version) && speaks(target, version))
      .map((version) => `${version}/v${version}`)
      .reverse(),
  )
  if (cqlVersions.length > 0) options.set(CQL_VERSION, cqlVersions)
  return options
}
