import { describe, expect, test } from 'vitest'
import { Version, versionTraits } from '../../src/cql/protocol.ts'
import { type Profile, profileKey } from '../../src/upstream/profile.ts'

const profile = (changes: Partial<Profile> = {}): Profile => ({
  traits: versionTraits(Version.V4)!,
  startupOptions: new Map([
    ['CQL_VERSION', '3.0.0'],
    ['DRIVER_NAME', 'a driver'],
    ['CLIENT_ID', 'one'],
  ]),
  credentials: [{ username: 'u', password: 'p' }, null],
  keyspace: 'ks',
  exclusiveTo: null,
  ...changes,
})

const options = (...entries: [string, string][]): Pick<Profile, 'startupOptions'> => ({
  startupOptions: new Map(entries),
})

const credentials = (changes: {
  username?: string
  password?: string
  authorizationId?: string
}): Pick<Profile, 'credentials'> => ({
  credentials: [{ username: 'u', password: 'p', ...changes }, null],
})

const BASE: readonly [string, string][] = [
  ['CQL_VERSION', '3.0.0'],
  ['DRIVER_NAME', 'a driver'],
]

describe('connections are shared', () => {
  test.each<[string, Partial<Profile>]>([
    ['by equal profiles', {}],
    ['without the client id', options(...BASE)],
    ['with another client id', options(...BASE, ['CLIENT_ID', 'two'])],
    ['in another spelling of it', options(...BASE, ['client_id', 'two'])],
    ['with an application name', options(...BASE, ['APPLICATION_NAME', 'x'])],
    ['with an application version', options(...BASE, ['APPLICATION_VERSION', '1'])],
    ['with the options in another order', options(BASE[1]!, BASE[0]!)],
    ['with an empty authorization id', credentials({ authorizationId: '' })],
  ])('%s', (_name, changes) => {
    expect(profileKey(profile(changes))).toBe(profileKey(profile()))
  })
})

describe('connections are not shared', () => {
  test.each<[string, Partial<Profile>]>([
    ['in another version', { traits: versionTraits(Version.V5)! }],
    ['with another driver', options(['CQL_VERSION', '3.0.0'], ['DRIVER_NAME', 'b'])],
    ['with a compression', options(...BASE, ['COMPRESSION', 'lz4'])],
    ['with an option that nobody knows', options(...BASE, ['NEW_OPTION', 'x'])],
    ['with another user name', credentials({ username: 'v' })],
    ['with another password', credentials({ password: 'q' })],
    ['with an authorization id', credentials({ authorizationId: 'role' })],
    ['with the name and the password cut elsewhere', credentials({ username: 'up', password: '' })],
    ['without credentials', { credentials: [null, null] }],
    [
      'with the credentials of the other cluster',
      { credentials: [null, profile().credentials[0]] },
    ],
    ['in another keyspace', { keyspace: 'KS' }],
    ['in no keyspace', { keyspace: null }],
    ['with a session of its own', { exclusiveTo: 0 }],
  ])('%s', (_name, changes) => {
    expect(profileKey(profile(changes))).not.toBe(profileKey(profile()))
  })

  test('by two sessions of their own', () => {
    expect(profileKey(profile({ exclusiveTo: 1 }))).not.toBe(
      profileKey(profile({ exclusiveTo: 2 })),
    )
  })
})

test('a key shows nothing of the credentials', () => {
  expect(profileKey(profile())).toMatch(/^[0-9a-f]{64}$/)
})
