import { describe, expect, test } from 'vitest'
import { resolveAdvertised } from '../../src/reach/advertised-addresses.ts'

const NAMES: Readonly<Record<string, readonly string[]>> = {
  'p0.example': ['10.0.0.7', '10.0.0.10', '10.0.0.9'],
  'p1.example': ['fd00::2', '10.0.0.8'],
  'p2.example': ['fd00::3', 'fd00::1'],
  'alias.example': ['10.0.0.8'],
  'empty.example': [],
  'any.example': ['0.0.0.0', '::'],
}

const resolve = (name: string): Promise<readonly string[]> =>
  name in NAMES ? Promise.resolve(NAMES[name]!) : Promise.reject(new Error('ENOTFOUND'))

describe('resolveAdvertised', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['fd00::9', 'fd00::9'],
    ['p0.example', '10.0.0.10'],
    ['p1.example', '10.0.0.8'],
    ['p2.example', 'fd00::1'],
  ])('%s is %s, in whichever order DNS answers', async (given, address) => {
    expect(await resolveAdvertised([given], resolve)).toEqual([{ given, address }])
    const reversed = async (name: string): Promise<readonly string[]> =>
      [...(await resolve(name))].reverse()
    expect(await resolveAdvertised([given], reversed)).toEqual([{ given, address }])
  })

  test('keeps the order of the list', async () => {
    const list = ['p1.example', '10.0.0.1', 'p0.example']
    const resolved = await resolveAdvertised(list, resolve)
    expect(resolved.map(({ given }) => given)).toEqual(list)
  })

  test.each([
    [['nobody.example'], /"nobody.example" cannot be resolved: ENOTFOUND; correct the name/],
    [['empty.example'], /"empty.example" has no address/],
    [['any.example'], /"any.example" has no address that others can connect to/],
    [['p1.example', 'alias.example'], /"p1.example" and "alias.example" are both 10.0.0.8/],
    [['10.0.0.8', 'p1.example'], /"10.0.0.8" and "p1.example" are both 10.0.0.8/],
  ])('%j is refused: %s', async (list, message) => {
    await expect(resolveAdvertised(list, resolve)).rejects.toThrow(message)
  })
})
