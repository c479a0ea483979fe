import { beforeAll, describe, expect, test } from 'vitest'
import { checkHolds, parseRevocation, type Revocation } from '../../src/certificates/crl.ts'
import { parseCertificates } from '../../src/certificates/pem.ts'
import { Authority } from '../support/certificates.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const FILES = {
  crl: { setting: 'proxy_tls_crl_path', path: '/crl.pem' },
  authority: { setting: 'proxy_tls_ca_path', path: '/ca.pem' },
}

let root: Authority
let other: Authority
let intermediate: Authority

beforeAll(async () => {
  root = await Authority.create('Root')
  other = await Authority.create('Other')
  intermediate = await root.intermediate()
})

const parse = (text: string, ...authorities: readonly Authority[]): Revocation => {
  const pem = authorities.map(({ certificate }) => certificate).join('\n')
  return parseRevocation(text, parseCertificates(pem, FILES.authority), FILES)
}

const inDays = (ms: number | null): number | null =>
  ms === null ? null : Math.round((ms - Date.now()) / DAY_MS)

describe('revocation lists', () => {
  test('are all of the file, and hold until the first one expires', async () => {
    const lists = [await root.crl({ days: 30 }), await intermediate.crl({ days: 7, sinceDays: 1 })]
    const found = parse(`A comment.\n${lists.join('\n')}`, root)
    expect(found.lists).toHaveLength(2)
    expect([found.expiresAtMs, found.warnFromMs].map(inDays)).toEqual([7, 5])
    expect(found.uncovered).toEqual([])
  })

  test('of one issuer are one: the one that holds longest', async () => {
    const found = parse(`${await root.crl({ days: -1 })}${await root.crl({ days: 20 })}`, root)
    expect([found.lists.length, inDays(found.expiresAtMs)]).toEqual([1, 20])
  })

  test('may have no end', async () => {
    const found = parse(await root.crl({ days: null }), root)
    expect([found.expiresAtMs, found.warnFromMs]).toEqual([null, null])
    expect(() => checkHolds(found, Date.now())).not.toThrow()
  })

  test('may be in the label of older tools', async () => {
    const text = (await root.crl()).replaceAll('X509 CRL', 'CRL')
    expect(parse(text, root).lists[0]).toMatch(/^-----BEGIN X509 CRL-----\n/)
  })

  test('may be years ahead: beyond 2049 times are written otherwise', async () => {
    const days = 40 * 365
    expect(inDays(parse(await root.crl({ days }), root).expiresAtMs)).toBe(days)
  })

  test('that are missing of one of the authorities are told', async () => {
    expect(parse(await root.crl(), root, other).uncovered).toEqual(['CN=Other'])
  })
})

describe('is refused, with the way out:', () => {
  test.each<[string, () => Promise<string>, () => readonly Authority[], string]>([
    ['no list', async () => root.certificate, () => [root], 'holds no revocation list (X509 CRL)'],
    [
      'a damaged list',
      async () => (await root.crl()).replace(/\n[A-Za-z0-9+/]{24}/, '\n'),
      () => [root],
      ': list 1 cannot be read: ',
    ],
    [
      "another authority's list",
      () => other.crl(),
      () => [root],
      "holds no revocation list of CN=Root in /ca.pem (proxy_tls_ca_path): every certificate would be refused; add the list of each authority, the root's too",
    ],
    [
      'a list with a forged name',
      async () => (await Authority.create('Root')).crl(),
      () => [root],
      'holds no revocation list of CN=Root',
    ],
    [
      'a list for an authority that is no root',
      () => intermediate.crl(),
      () => [intermediate],
      'needs the root beside CN=Test Intermediate in /ca.pem (proxy_tls_ca_path): revocation is checked up to a root',
    ],
  ])('%s', async (_, text, authorities, expected) => {
    const list = await text()
    expect(() => parse(list, ...authorities())).toThrow(/^proxy_tls_crl_path: \/crl.pem /)
    expect(() => parse(list, ...authorities())).toThrow(expected)
  })

  test.each([
    ['has expired', { days: -1, sinceDays: 5 }, 'that has expired on 20'],
    ['is not valid yet', { days: 9, sinceDays: -2 }, 'that is not valid before 20'],
  ])('a list that %s', async (_, options, text) => {
    const found = parse(await root.crl(options), root)
    expect(() => checkHolds(found, Date.now())).toThrow(text)
    expect(() => checkHolds(found, Date.now())).toThrow(
      'with it every certificate would be refused',
    )
  })
})
