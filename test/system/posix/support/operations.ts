// Random operations on names and attributes, as data, and what runs one of them in a directory. A few names, nested, so that
// operations meet each other.

import fs from 'node:fs'
import fc from 'fast-check'
import * as c from './calls.js'
import { as, isRoot } from './places.js'
import { show } from './trial.js'

export interface Operation {
  kind: string
  path: string
  other: string
  mode: number
  user: number
  number: number
}

const name = fc.constantFrom('a', 'b', 'c')
const path = fc.oneof(
  { weight: 3, arbitrary: name },
  { weight: 3, arbitrary: fc.tuple(name, name).map((names) => names.join('/')) },
  { weight: 1, arbitrary: fc.tuple(name, name, name).map((names) => names.join('/')) },
  { weight: 1, arbitrary: fc.constantFrom('.', '..', 'a/', 'b/.', 'a/..', 'x'.repeat(255), 'x'.repeat(256), '') },
)

/** Who acts: root, and three others of whom two share a group. */
const USERS = [
  { uid: 0, gid: 0, groups: [0] },
  { uid: 70001, gid: 70001, groups: [80000] },
  { uid: 70002, gid: 70002, groups: [80000, 70001] },
  { uid: 70003, gid: 70003, groups: [] },
]
const IDS = [-1, 0, 70001, 70002, 80000]
const MODES = [0o755, 0o777, 0o700, 0o644, 0o666, 0o600, 0o1777, 0o2775, 0o6755, 0o2666, 0o4711, 0o000, 0o070]

const KINDS = [
  ...['mkdir', 'mkdir', 'mkdir', 'rmdir', 'unlink', 'create', 'create', 'create', 'open', 'truncate'],
  ...['link', 'link', 'symlink', 'rename', 'rename', 'rename', 'rename', 'exchange', 'noreplace', 'mknod'],
  ...['chmod', 'chown', 'lchown', 'write', 'append', 'utimes', 'setxattr', 'removexattr', 'access', 'readlink'],
  ...['list', 'allocate', 'punch', 'copy', 'read', 'tmpfile'],
]

export const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constantFrom(...KINDS),
  path,
  other: path,
  mode: fc.constantFrom(...MODES),
  user: isRoot
    ? fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.integer({ min: 1, max: 3 }) })
    : fc.constant(0),
  number: fc.integer({ min: 0, max: 10_000 }),
})

/** Answers a result or a negative errno, which do not depend on the place. */
export function perform(directory: string, operation: Operation): number | string {
  const { uid, gid, groups } = USERS[operation.user]
  if (operation.user === 0) return run(directory, operation)
  return as(uid, gid, groups, () => run(directory, operation))
}

function onFile(target: string, flags: number, action: (fd: number) => number): number {
  const fd = c.open(target, flags, 0o666)
  if (fd < 0) return fd
  const result = action(fd)
  c.close(fd)
  return result
}

