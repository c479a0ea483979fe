import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { MigrationState } from '../../src/control/migration-state.ts'
import {
  FileStateStore,
  parseStateFile,
  readStateFile,
  renderStateFile,
} from '../../src/control/state-store.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { START, stateIn } from './instances.ts'

const newPath = (): string => join(temporaryDirectory(), 'state.json')

const STATE = stateIn('target-reads', {
  revision: 7,
  rolledBackFrom: 'cut-over',
  reason: 'Grüße "x"',
})

describe('the state file', () => {
  test('gives back what was committed, not what was staged or discarded', () => {
    const path = newPath()
    expect(readStateFile(path)).toBeNull()
    const store = new FileStateStore(path)
    store.stage(STATE)
    expect(readStateFile(path)).toBeNull()
    store.commit()
    expect(readStateFile(path)).toEqual(STATE)
    store.stage({ ...STATE, revision: 8 })
    expect(readStateFile(path)).toEqual(STATE)
    store.discard()
    expect(readStateFile(path)).toEqual(STATE)
    expect(() => store.commit()).toThrow('routing_state_path')
  })

  test.each([
    ['target_only', { originLacks: { since: START, until: null }, targetLacks: null }],
    ['origin_only', { originLacks: null, targetLacks: { since: START, until: null } }],
    ['both', { originLacks: null, targetLacks: null }],
  ] as const)('of an older release tells what it can tell: %s', (writeMode, known) => {
    const state = stateIn('target-reads', { rolledBackFrom: 'cut-over' })
    const {
      comparisonBegunAt: _,
      originLacks: __,
      targetLacks: ___,
      cutOverAt: ____,
      ...rest
    } = {
      ...state,
      routing: { ...state.routing, writeMode },
    }
    // What it had been written by has no more fields.
    const text = renderStateFile(rest as MigrationState)
    expect(parseStateFile(text)).toMatchObject({ ...rest, ...known, cutOverAt: START })
  })

  test('cannot be written where there is no directory, and says so', () => {
    const store = new FileStateStore(join(newPath(), 'nowhere', 'state.json'))
    expect(() => store.stage(STATE)).toThrow(/cannot be written: ENOENT/)
  })

  test('that cannot be replaced is found out before anything has changed', () => {
    const path = newPath()
    mkdirSync(path)
    expect(() => new FileStateStore(path).stage(STATE)).toThrow(/cannot be written: EISDIR/)
  })

  test('is said to be unwritable beforehand, and nothing is written for that', async () => {
    const path = newPath()
    expect(await new FileStateStore(path).writeFault()).toBeNull()
    expect(existsSync(path)).toBe(false)
    const nowhere = new FileStateStore(join(path, 'nowhere', 'state.json'))
    expect(await nowhere.writeFault()).toMatch(/state file .* cannot be written: ENOENT/)
    mkdirSync(path)
    expect(await new FileStateStore(path).writeFault()).toContain('is a directory')
  })

  test.each([
    ['empty', ''],
    ['no object', '7'],
    ['of a later release', renderStateFile(STATE).replace('"version": 1', '"version": 2')],
    ['changed by hand', renderStateFile(STATE).replace('"TARGET"', '"ORIGIN"')],
    ['with a phase that nobody knows', renderStateFile(STATE).replace('target-reads', 'target')],
    ['with a field less', renderStateFile(STATE).replace(/"revision": 7,/, '')],
  ])('stops the start when it is %s, and names the way out', (_, text) => {
    const path = newPath()
    writeFileSync(path, text)
    expect(() => readStateFile(path)).toThrow(
      /routing_state_path.*does not start.*Restore the file/,
    )
  })

  test('cut off anywhere or with any byte changed is never taken for a state', () => {
    const text = renderStateFile(STATE)
    const bytes = Buffer.from(text)
    for (let end = 0; end < bytes.length - 1; end++) {
      expect(parseStateFile(bytes.subarray(0, end).toString()), `${end}`).toHaveProperty('fault')
    }
    const change = fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 0x21, max: 0x7e }))
    fc.assert(
      fc.property(change, ([at, byte]) => {
        const changed = Buffer.from(bytes)
        changed[at] = byte
        const parsed = parseStateFile(changed.toString())
        // White space may become something else only by breaking the JSON.
        if (!('fault' in parsed)) expect(parsed).toEqual(STATE)
      }),
    )
  })
})

test('kill -9 at any moment leaves the old or the new state', { timeout: 60_000 }, async () => {
  const path = newPath()
  const program = new URL('./kept-state-writer.ts', import.meta.url).pathname
  let first = 1
  for (let round = 0; round < 8; round++) {
    const child = spawn(process.execPath, [program, path, String(first)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let staged = 0
    let committed = first - 1
    let rest = ''
    child.stdout.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        const [what, revision] = line.split(' ')
        if (what === 'staged') staged = Number(revision)
        else committed = Number(revision)
      }
      // At another moment each time; some have written hundreds by then.
      if (committed >= first + round * 3) child.kill('SIGKILL')
    })
    await once(child, 'close')
    const kept = readStateFile(path)!
    // What was said to be committed is there; what is there was staged, or is one that could not be told.
    expect(kept.revision).toBeGreaterThanOrEqual(committed)
    expect(kept.revision).toBeLessThanOrEqual(Math.max(staged, committed) + 1)
    expect(kept.phase).toBe(kept.revision % 2 === 0 ? 'dual-read' : 'target-reads')
    expect(readFileSync(path, 'utf8').endsWith('}\n')).toBe(true)
    first = kept.revision + 1
  }
})
