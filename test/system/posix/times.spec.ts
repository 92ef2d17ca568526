// Which times every operation moves: of what it works on, of the folders it changes, and of nothing else; none when it fails.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import * as c from './support/calls.js'
import { Places } from './support/places.js'
import { inAllPlaces, KINDS, type Kind, type Trial } from './support/trial.js'

const { O } = c

const write = (t: Trial, name: string, flags: number, action: (fd: number) => number) => {
  const fd = c.open(t.at(name), flags, 0o644)
  assert.ok(fd >= 0, c.said(fd).toString())
  const result = action(fd)
  c.close(fd)
  return result
}
const BYTES = Buffer.from('bytes')

/** On `d/x` of a kind; `e` is another folder with a file `y`. */
const ANY: Record<string, (t: Trial) => number> = {
  chmod: (t) => c.chmod(t.at('d/x'), 0o600),
  'chmod to the same': (t) => c.chmod(t.at('d/x'), 0o644),
  lchown: (t) => c.lchown(t.at('d/x'), 5, 6),
  'lchown to nobody': (t) => c.lchown(t.at('d/x'), -1, -1),
  'lchown, refused': (t) => t.as(70001, 70001, [], () => c.lchown(t.at('d/x'), 70001, -1)),
  utimensat: (t) => c.utimensat(t.at('d/x'), [5, 0], [6, 0], c.AT_SYMLINK_NOFOLLOW),
  'utimensat of nothing': (t) => c.utimensat(t.at('d/x'), [0, c.UTIME_OMIT], [0, c.UTIME_OMIT], c.AT_SYMLINK_NOFOLLOW),
  'utimensat of atime': (t) => c.utimensat(t.at('d/x'), [5, 0], [0, c.UTIME_OMIT], c.AT_SYMLINK_NOFOLLOW),
  link: (t) => c.link(t.at('d/x'), t.at('e/new')),
  'link over something': (t) => c.link(t.at('d/x'), t.at('e/y')),
  remove: (t) => {
    const result = c.unlink(t.at('d/x'))
    return result === 0 ? result : c.rmdir(t.at('d/x'))
  },
  'unlink of one of two names': (t) => {
    const linked = c.link(t.at('d/x'), t.at('e/second'))
    return linked < 0 ? linked : c.unlink(t.at('e/second'))
  },
  rename: (t) => c.rename(t.at('d/x'), t.at('d/new')),
  'rename into another folder': (t) => c.rename(t.at('d/x'), t.at('e/new')),
  'rename to its own name': (t) => c.rename(t.at('d/x'), t.at('d/x')),
  'rename over a file': (t) => c.rename(t.at('d/x'), t.at('e/y')),
  'rename over an empty folder': (t) => c.rename(t.at('d/x'), t.at('e/z')),
  'rename where something is': (t) => c.renameat2(t.at('d/x'), t.at('e/y'), c.RENAME.NOREPLACE),
  exchange: (t) => c.renameat2(t.at('d/x'), t.at('e/y'), c.RENAME.EXCHANGE),
  'make what exists': (t) => c.mkdir(t.at('d/x'), 0o755),
  'setxattr trusted': (t) => c.setxattr(t.at('d/x'), 'trusted.a', BYTES),
  'setxattr trusted to replace nothing': (t) => c.setxattr(t.at('d/x'), 'trusted.a', BYTES, 2),
  'removexattr of nothing': (t) => c.removexattr(t.at('d/x'), 'trusted.a'),
}

const FILE: Record<string, (t: Trial) => number> = {
  'open to read': (t) => write(t, 'd/x', O.RDONLY, () => 0),
  'open to write': (t) => write(t, 'd/x', O.WRONLY, () => 0),
  'open, truncating': (t) => write(t, 'd/x', O.WRONLY | O.TRUNC, () => 0),
  'open creating what exists': (t) => write(t, 'd/x', O.WRONLY | O.CREAT, () => 0),
  write: (t) => write(t, 'd/x', O.WRONLY, (fd) => c.write(fd, BYTES)),
  'write of nothing': (t) => write(t, 'd/x', O.WRONLY, (fd) => c.write(fd, Buffer.alloc(0))),
  'write over it': (t) => write(t, 'd/x', O.RDWR, (fd) => c.pwrite(fd, Buffer.from('c'), 0)),
  append: (t) => write(t, 'd/x', O.WRONLY | O.APPEND, (fd) => c.write(fd, BYTES)),
  'truncate shorter': (t) => c.truncate(t.at('d/x'), 2),
  'truncate longer': (t) => c.truncate(t.at('d/x'), 200),
  'truncate to its size': (t) => c.truncate(t.at('d/x'), 7),
  'truncate to an absurd size': (t) => c.truncate(t.at('d/x'), -2),
  'ftruncate shorter': (t) => write(t, 'd/x', O.RDWR, (fd) => c.ftruncate(fd, 2)),
  'ftruncate to its size': (t) => write(t, 'd/x', O.RDWR, (fd) => c.ftruncate(fd, 7)),
  fallocate: (t) => write(t, 'd/x', O.RDWR, (fd) => c.fallocate(fd, 0, 0, 5000)),
  'fallocate keeping the size': (t) => write(t, 'd/x', O.RDWR, (fd) => c.fallocate(fd, 1, 0, 5000)),
  'punch a hole': (t) => write(t, 'd/x', O.RDWR, (fd) => c.fallocate(fd, 3, 0, 3)),
  copy_file_range: (t) =>
    write(t, 'e/y', O.RDONLY, (from) => write(t, 'd/x', O.WRONLY, (fd) => c.copyFileRange(from, 0, fd, 0, 4))),
  fsync: (t) => write(t, 'd/x', O.RDWR, (fd) => c.fsync(fd)),
  read: (t) => write(t, 'd/x', O.RDONLY, (fd) => c.pread(fd, Buffer.alloc(4), 0)),
}

