import { type Zippable, zipSync } from 'fflate'
import { describe, expect, test } from 'vitest'
import { readBundle } from '../../src/certificates/bundle.ts'

const FILE = { setting: 'origin_secure_connect_bundle_path', path: '/bundle.zip' }
const CONFIGURATION = { host: 'db.example', port: 29_080, username: 'u', password: 'p' }

const zip = (entries: Readonly<Record<string, string>>): Uint8Array =>
  zipSync(
    Object.fromEntries(
      Object.entries(entries).map(([name, text]) => [name, Buffer.from(text)]),
    ) satisfies Zippable,
  )

const bundle = (entries: Readonly<Record<string, string>>) => readBundle(zip(entries), FILE)

describe('a bundle', () => {
  test('has the address of the metadata service and what a connection to it needs', () => {
    const found = bundle({
      'config.json': JSON.stringify(CONFIGURATION),
      'ca.crt': 'authority',
      cert: 'certificate',
      key: 'key',
      cqlshrc: 'ignored',
      'elsewhere/key': 'ignored',
    })
    const texts = { authority: 'authority', certificate: 'certificate', key: 'key' }
    expect(found).toEqual({ host: 'db.example', port: 29_080, ...texts })
  })

  test('may have its port as text, and no certificates', () => {
    const found = bundle({ 'config.json': JSON.stringify({ ...CONFIGURATION, port: '443' }) })
    const none = { authority: null, certificate: null, key: null }
    expect(found).toEqual({ host: 'db.example', port: 443, ...none })
  })

  test.each<[string, Readonly<Record<string, string>>, string]>([
    ['config.json', { cert: 'c', key: 'k' }, 'it has no config.json'],
    ['JSON', { 'config.json': '{' }, 'config.json in it is not JSON'],
    ['an object', { 'config.json': 'null' }, 'config.json in it has no host'],
    ['a host', { 'config.json': '{"host":"","port":1}' }, 'config.json in it has no host'],
    ['a port', { 'config.json': '{"host":"h"}' }, 'config.json in it has no port'],
    ['a sound port', { 'config.json': '{"host":"h","port":"70000"}' }, 'has no port from 1'],
    ['an empty port', { 'config.json': '{"host":"h","port":""}' }, 'has no port from 1'],
    [
      'a key',
      { 'config.json': JSON.stringify(CONFIGURATION), cert: 'c' },
      'has an entry cert but no key',
    ],
    [
      'a certificate',
      { 'config.json': JSON.stringify(CONFIGURATION), key: 'k' },
      'has an entry key but no cert',
    ],
    [
      'a sensible size',
      { 'config.json': JSON.stringify(CONFIGURATION), 'ca.crt': 'x'.repeat(1024 * 1024 + 1) },
      'holds an entry ca.crt above 1 MiB',
    ],
  ])('without %s is refused', (_, entries, text) => {
    expect(() => bundle(entries)).toThrow(text)
    expect(() => bundle(entries)).toThrow(/^origin_secure_connect_bundle_path: \/bundle.zip/)
  })

  test.each([
    ['no zip', Buffer.from('this is no zip')],
    ['nothing', Buffer.alloc(0)],
    ['a zip that was cut off', zip({ 'config.json': JSON.stringify(CONFIGURATION) }).slice(0, 60)],
  ])('that is %s is refused', (_, bytes) => {
    expect(() => readBundle(bytes, FILE)).toThrow('the zip cannot be read')
  })
})
