/** How long the connections for copies of reads stay. */
import { expect, test } from 'vitest'
import { COPY_POOLS_LINGER_MS } from '../../src/async/copy-pools.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { eventually, startPlane } from '../support/plane.ts'

const READ = 'SELECT v FROM ks.t WHERE k = 1'

test('clients that come back to a profile keep its connections for copies', async () => {
  const clock = new FakeClock()
  const rig = await startPlane({ clock, settings: { readMode: 'DUAL_ASYNC_ON_SECONDARY' } })
  const connections = (): number =>
    rig.series().asyncReads.nodes.reduce((sum, node) => sum + node.connections, 0)
  const first = await rig.client()
  await eventually(() => connections() === 1)
  await first.close()
  await eventually(() => rig.series().clientConnections === 0)
  // Nobody uses the profile when this is swept.
  clock.advance(500)
  const second = await rig.client()
  await second.query(READ)
  for (let ms = 0; ms <= 2 * COPY_POOLS_LINGER_MS; ms += 1000) clock.advance(1000)
  await second.query(READ)
  expect(rig.series().asyncReads.dropped.noConnection).toBe(0)
  expect(connections()).toBe(1)
})
