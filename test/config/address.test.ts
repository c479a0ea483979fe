import { describe, expect, test } from 'vitest'
import {
  canonicalAddress,
  hasPort,
  isAnyAddress,
  isHostName,
  isPlainIp,
  withoutBrackets,
} from '../../src/config/address.ts'

describe('isHostName', () => {
  test.each([
    'a',
    'node1',
    'Node-1.Example.com',
    'a.',
    'cassandra_old',
    '1a',
    '10.0.0.a',
    'x'.repeat(63),
  ])('takes %s', (text) => {
    expect(isHostName(text)).toBe(true)
  })

  test.each([
    '',
    '.',
    'a..b',
    '-a',
    'a-',
    'a b',
    'a:1',
    '10.0.0.1',
    '10',
    'bücher.de',
    'x'.repeat(64),
    `${'ab.'.repeat(84)}abc`,
  ])('does not take %j', (text) => {
    expect(isHostName(text)).toBe(false)
  })
})

test.each([
  ['10.0.0.1', true],
  ['::1', true],
  ['::ffff:10.0.0.1', true],
  ['[::1]', false],
  ['fe80::1%eth0', false],
  ['10.0.0.256', false],
  ['a', false],
])('%s is a plain IP address: %s', (text, expected) => {
  expect(isPlainIp(text)).toBe(expected)
})

test.each([
  ['[::1]', '::1'],
  ['::1', '::1'],
  ['[10.0.0.1]', '[10.0.0.1]'],
  ['[a]', '[a]'],
])('without its brackets %s is %s', (text, expected) => {
  expect(withoutBrackets(text)).toBe(expected)
})

test.each([
  ['a:1', true],
  ['10.0.0.1:9042', true],
  ['[::1]:9042', true],
  ['::1', false],
  ['2001:db8::9042', false],
  ['a', false],
  ['a:', false],
])('%s has a port: %s', (text, expected) => {
  expect(hasPort(text)).toBe(expected)
})

test.each([
  ['NODE1.example.com.', 'node1.example.com'],
  ['LOCALHOST', '127.0.0.1'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['fe80::1%ETH0', 'fe80::1%eth0'],
  ['10.0.0.1', '10.0.0.1'],
])('%s is the same as %s', (text, expected) => {
  expect(canonicalAddress(text)).toBe(expected)
})

test.each([
  ['0.0.0.0', true],
  ['::', true],
  ['0:0:0:0:0:0:0:0', true],
  ['::ffff:0.0.0.0', true],
  ['127.0.0.1', false],
  ['::1', false],
  ['localhost', false],
])('%s is any address: %s', (text, expected) => {
  expect(isAnyAddress(text)).toBe(expected)
})
