import { describe, expect, test } from 'vitest'
import { decodePlainToken, encodePlainToken, isMechanismChoice } from '../../src/upstream/sasl.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (token: Uint8Array): string => new TextDecoder().decode(token)

describe('encodePlainToken', () => {
  test.each([
    [{ username: 'u', password: 'p' }, '\0u\0p'],
    [{ username: 'u', password: 'p', authorizationId: 'other' }, 'other\0u\0p'],
    [{ username: '', password: '' }, '\0\0'],
    [{ username: 'Jürgen', password: 'pässwörd€' }, '\0Jürgen\0pässwörd€'],
  ])('%j', (credentials, token) => {
    expect(text(encodePlainToken(credentials))).toBe(token)
  })
})

describe('decodePlainToken', () => {
  test.each([
    ['\0u\0p', { username: 'u', password: 'p' }],
    ['other\0u\0p', { username: 'u', password: 'p', authorizationId: 'other' }],
    ['\0\0', { username: '', password: '' }],
    ['\0u\0p\0further parts are ignored', { username: 'u', password: 'p' }],
    ['\0Jürgen\0€', { username: 'Jürgen', password: '€' }],
    ['\uFEFFbom\0u\0p', { username: 'u', password: 'p', authorizationId: '\uFEFFbom' }],
    ['', null],
    ['PLAIN', null],
    ['u\0p', null],
  ])('%j', (token, credentials) => {
    expect(decodePlainToken(bytes(token))).toEqual(credentials)
  })

  test('undoes encodePlainToken', () => {
    const credentials = { username: 'user', password: 'pass word', authorizationId: 'role' }
    expect(decodePlainToken(encodePlainToken(credentials))).toEqual(credentials)
  })
})

describe('isMechanismChoice', () => {
  test.each([
    [null, true],
    [bytes('PLAIN'), true],
    [bytes('PLAIM'), false],
    [bytes('PLAIN-START'), false],
    [bytes('\0u\0p'), false],
    [bytes(''), false],
  ])('%j: %s', (token, expected) => {
    expect(isMechanismChoice(token)).toBe(expected)
  })
})
