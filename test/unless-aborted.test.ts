import { expect, test } from 'vitest'
import { unlessAborted } from '../src/unless-aborted.ts'

const neverAborted = new AbortController().signal

test('work that ends in time is as if nobody had watched', async () => {
  expect(await unlessAborted(Promise.resolve(1), neverAborted)).toBe(1)
  await expect(unlessAborted(Promise.reject(new Error('no')), neverAborted)).rejects.toThrow('no')
})

test('an abort lets the waiting go with its reason, and what comes late is discarded', async () => {
  const aborter = new AbortController()
  const work = Promise.withResolvers<string>()
  const discarded = Promise.withResolvers<string>()
  const waiting = unlessAborted(work.promise, aborter.signal, discarded.resolve)
  aborter.abort(new Error('Ctrl-C'))
  await expect(waiting).rejects.toThrow('Ctrl-C')
  work.resolve('late')
  expect(await discarded.promise).toBe('late')
})

test('after an abort nothing is waited for, and a late failure harms nobody', async () => {
  const signal = AbortSignal.abort(new Error('Ctrl-C'))
  const work = Promise.reject(new Error('late'))
  await expect(unlessAborted(work, signal)).rejects.toThrow('Ctrl-C')
})