const FOLDER: Record<string, (t: Trial) => number> = {
  'create in it': (t) => write(t, 'd/x/new', O.WRONLY | O.CREAT, () => 0),
  'mkdir in it': (t) => c.mkdir(t.at('d/x/new'), 0o755),
  'symlink in it': (t) => c.symlink('x', t.at('d/x/new')),
  'mknod in it': (t) => c.mknod(t.at('d/x/new'), c.S.IFIFO | 0o644),
  'link into it': (t) => c.link(t.at('e/y'), t.at('d/x/new')),
  'rename into it': (t) => c.rename(t.at('e/y'), t.at('d/x/new')),
  'a file without a name': (t) => write(t, 'd/x', O.TMPFILE | O.RDWR, () => 0),
  'list it': (t) => fs.readdirSync(t.at('d/x')).length,
  'unlink of nothing': (t) => c.unlink(t.at('d/x/none')),
  'write to a file in it': (t) => {
    write(t, 'd/x/f', O.WRONLY | O.CREAT, () => 0)
    return write(t, 'd/x/f', O.WRONLY, (fd) => c.write(fd, BYTES))
  },
}

const WATCHED = ['d', 'd/x', 'e', 'e/y', 'e/z', 'd/new', 'e/new', '.']

describe('POSIX: times', function () {
  this.timeout(120_000)
  const places = Places.use({ root: true })

  for (const kind of KINDS) {
    const own: Record<string, (t: Trial) => number> = kind === 'file' ? FILE : kind === 'folder' ? FOLDER : {}
    inAllPlaces(places, `operations on a ${kind}`, (t) => {
      for (const [what, run] of Object.entries({ ...ANY, ...own })) watch(t, kind, what, run)
    })
  }

  inAllPlaces(places, 'a file that is written through a descriptor shows its times to others at once', (t) => {
    t.create('file', 'f')
    const fd = c.open(t.at('f'), O.WRONLY)
    for (let i = 0; i < 3; i++) t.moves(['f'], 'write', () => t.expect('write', c.write(fd, BYTES), 5))
    t.expect('futimens', c.futimens(fd, [7, 8], [9, 10]), 0)
    assert.equal(fs.lstatSync(t.at('f'), { bigint: true }).mtimeNs, 9_000_000_010n)
    c.close(fd)
    assert.equal(fs.lstatSync(t.at('f'), { bigint: true }).mtimeNs, 9_000_000_010n)
    assert.equal(fs.lstatSync(t.at('f'), { bigint: true }).atimeNs, 7_000_000_008n)
  })

  inAllPlaces(places, 'times of every age are kept to the nanosecond', (t) => {
    for (const kind of KINDS) {
      t.create(kind, 'x')
      for (const sec of [0, 1, -1, -2_000_000_000, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 32 + 5, 15_000_000_000]) {
        const times = [sec, 999_999_999] as [number, number]
        t.expect('utimensat', c.utimensat(t.at('x'), times, [sec, 1], c.AT_SYMLINK_NOFOLLOW), 0)
        const { atimeNs, mtimeNs } = fs.lstatSync(t.at('x'), { bigint: true })
        t.note(`${kind} ${atimeNs} ${mtimeNs}`)
      }
      t.remove('x')
    }
  })
})

function watch(t: Trial, kind: Kind, what: string, run: (t: Trial) => number): void {
  t.create('folder', 'd', 0o755)
  t.create('folder', 'e', 0o755)
  t.create('folder', 'e/z', 0o755)
  t.create('file', 'e/y', 0o666)
  t.create(kind, 'd/x', 0o644)
  if (kind === 'file') fs.writeFileSync(t.at('d/x'), 'content')
  const before = look(t)
  const until = process.hrtime.bigint() + 6_000_000n
  while (process.hrtime.bigint() < until);
  t.did(what, run(t))
  for (const [name, { ino, mtimeNs, ctimeNs, nlink }] of look(t)) {
    const then = [...before.values()].find((info) => info.ino === ino)
    if (!then) continue
    const moved = [mtimeNs === then.mtimeNs ? '' : ' mtime', ctimeNs === then.ctimeNs ? '' : ' ctime']
    t.note(`  ${name}: ${nlink} links, moved:${moved.join('')}${ctimeNs < then.ctimeNs ? ' back' : ''}`)
  }
  t.remove('d')
  t.remove('e')
}

function look(t: Trial): Map<string, fs.BigIntStats> {
  const found = new Map<string, fs.BigIntStats>()
  for (const name of WATCHED) {
    const info = fs.lstatSync(t.at(name), { bigint: true, throwIfNoEntry: false })
    if (info) found.set(name, info)
  }
  return found
}
