// System calls on sparse files that Node lacks, through koffi: where there are none, slower ways are taken. Owns no state.

import fs from 'node:fs'
import koffi from 'koffi'

type Raw = (...args: number[]) => number

function optional(prototype: string): Raw | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return koffi.load('libc.so.6').func(prototype) as Raw
  } catch {
    return undefined
  }
}

const fallocate = optional('int fallocate(int fd, int mode, int64 offset, int64 length)')
const lseek = optional('int64 lseek(int fd, int64 offset, int whence)')

const PUNCH_HOLE_KEEP_SIZE = 3
const SEEK_DATA = 3
const SEEK_HOLE = 4
const ENXIO = 6
const ZEROS = Buffer.alloc(1 << 20)

/** Makes a range of a file read as zeros; gives its blocks back where the file system can. The length stays. */
export function zero(fd: number, offset: number, length: number): void {
  const end = Math.min(offset + length, fs.fstatSync(fd).size)
  if (end <= offset) return
  if (fallocate && fallocate(fd, PUNCH_HOLE_KEEP_SIZE, offset, end - offset) === 0) return
  for (let at = offset; at < end; ) at += fs.writeSync(fd, ZEROS, 0, Math.min(ZEROS.length, end - at), at)
}

/** Bytes of the disk that no reservation takes: journal and database need some. */
const KEPT = 64 << 20

/** Whether the disk has room for `length` more bytes of a file, less what the file has already. */
export function hasRoom(fd: number, length: number): boolean {
  if (process.platform !== 'linux') return true
  const { bavail, bsize } = fs.statfsSync(`/proc/self/fd/${fd}`)
  return length - fs.fstatSync(fd).blocks * 512 <= bavail * bsize - KEPT
}

/** First byte of data at or after `offset`; -1: there is none. */
export function nextData(fd: number, offset: number): number {
  if (!lseek) return offset < fs.fstatSync(fd).size ? offset : -1
  const at = lseek(fd, offset, SEEK_DATA)
  return at >= 0 ? at : koffi.errno() === ENXIO ? -1 : offset
}

/** First hole at or after `offset`, which is in the file. */
export function nextHole(fd: number, offset: number): number {
  const at = lseek ? lseek(fd, offset, SEEK_HOLE) : -1
  return at >= 0 ? at : fs.fstatSync(fd).size
}
