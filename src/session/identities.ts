/**
 * As whom the proxy signs in to the cluster that does not get the client's own credentials (request-path
 * §9.1, operations §11 S3). Pure.
 */
import type { Cluster } from '../routing/cluster.ts'
import { clusterName } from '../routing/cluster.ts'
import { ClusterError, ClusterErrorCode } from '../upstream/errors.ts'
import type { Credentials } from '../upstream/profile.ts'

/** Users of the other cluster for users of clients (credentials_map). */
export type CredentialsMap = {
  /** For a client whose user is not in it: the proxy's own user, or none. */
  readonly unlisted: 'configured' | 'refuse'
  /** By the name that the client signs in with, whatever authorization id it adds. */
  readonly users: ReadonlyMap<string, Credentials>
}

export type Identity = {
  readonly credentials: Credentials
  /** client: its own. configured: the proxy's. mapped: those of the client's entry in the map. */
  readonly whose: 'client' | 'configured' | 'mapped'
}

/** Null: there is nobody that the proxy could be for this client. */
export const identityFor = (
  username: string,
  map: CredentialsMap | null,
  configured: Credentials | null,
): Identity | null => {
  const mapped = map?.users.get(username)
  if (mapped !== undefined) return { credentials: mapped, whose: 'mapped' }
  if (configured === null || map?.unlisted === 'refuse') return null
  return { credentials: configured, whose: 'configured' }
}

/** Why there is nobody, and what to do. `client` is null where it has not said who it is. */
export const nobodyError = (
  cluster: Cluster,
  client: Credentials | null,
  map: CredentialsMap | null,
): ClusterError => {
  if (client !== null && map?.unlisted === 'refuse') {
    const text = `user ${JSON.stringify(client.username)} has no entry in the proxy's map of users (credentials_map_path), which refuses whom it does not list; add one`
    return new ClusterError(ClusterErrorCode.NOT_MAPPED, cluster, text)
  }
  const name = clusterName(cluster).toLowerCase()
  const text = `the proxy has no credentials for it: set ${name}_username and ${name}_password`
  return new ClusterError(ClusterErrorCode.AUTHENTICATION, cluster, text)
}

/** Whose credentials a cluster has refused: two users are involved, and only one is the client's. */
export const whoseText = ({ whose }: Identity, cluster: Cluster): string => {
  const name = clusterName(cluster)
  const setting = name.toLowerCase()
  switch (whose) {
    case 'client':
      return `these are the application's, which must be those of a user of ${name}`
    case 'configured':
      return `these are ${setting}_username and ${setting}_password of the proxy's settings, not the application's`
    case 'mapped':
      return "these are of the entry of the application's user in the proxy's map of users (credentials_map_path), not the application's"
  }
}
