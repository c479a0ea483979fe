import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { candidateAddresses, NATIVE_PORT, takeLoopbackPlace } from '../../clusters/loopback.ts'

/** Far from where runs usually look, so that clusters which run meanwhile are not met. */
const CANDIDATES = ['127.77.1.2', '127.77.1.3', '127.77.1.4']

describe('candidate addresses', () => {
  test.each([0, 100, 252, 254])('every one once, from number %i on', (start) => {
    const addresses = candidateAddresses(start)
    expect(new Set(addresses).size).toBe(253)
    expect(addresses.every((address) => /^127\.0\.0\.\d+$/.test(address))).toBe(true)
    expect(addresses).not.toContain('127.0.0.1')
    expect(addresses).not.toContain('127.0.0.255')
  })
})

// Elsewhere 127.0.0.1 is all that loopback has.
if (process.platform === 'linux') {
  describe('a place on loopback', () => {
    test('belongs to one run until it is released', async () => {
      const first = await takeLoopbackPlace(2, CANDIDATES)
      expect(first.addresses).toEqual(['127.77.1.2', '127.77.1.3'])
      const second = await takeLoopbackPlace(1, CANDIDATES)
      expect(second.addresses).toEqual(['127.77.1.4'])
      await first.release()
      const third = await takeLoopbackPlace(1, CANDIDATES)
      expect(third.addresses).toEqual(['127.77.1.2'])
      await Promise.all([second.release(), third.release()])
    })

    test('is not where somebody listens for CQL clients', async () => {
      const other = createServer().listen({ host: '127.77.1.2', port: NATIVE_PORT })
      await once(other, 'listening')
      const place = await takeLoopbackPlace(1, CANDIDATES)
      expect(place.addresses).toEqual(['127.77.1.3'])
      await place.release()
      other.close()
      await once(other, 'close')
    })

    test('that is too small for all nodes is given back whole', async () => {
      await expect(takeLoopbackPlace(4, CANDIDATES)).rejects.toMatchObject({
        code: 'NO_FREE_ADDRESS',
        message: expect.stringContaining('3 found'),
      })
      const place = await takeLoopbackPlace(3, CANDIDATES)
      expect(place.addresses).toEqual(CANDIDATES)
      await place.release()
    })

    test('without addresses of its own, a single node gets free ports on 127.0.0.1', async () => {
      const place = await takeLoopbackPlace(1, [])
      expect(place.addresses).toEqual(['127.0.0.1'])
      expect(place.nativePort).not.toBe(place.storagePort)
      for (const port of [place.nativePort, place.storagePort]) expect(port).toBeGreaterThan(1023)
      await place.release()
    })
  })
}
