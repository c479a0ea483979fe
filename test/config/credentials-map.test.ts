import { describe, expect, test } from 'vitest'
import { parseCredentialsMap } from '../../src/config/credentials-map.ts'

const faultOf = (text: string): string => {
  const parsed = parseCredentialsMap(text)
  return 'fault' in parsed ? parsed.fault : ''
}

describe('a map of users', () => {
  test('has a user of the other cluster for each, in any form of YAML; every scalar is text', () => {
    const text = `
# who is who
unlisted: refuse
users:
  orders: { username: orders_origin, password: 0123 }
  "a b":
    password: "x: #y"
    username: ~
  true: { username: no, password: '*z' }
`
    expect(parseCredentialsMap(text)).toEqual({
      map: {
        unlisted: 'refuse',
        users: new Map([
          ['orders', { username: 'orders_origin', password: '0123' }],
          ['a b', { username: '~', password: 'x: #y' }],
          ['true', { username: 'no', password: '*z' }],
        ]),
      },
    })
  })

  test('lets those whom it does not list be the configured user, unless it says otherwise', () => {
    const both = ['users: {}', 'unlisted: configured\nusers: {}']
    for (const text of both) {
      expect(parseCredentialsMap(text)).toEqual({
        map: { unlisted: 'configured', users: new Map() },
      })
    }
  })
})

const NEEDS_QUOTES = 'that is empty or no text; text that begins with ! & or * needs quotes'

/** S3cret stands where a password may: it is never in what is told. */
const WRONG: readonly (readonly [text: string, fault: string])[] = [
  [
    '',
    'it must have users: with NAME: {username: …, password: …} for each, and unlisted: configured or refuse',
  ],
  [
    'S3cret',
    'it must have users: with NAME: {username: …, password: …} for each, and unlisted: configured or refuse',
  ],
  [
    'unlisted: refuse',
    'line 1: users is missing: users: with NAME: {username: …, password: …} for each, and unlisted: configured or refuse',
  ],
  ['unlisted: S3cret\nusers: {}', 'line 1: unlisted is configured or refuse'],
  [
    'users: S3cret',
    'line 1: users must have an entry NAME: {username: …, password: …} for each user',
  ],
  ['users: {}\nusers: {}', 'line 2: the map has "users" twice'],
  [
    'user:\n  a: { username: u, password: S3cret }',
    'line 1: the map has the key "user", which is not known; did you mean users?',
  ],
  [
    'orders: { username: u, password: S3cret }',
    'line 1: the map has a key that is not known here; there are unlisted and users',
  ],
  ['users:\n  a: S3cret', 'line 2: the entry of "a" must be {username: …, password: …}'],
  ['users:\n  a: { username: u }', 'line 2: the entry of "a" has no password'],
  ['users:\n  a: { password: S3cret }', 'line 2: the entry of "a" has no username'],
  [
    'users:\n  a: { username: "", password: S3cret }',
    `line 2: the entry of "a" has a username ${NEEDS_QUOTES}`,
  ],
  [
    'users:\n  a: { username: u, password: }',
    `line 2: the entry of "a" has a password ${NEEDS_QUOTES}`,
  ],
  [
    'users:\n  a: { username: u, password: !x S3cret }',
    `line 2: the entry of "a" has a password ${NEEDS_QUOTES}`,
  ],
  [
    'users:\n  a: { username: u, password: &x S3cret }',
    `line 2: the entry of "a" has a password ${NEEDS_QUOTES}`,
  ],
  [
    'users:\n  a: { username: u, password: [S3cret] }',
    `line 2: the entry of "a" has a password ${NEEDS_QUOTES}`,
  ],
  [
    'users:\n  a: { username: u, password: "S3cret\\0" }',
    `line 2: the entry of "a" has a password ${NEEDS_QUOTES}`,
  ],
  [
    'users:\n  a:\n    username: u\n    passwrod: S3cret',
    'line 4: the entry of "a" has the key "passwrod", which is not known; did you mean password?',
  ],
  [
    'users:\n  a: { u, S3cret }',
    'line 2: the entry of "a" has a key that is not known here; there are username and password; line 2: the entry of "a" has a key that is not known here; there are username and password',
  ],
  [
    'users:\n  a: { username: u, username: v, password: S3cret }',
    'line 2: the entry of "a" has "username" twice',
  ],
  [
    'users:\n  a: { username: u, password: S3cret }\n  a: { username: u, password: S3cret }',
    'line 3: users has "a" twice',
  ],
  ['users:\n  "": { username: u, password: S3cret }', 'line 2: users has an empty name'],
  [
    'users:\n  a: { username: u, password: "S3cret }',
    'line 2: this is no YAML; text with : # { or quotes needs quotes',
  ],
  ['users: {}\n---\nusers: {}', 'it must be one YAML document, not several'],
]

describe('a map that is wrong', () => {
  test.each(WRONG)('%j: %s', (text, fault) => {
    expect(faultOf(text)).toBe(fault)
    expect(faultOf(text)).not.toContain('S3cret')
  })

  test('tells the first ten faults, and how many more there are', () => {
    const entries = Array.from({ length: 12 }, (_, i) => `  u${i}: x\n`).join('')
    const fault = faultOf(`users:\n${entries}`)
    expect(fault.split('; ')).toHaveLength(11)
    expect(fault).toMatch(/; and 2 more$/)
  })
})
