// System calls that Node lacks or has only in a slow form, through koffi. Owns no state. Each returns the kernel's result or
// throws an error with `code`, as node:fs does.

import { constants } from 'node:os'
import koffi from 'koffi'

const libc = koffi.load(process.platform === 'darwin' ? '/usr/lib/libSystem.B.dylib' : 'libc.so.6')
const rawWrite = libc.func('int64 write(int fd, const void *buffer, uint64 count)')
const rawFlock = libc.func('int flock(int fd, int operation)')

type Raw = (...args: unknown[]) => number

function optional(prototype: string): Raw | undefined {
  try {
    return libc.func(prototype) as Raw
  } catch {
    return undefined
  }
}

const linux = process.platform === 'linux'
const rawFallocate = linux ? optional('int fallocate(int fd, int mode, int64 offset, int64 length)') : undefined
const rawCopy = linux
  ? optional('int64 copy_file_range(int in, int64 *off_in, int out, int64 *off_out, uint64 length, uint flags)')
  : undefined

const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

function failure(call: string): NodeJS.ErrnoException {
  const errno = koffi.errno()
  const code = names.get(errno) ?? `E${errno}`
  return Object.assign(new Error(`${code}: ${call} failed`), { code, errno: -errno, syscall: call })
}

/** write(2): how many bytes were taken, possibly fewer than `count`. Interrupted calls are repeated. */
export function write(fd: number, buffer: Uint8Array, count: number): number {
  for (;;) {
    const done = rawWrite(fd, buffer, count) as number
    if (done >= 0) return done
    const error = failure('write')
    if (error.code !== 'EINTR') throw error
  }
}

const LOCK_EX = 2
const LOCK_NB = 4

/** flock(2), exclusive, not waiting: false if another open file holds it. Freed when the process ends, however it does. */
export function tryLock(fd: number): boolean {
  if (rawFlock(fd, LOCK_EX | LOCK_NB) === 0) return true
  const error = failure('flock')
  if (error.code === 'EWOULDBLOCK' || error.code === 'EAGAIN') return false
  throw error
}

const FALLOC_FL_KEEP_SIZE = 1

/** Reserves disk space without changing the file's length. False where the file system cannot. Throws ENOSPC. */
export function preallocate(fd: number, offset: number, length: number): boolean {
  if (!rawFallocate) return false
  if (rawFallocate(fd, FALLOC_FL_KEEP_SIZE, offset, length) === 0) return true
  const error = failure('fallocate')
  if (error.code === 'EOPNOTSUPP' || error.code === 'ENOTSUP' || error.code === 'ENOSYS') return false
  throw error
}

/**
 * copy_file_range(2): how many bytes were copied between two open files (0: end of the source), or -1 where kernel or
 * file system cannot.
 */
export function copyFileRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): number {
  if (!rawCopy) return -1
  const done = rawCopy(from, [fromOffset], to, [toOffset], length, 0)
  if (done >= 0) return done
  const error = failure('copy_file_range')
  if (['EXDEV', 'ENOSYS', 'EOPNOTSUPP', 'EINVAL'].includes(error.code ?? '')) return -1
  throw error
}
