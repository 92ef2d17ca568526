// Small private files (device key, trust, invitations): written whole to a temporary file, synced and renamed, so that a
// kill -9 or a power cut leaves the old content or the new, never a part. Files are 0600 in a directory 0700.
// One process writes a file at a time; that is the business of whoever owns the directory.
import {
  chmodSync,
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { PrivateFileDamagedError, PrivateFileExposedError } from './errors.js'

const MAX_BYTES = 4 << 20
/** Nobody else may read or write the file. */
export const SECRET = 0o077
/** Others may read but not write the file. */
export const UNFORGED = 0o022

/**
 * Reads the file. `forbidden` are the permission bits that nobody else may have (SECRET or UNFORGED).
 * @returns undefined when there is no such file
 * @throws PrivateFileExposedError, PrivateFileDamagedError (absurd size), errors of the file system
 */
export function readPrivateFile(file: string, forbidden: number): Buffer | undefined {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { mode, size } = fstatSync(fd)
    if (mode & forbidden) throw exposed(file, mode, forbidden)
    if (size > MAX_BYTES)
      throw new PrivateFileDamagedError(`${file} has ${size} bytes, which cannot be right. ${REPAIR}`)
    return readAll(fd, size)
  } finally {
    closeSync(fd)
  }
}

export const REPAIR =
  'Restore it from a backup, or move it away to start anew (paired devices must then be paired again).'

function exposed(file: string, mode: number, forbidden: number): PrivateFileExposedError {
  const what = forbidden === SECRET ? 'read or changed' : 'changed'
  return new PrivateFileExposedError(
    `${file} can be ${what} by other users of this machine (mode ${(mode & 0o777).toString(8)}), so it is not used. ` +
      `If nobody has done so, run: chmod 600 ${JSON.stringify(file)}`,
  )
}

function readAll(fd: number, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  let done = 0
  while (done < size) {
    const n = readSync(fd, bytes, done, size - done, done)
    if (n === 0) break
    done += n
  }
  return bytes.subarray(0, done)
}

/** Replaces the file's content atomically and durably; makes the directory (0700) if it is not there. */
export function writePrivateFile(file: string, bytes: Uint8Array): void {
  const directory = path.dirname(file)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const temporary = `${file}.new`
  rmSync(temporary, { force: true })
  const fd = openSync(temporary, 'wx', 0o600)
  try {
    let done = 0
    while (done < bytes.length) done += writeSync(fd, bytes, done)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, file)
  syncDirectory(directory)
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Makes a directory that only its owner may enter; tightens one that exists. */
export function makePrivateDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
}

/** Reads and checks a JSON file. @throws PrivateFileDamagedError saying what is wrong with it */
export function readPrivateJson<T>(file: string, check: (value: unknown) => T): T | undefined {
  const bytes = readPrivateFile(file, UNFORGED)
  if (!bytes) return undefined
  try {
    return check(JSON.parse(bytes.toString('utf8')))
  } catch (error) {
    throw new PrivateFileDamagedError(`${file} cannot be read: ${(error as Error).message}. ${REPAIR}`, {
      cause: error,
    })
  }
}

export function writePrivateJson(file: string, value: unknown): void {
  writePrivateFile(file, Buffer.from(`${JSON.stringify(value, null, 2)}\n`))
}
