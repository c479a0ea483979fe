import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**'],
          // Waiting for what must happen is bounded by the test's own time, also on a busy machine.
          expect: { poll: { interval: 10, timeout: 60_000 } },
          testTimeout: 60_000,
          // One less, which is the default, is one on two cores; and group 0 with one worker is run last.
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/real-clusters.ts'],
          testTimeout: 60_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          // After the unit tests: a clock that two Cassandras slow down makes bad neighbours.
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
