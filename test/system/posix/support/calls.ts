// System calls as they are: every one answers its result, or a negative errno. Owns the bindings. Synchronous, so that they may
// be made as another user; the mount they work on must therefore be served by another process.

import koffi from 'koffi'

export type Path = string | Buffer

export const AT_FDCWD = -100
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_REMOVEDIR = 0x200
export const AT_EACCESS = 0x200
export const AT_SYMLINK_FOLLOW = 0x400
export const AT_EMPTY_PATH = 0x1000

export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DIRECT: 0o40000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  PATH: 0o10000000,
  TMPFILE: 0o20200000,
} as const

export const S = { IFIFO: 0o010000, IFCHR: 0o020000, IFBLK: 0o060000, IFREG: 0o100000, IFSOCK: 0o140000 } as const
export const SEEK = { DATA: 3, HOLE: 4 } as const
export const FALLOC = { KEEP_SIZE: 1, PUNCH_HOLE: 2, COLLAPSE: 8, ZERO_RANGE: 16, INSERT: 32 } as const
export const RENAME = { NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4 } as const
export const UTIME_NOW = 0x3fffffff
export const UTIME_OMIT = 0x3ffffffe

type Argument = number | bigint | Buffer | null
type Raw = (...values: Argument[]) => number

const bound = new Map<string, Raw>()

/** Any function of libc by its C prototype. */
export function call(prototype: string, ...values: Argument[]): number {
  let fn = bound.get(prototype)
  if (!fn) bound.set(prototype, (fn = koffi.load(null).func(prototype) as Raw))
  const result = Number(fn(...values))
  return result < 0 ? -koffi.errno() : result
}

/** A path as the kernel takes it. */
export function text(path: Path): Buffer {
  return Buffer.concat([typeof path === 'string' ? Buffer.from(path) : path, Buffer.alloc(1)])
}

export const open = (path: Path, flags: number, mode = 0) =>
  call('int open(const void *, int, uint32_t)', text(path), flags, mode)
export const close = (fd: number) => call('int close(int)', fd)
export const mkdir = (path: Path, mode: number) => call('int mkdir(const void *, uint32_t)', text(path), mode)
export const rmdir = (path: Path) => call('int rmdir(const void *)', text(path))
export const unlink = (path: Path) => call('int unlink(const void *)', text(path))
export const link = (from: Path, to: Path) => call('int link(const void *, const void *)', text(from), text(to))
export const linkat = (fd: number, from: Path, to: Path, flags: number) =>
  call('int linkat(int, const void *, int, const void *, int)', fd, text(from), AT_FDCWD, text(to), flags)
export const symlink = (target: Path, path: Path) =>
  call('int symlink(const void *, const void *)', text(target), text(path))
export const rename = (from: Path, to: Path) => call('int rename(const void *, const void *)', text(from), text(to))
export const renameat2 = (from: Path, to: Path, flags: number) =>
  call(
    'int renameat2(int, const void *, int, const void *, uint32_t)',
    ...[AT_FDCWD, text(from), AT_FDCWD, text(to), flags],
  )
export const mknod = (path: Path, mode: number, device = 0) =>
  call('int mknod(const void *, uint32_t, uint64_t)', text(path), mode, device)
export const chmod = (path: Path, mode: number) => call('int chmod(const void *, uint32_t)', text(path), mode)
export const fchmod = (fd: number, mode: number) => call('int fchmod(int, uint32_t)', fd, mode)
export const chown = (path: Path, uid: number, gid: number) =>
  call('int chown(const void *, int, int)', text(path), uid, gid)
export const lchown = (path: Path, uid: number, gid: number) =>
  call('int lchown(const void *, int, int)', text(path), uid, gid)
export const fchown = (fd: number, uid: number, gid: number) => call('int fchown(int, int, int)', fd, uid, gid)
export const truncate = (path: Path, size: number | bigint) =>
  call('int truncate64(const void *, int64_t)', text(path), size)
export const ftruncate = (fd: number, size: number | bigint) => call('int ftruncate64(int, int64_t)', fd, size)
export const access = (path: Path, mode: number) => call('int access(const void *, int)', text(path), mode)
/** As the effective user, while access(2) asks for the real one. */
export const eaccess = (path: Path, mode: number) =>
  call('int faccessat(int, const void *, int, int)', AT_FDCWD, text(path), mode, AT_EACCESS)
