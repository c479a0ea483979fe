import { expect, test } from 'vitest'
import { configuredContacts } from '../../src/cluster/contacts.ts'

const NAMES: Readonly<Record<string, readonly string[]>> = {
  'seeds.example': ['10.0.0.9', '10.0.0.10', '2001:DB8::1'],
}

test('contact points are looked up in the order of the list, names by their addresses in a fixed order', async () => {
  const resolve = async (name: string): Promise<readonly string[]> => {
    const found = NAMES[name]
    if (found === undefined) throw new Error(`no such name: ${name}`)
    return found
  }
  const list = ['10.0.0.3', 'gone.example', 'seeds.example', '2001:0db8:0::2']
  const contacts = configuredContacts(list, 9042, resolve)
  expect((await contacts.places()).map(({ address }) => address)).toEqual([
    '10.0.0.3',
    '10.0.0.10',
    '10.0.0.9',
    '2001:db8::1',
    '2001:db8::2',
  ])
})
