import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { findPlace } from '../../demo/place.ts'

test('a place has three ports, each free on every address', async () => {
  const addresses = ['127.0.0.1', '127.0.0.1']
  // The same address twice: no port is ever free on both.
  await expect(findPlace(addresses)).rejects.toThrow('EADDRINUSE')
  const place = await findPlace(['127.0.0.1'])
  const ports = [place.port, place.httpPort, place.adminPort]
  expect(new Set(ports).size).toBe(3)
  for (const port of ports) {
    const server = createServer().listen({ host: '127.0.0.1', port, exclusive: true })
    await once(server, 'listening')
    server.close()
  }
})

test('without addresses of their own there is room for one', async () => {
  // Documentation addresses (RFC 5737) are nobody's.
  const place = await findPlace(['192.0.2.1', '192.0.2.2'])
  expect(place.addresses).toEqual(['127.0.0.1'])
})
