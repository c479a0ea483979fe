/**
 * Files that survive a kill and a power cut: written beside, synced, and renamed over; the directory synced
 * too, or the rename itself could be lost. Synchronous: a few milliseconds, a few times a migration; but for
 * what is written while clients are served (`replaceFile`).
 */
import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { access, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf } from '../message-of.ts'

const OWNER_ONLY = 0o600

const syncDirectory = (path: string): void => {
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

const nextPath = (path: string): string => `${path}.next`

const writeAll = (path: string, flags: string, text: string): void => {
  const file = openSync(path, flags, OWNER_ONLY)
  try {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Writes the text beside the file; it counts once `commitFile` was called. */
export const stageFile = (path: string, text: string): void => {
  writeAll(nextPath(path), 'w', text)
}

/** Puts what was staged in the file's place, at once and for good. */
export const commitFile = (path: string): void => {
  renameSync(nextPath(path), path)
  syncDirectory(path)
}

/** Both at once, without keeping the thread. One at a time for each path. */
export const replaceFile = async (path: string, text: string): Promise<void> => {
  const next = await open(nextPath(path), 'w', OWNER_ONLY)
  try {
    await next.writeFile(text)
    await next.sync()
  } finally {
    await next.close()
  }
  await rename(nextPath(path), path)
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

export const discardStaged = (path: string): void => {
  try {
    unlinkSync(nextPath(path))
  } catch {
    // Never staged, or gone already: both are what is wanted.
  }
}

/** Null where there is none. */
const isDirectory = async (path: string): Promise<boolean | null> => {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/**
 * Why a file can be neither replaced nor, with `append`, added to; null where nothing speaks against it. Asks the
 * system and writes nothing, so that a disk that is full is found out by the write alone.
 */
export const writeFault = async (
  path: string,
  how: 'replace' | 'append',
): Promise<string | null> => {
  try {
    const kind = await isDirectory(path)
    if (kind === true) return `${path} is a directory`
    if (kind === false && how === 'append') await access(path, constants.W_OK)
    else await access(dirname(path), constants.W_OK | constants.X_OK)
    return null
  } catch (error) {
    return messageOf(error)
  }
}

/** Adds a line, on disk when this returns. */
export const appendLine = (path: string, line: string): void => {
  writeAll(path, 'a', `${line}\n`)
}
