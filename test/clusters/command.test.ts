import { describe, expect, test } from 'vitest'
import { runCommand } from '../../clusters/command.ts'

describe('a short-lived program', () => {
  test('tells what it printed, line by line, and how it ended', async () => {
    const told: string[] = []
    const onLine = (line: string) => told.push(line)
    const result = await runCommand('sh', ['-c', 'echo one; echo two; exit 3'], { onLine })
    expect(result).toEqual({ exitCode: 3, lines: ['one', 'two'] })
    expect(told).toEqual(['one', 'two'])
  })

  test('is undefined if there is no such program', async () => {
    expect(await runCommand('no-such-program', [])).toBeUndefined()
  })

  test('ends when it is aborted, with the reason', async () => {
    const aborter = new AbortController()
    const run = runCommand('sh', ['-c', 'echo up; sleep 60'], {
      signal: aborter.signal,
      onLine: () => aborter.abort(new Error('Ctrl-C')),
    })
    await expect(run).rejects.toThrow('Ctrl-C')
  })

  test('is not started when it was aborted before', async () => {
    const signal = AbortSignal.abort(new Error('Ctrl-C'))
    const told: string[] = []
    const onLine = (line: string) => told.push(line)
    await expect(runCommand('echo', ['up'], { signal, onLine })).rejects.toThrow('Ctrl-C')
    expect(told).toEqual([])
  })
})
