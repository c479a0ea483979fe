/**
 * Who uses this proxy: its client connections, grouped by what tells applications apart. Texts that clients have
 * sent are shown cut and without control characters: they end in terminals. Pure.
 */
import type { ClientGroup, ClientGroups, ClientSelection } from '../control/report.ts'
import type { Profile } from '../upstream/profile.ts'
import { addressOf } from './address-counts.ts'

/** Of one instance; the connections of the rest are counted. */
export const CLIENT_GROUPS_MAX = 500
const TEXT_LENGTH_MAX = 100
const MS_PER_SECOND = 1000
/** Control and format characters, which move cursors and turn text round, and what is no character. */
const UNSHOWABLE = /[\p{C}\p{Zl}\p{Zp}]/gu

/** What of a client connection is looked at: a Session, as a rule. */
export type ClientView = {
  readonly transport: { readonly peer: string }
  readonly user: string
  readonly profile: { readonly profile: Pick<Profile, 'startupOptions'> } | null
  readonly traits: { readonly version: number } | null
  readonly inFlight: number
  readonly acceptedAtMs: number
  readonly lastReadAtMs: number
}

/** A client's text as it may be shown. */
export const shown = (text: string): string => {
  const cut = text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX - 1)}…` : text
  return cut.replaceAll(UNSHOWABLE, '\ufffd')
}

const seconds = (ms: number): number => Math.max(0, Math.floor(ms / MS_PER_SECOND))

/** `nowMs`: of the clock that the clients' own times are from. */
const groupOf = (client: ClientView, nowMs: number): ClientGroup => {
  const options = client.profile?.profile.startupOptions
  return {
    address: addressOf(client.transport.peer),
    user: client.user,
    driverName: options?.get('DRIVER_NAME') ?? '',
    driverVersion: options?.get('DRIVER_VERSION') ?? '',
    applicationName: options?.get('APPLICATION_NAME') ?? '',
    applicationVersion: options?.get('APPLICATION_VERSION') ?? '',
    protocolVersion: client.traits?.version ?? null,
    connections: 1,
    inFlight: client.inFlight,
    oldestSeconds: seconds(nowMs - client.acceptedAtMs),
    idleSeconds: seconds(nowMs - client.lastReadAtMs),
  }
}

const keyOf = (group: ClientGroup): string => {
  const { address, user, driverName, driverVersion, applicationName, applicationVersion } = group
  const texts = [address, user, driverName, driverVersion, applicationName, applicationVersion]
  return JSON.stringify([...texts, group.protocolVersion])
}

const together = (a: ClientGroup, b: ClientGroup): ClientGroup => ({
  ...a,
  connections: a.connections + b.connections,
  inFlight: a.inFlight + b.inFlight,
  oldestSeconds: Math.max(a.oldestSeconds, b.oldestSeconds),
  idleSeconds: Math.min(a.idleSeconds, b.idleSeconds),
})

const merged = (all: Iterable<ClientGroup>): ClientGroup[] => {
  const groups = new Map<string, ClientGroup>()
  for (const one of all) {
    const key = keyOf(one)
    const known = groups.get(key)
    groups.set(key, known === undefined ? one : together(known, one))
  }
  return [...groups.values()]
}

const showable = (group: ClientGroup): ClientGroup => ({
  ...group,
  user: shown(group.user),
  driverName: shown(group.driverName),
  driverVersion: shown(group.driverVersion),
  applicationName: shown(group.applicationName),
  applicationVersion: shown(group.applicationVersion),
})

const connectionsOf = (groups: readonly ClientGroup[]): number =>
  groups.reduce((sum, { connections }) => sum + connections, 0)

const bounded = (groups: readonly ClientGroup[], unlistedBefore: number): ClientGroups => {
  const sorted = groups.toSorted((a, b) => b.connections - a.connections)
  return {
    groups: sorted.slice(0, CLIENT_GROUPS_MAX),
    unlistedConnections: unlistedBefore + connectionsOf(sorted.slice(CLIENT_GROUPS_MAX)),
  }
}

/** The clients of one data plane. */
export const groupClients = (clients: Iterable<ClientView>, nowMs: number): ClientGroups => {
  const each = Iterator.from(clients).map((client) => groupOf(client, nowMs))
  const { groups, unlistedConnections } = bounded(merged(each), 0)
  return { groups: groups.map(showable), unlistedConnections }
}

/** Those of all data planes. */
export const mergeGroups = (planes: readonly ClientGroups[]): ClientGroups => {
  const unlisted = planes.reduce((sum, { unlistedConnections }) => sum + unlistedConnections, 0)
  return bounded(merged(planes.flatMap(({ groups }) => groups)), unlisted)
}

/** Whether it is one of those: by address, and by user name as it is shown where one is given. */
export const isSelected = (client: ClientView, { address, user }: ClientSelection): boolean =>
  addressOf(client.transport.peer) === address &&
  (user === null || client.user === user || shown(client.user) === user)