function run(directory: string, { kind, path, other, mode, number }: Operation): number | string {
  const target = path === '' ? '' : `${directory}/${path}`
  const to = other === '' ? '' : `${directory}/${other}`
  const id = IDS[number % IDS.length]
  // Not -1 for both: that differs by intention (docs/limits.md).
  const id2 = id === -1 ? 80000 : IDS[(number >> 3) % IDS.length]
  const { O } = c
  switch (kind) {
    case 'mkdir':
      return c.mkdir(target, mode)
    case 'rmdir':
      return c.rmdir(target)
    case 'unlink':
      return c.unlink(target)
    case 'create':
      return onFile(target, O.CREAT | O.RDWR | (number % 3 === 0 ? O.EXCL : 0) | O.NONBLOCK, (fd) => {
        return number % 2 === 0 ? c.fchmod(fd, mode) : 0
      })
    case 'open': {
      const flags = [O.RDONLY, O.WRONLY | O.TRUNC, O.RDWR, O.RDONLY | O.DIRECTORY, O.RDONLY | O.NOFOLLOW, O.WRONLY]
      return onFile(target, flags[number % flags.length] | O.NONBLOCK, () => 0)
    }
    case 'tmpfile':
      return onFile(target, O.TMPFILE | O.RDWR, (fd) => {
        if (number % 4 === 0) return 0
        return c.linkat(c.AT_FDCWD, `/proc/self/fd/${fd}`, to, c.AT_SYMLINK_FOLLOW)
      })
    case 'truncate':
      return c.truncate(target, number)
    case 'link':
      return c.link(target, to)
    case 'symlink':
      return c.symlink(number % 2 === 0 ? path : `../${path}`, to)
    case 'rename':
      return c.rename(target, to)
    case 'exchange':
      return c.renameat2(target, to, c.RENAME.EXCHANGE)
    case 'noreplace':
      return c.renameat2(target, to, c.RENAME.NOREPLACE)
    case 'mknod':
      return c.mknod(target, [c.S.IFIFO, c.S.IFSOCK, c.S.IFREG][number % 3] | mode)
    case 'chmod':
      return c.chmod(target, mode)
    case 'chown':
      return c.chown(target, id, id2)
    case 'lchown':
      return c.lchown(target, id, id2)
    case 'write':
      return onFile(target, O.WRONLY | O.NONBLOCK, (fd) => c.pwrite(fd, Buffer.alloc(100, number), number))
    case 'append':
      return onFile(target, O.WRONLY | O.APPEND | O.NONBLOCK, (fd) => c.write(fd, Buffer.alloc(number % 300, 'a')))
    case 'read':
      return onFile(target, O.RDONLY | O.NONBLOCK, (fd) => {
        const into = Buffer.alloc(64)
        return c.pread(fd, into, number >> 4)
      })
    case 'utimes':
      return c.utimensat(target, [number, 5], number % 3 === 0 ? [0, c.UTIME_OMIT] : [0, c.UTIME_NOW], 0)
    case 'setxattr':
      return c.setxattr(target, `user.${other.slice(0, 1) || 'x'}`, Buffer.alloc(number % 50, 'v'), number % 3)
    case 'removexattr':
      return c.removexattr(target, `user.${other.slice(0, 1) || 'x'}`)
    case 'access':
      return c.access(target, number % 8)
    case 'readlink':
      return readlink(target)
    case 'list':
      return list(target)
    case 'allocate':
      return onFile(target, O.RDWR | O.NONBLOCK, (fd) => c.fallocate(fd, number & 1, number, 1 + mode))
    case 'punch':
      return onFile(target, O.RDWR | O.NONBLOCK, (fd) => c.fallocate(fd, 3, number, 1 + mode))
    case 'copy':
      return onFile(target, O.RDONLY | O.NONBLOCK, (from) =>
        onFile(to, O.WRONLY | O.NONBLOCK, (fd) => c.copyFileRange(from, number % 97, fd, number % 89, mode)),
      )
  }
  throw new Error(kind)
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error)

function readlink(target: string): string {
  try {
    return fs.readlinkSync(target)
  } catch (error) {
    return codeOf(error)
  }
}

function list(target: string): string {
  try {
    return fs.readdirSync(target).sort().join(' ')
  } catch (error) {
    return codeOf(error)
  }
}

export interface Snapshot {
  /** What every path shows, and the first bytes of files. */
  tree: Record<string, unknown>
  /** Times of every path. */
  times: Map<string, { mtime: bigint; ctime: bigint }>
}

export function snapshot(directory: string): Snapshot {
  const found: Snapshot = { tree: {}, times: new Map() }
  const inodes = new Map<bigint, string>()
  const visit = (at: string) => {
    // Names of any bytes: latin1 keeps them.
    const full = Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(at, 'latin1')])
    const info = fs.lstatSync(full, { bigint: true })
    const first = inodes.get(info.ino)
    inodes.set(info.ino, first ?? at)
    found.times.set(at, { mtime: info.mtimeNs, ctime: info.ctimeNs })
    const shown = show(full)
    const xattrs = c.listxattr(full)
    const text = info.isFile() ? hash(fs.readFileSync(full)) : info.isSymbolicLink() ? fs.readlinkSync(full) : ''
    found.tree[at] = { ...(shown as object), same: first, xattrs, text }
    if (info.isDirectory()) for (const name of names(full)) visit(at === '.' ? name : `${at}/${name}`)
  }
  visit('.')
  return found
}

const names = (folder: Buffer) =>
  fs
    .readdirSync(folder, 'buffer')
    .map((name) => name.toString('latin1'))
    .sort()

function hash(bytes: Buffer): string {
  let h = 0
  for (const byte of bytes) h = (Math.imul(h, 31) + byte) | 0
  return `${bytes.length}:${h}`
}

/** Paths whose times moved since an earlier snapshot, in which direction, and which. */
export function moved(before: Snapshot, after: Snapshot): string[] {
  const found: string[] = []
  for (const [at, now] of after.times) {
    const then = before.times.get(at)
    if (!then) continue
    if (now.mtime !== then.mtime) found.push(`mtime of ${at}`)
    if (now.ctime !== then.ctime) found.push(`ctime of ${at}${now.ctime < then.ctime ? ' back' : ''}`)
  }
  return found
}