export const pwrite = (fd: number, bytes: Buffer, offset: number | bigint) =>
  call('int64_t pwrite64(int, const void *, size_t, int64_t)', fd, bytes, bytes.length, offset)
export const write = (fd: number, bytes: Buffer) =>
  call('int64_t write(int, const void *, size_t)', fd, bytes, bytes.length)
export const pread = (fd: number, into: Buffer, offset: number | bigint) =>
  call('int64_t pread64(int, void *, size_t, int64_t)', fd, into, into.length, offset)
export const lseek = (fd: number, offset: number | bigint, whence: number) =>
  call('int64_t lseek64(int, int64_t, int)', fd, offset, whence)
export const fallocate = (fd: number, mode: number, offset: number | bigint, length: number | bigint) =>
  call('int fallocate64(int, int, int64_t, int64_t)', fd, mode, offset, length)
export const fsync = (fd: number) => call('int fsync(int)', fd)
export const umask = (mask: number) => call('uint32_t umask(uint32_t)', mask)

/** By absolute offsets. */
export function copyFileRange(from: number, fromAt: number, to: number, toAt: number, length: number): number {
  return call(
    'int64_t copy_file_range(int, void *, int, void *, size_t, uint32_t)',
    ...[from, int64s(fromAt), to, int64s(toAt), length, 0],
  )
}

/** Times as [seconds, nanoseconds]. */
export const utimensat = (path: Path, atime: [number, number], mtime: [number, number], flags = 0) =>
  call(
    'int utimensat(int, const void *, const void *, int)',
    ...[AT_FDCWD, text(path), int64s(...atime, ...mtime), flags],
  )
export const futimens = (fd: number, atime: [number, number], mtime: [number, number]) =>
  call('int futimens(int, const void *)', fd, int64s(...atime, ...mtime))

export const setxattr = (path: Path, name: Path, value: Buffer, flags = 0) =>
  call(
    'int lsetxattr(const void *, const void *, const void *, size_t, int)',
    ...[text(path), text(name), value.length > 0 ? value : Buffer.alloc(1), value.length, flags],
  )
/** `room` 0 asks for the length. */
export function getxattr(path: Path, name: Path, room = 65536): Buffer | number {
  const into = Buffer.alloc(Math.max(1, room))
  const n = call(
    'int64_t lgetxattr(const void *, const void *, void *, size_t)',
    ...[text(path), text(name), into, room],
  )
  return n < 0 || room === 0 ? n : into.subarray(0, n)
}
export function listxattr(path: Path, room = 65536): string[] | number {
  const into = Buffer.alloc(Math.max(1, room))
  const n = call('int64_t llistxattr(const void *, void *, size_t)', text(path), into, room)
  return n < 0 || room === 0 ? n : into.toString('latin1', 0, n).split('\0').slice(0, -1).sort()
}
export const removexattr = (path: Path, name: Path) =>
  call('int lremovexattr(const void *, const void *)', text(path), text(name))

/** A socket bound to the path, and closed again. */
export function bind(path: Path): number {
  const fd = call('int socket(int, int, int)', 1, 1, 0)
  const address = Buffer.alloc(110)
  address.writeUInt16LE(1)
  text(path).copy(address, 2)
  const result = call('int bind(int, const void *, uint32_t)', fd, address, 110)
  close(fd)
  return result
}

function int64s(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(8 * numbers.length)
  numbers.forEach((n, i) => {
    bytes.writeBigInt64LE(BigInt(n), 8 * i)
  })
  return bytes
}

/** The name of a negative errno; other numbers as they are. */
export function said(result: number): string | number {
  return result < 0 ? (NAMES.get(-result) ?? `errno ${-result}`) : result
}

const { errno } = (await import('node:os')).constants
const NAMES = new Map(Object.entries(errno).map(([name, number]) => [number, name]))
NAMES.set(61, 'ENODATA')
NAMES.set(95, 'EOPNOTSUPP')
NAMES.set(11, 'EAGAIN')
