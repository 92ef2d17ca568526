// Every operation on every kind of path that there is: what exists and what does not, links that loop, files in place of folders, names
// and paths of the greatest length and one byte more, trailing slashes. The answers, and the tree after them, are the disk's.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import * as c from './support/calls.js'
import { snapshot } from './support/operations.js'
import { Places } from './support/places.js'
import { inAllPlaces, type Trial } from './support/trial.js'

const { O } = c
const LONGEST = 'n'.repeat(255)

/** Names in the tree that `plant` makes, and others. `=4095`: a path of that many bytes to a file that exists. */
const PATHS = [
  ...['missing', 'missing/x', 'missing/', 'file', 'file/', 'file/x', 'file/.', 'file/..', 'fifo', 'fifo/x', 'socket'],
  ...[
    'empty',
    'empty/',
    'empty/x',
    'empty/.',
    'full',
    'full/',
    'full/x',
    'full/x/y',
    'full/..',
    'full/sub',
    '.',
    '..',
    '',
  ],
  ...['to-file', 'to-file/', 'to-file/x', 'to-empty', 'to-empty/', 'to-full/x', 'dangling', 'dangling/', 'dangling/x'],
  ...['loop', 'loop/x', 'long-link', LONGEST, `${LONGEST}x`, `empty/${LONGEST}`, `empty/${LONGEST}x`, `${LONGEST}x/y`],
  ...['=4095', '=4096', 'bytes-\xff\xfe\n\\'],
]

function plant(t: Trial): void {
  t.create('file', 'file')
  t.create('fifo', 'fifo')
  t.create('socket', 'socket')
  t.create('folder', 'empty', 0o755)
  t.create('folder', 'full', 0o755)
  t.create('file', 'full/x')
  t.create('folder', 'full/sub', 0o755)
  for (const [name, target] of [
    ['to-file', 'file'],
    ['to-empty', 'empty'],
    ['to-full', 'full'],
    ['dangling', 'nowhere'],
    ['loop', 'loop2'],
    ['loop2', 'loop'],
    ['long-link', './'.repeat(2047)],
  ])
    assert.equal(c.symlink(target, t.at(name)), 0)
  t.create('file', Buffer.from('bytes-\xff\xfe\n\\', 'latin1'))
}

function pathOf(t: Trial, path: string): Buffer {
  if (path === '') return Buffer.alloc(0)
  if (!path.startsWith('=')) return t.at(Buffer.from(path, 'latin1'))
  const length = Number(path.slice(1)) - 'file'.length
  return Buffer.from(`${t.directory.padEnd(length, '/')}file`)
}

const opening = (flags: number) => (path: Buffer) => {
  const fd = c.open(path, flags | O.NONBLOCK, 0o644)
  return fd < 0 ? fd : c.close(fd)
}

const code = (action: () => unknown) => {
  try {
    action()
    return 0
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno!
  }
}

const ON_ONE: Record<string, (path: Buffer) => number> = {
  mkdir: (p) => c.mkdir(p, 0o755),
  rmdir: c.rmdir,
  unlink: c.unlink,
  'mknod of a fifo': (p) => c.mknod(p, c.S.IFIFO | 0o644),
  'mknod of a file': (p) => c.mknod(p, c.S.IFREG | 0o644),
  symlink: (p) => c.symlink('target', p),
  'symlink to nothing': (p) => c.symlink('', p),
  'symlink to 4095 bytes': (p) => c.symlink('t'.repeat(4095), p),
  'symlink to 4096 bytes': (p) => c.symlink('t'.repeat(4096), p),
  'open to read': opening(O.RDONLY),
  'open to write': opening(O.WRONLY),
  'open for both, truncating': opening(O.RDWR | O.TRUNC),
  'open creating': opening(O.RDWR | O.CREAT),
  'open creating a new one': opening(O.RDWR | O.CREAT | O.EXCL),
  'open a folder': opening(O.RDONLY | O.DIRECTORY),
  'open without following': opening(O.RDONLY | O.NOFOLLOW),
  'open a place': opening(O.PATH | O.NOFOLLOW),
  'open without a name': opening(O.TMPFILE | O.RDWR),
  'open without a name to read': opening(O.TMPFILE),
  truncate: (p) => c.truncate(p, 10),
  'truncate below zero': (p) => c.truncate(p, -1),
  chmod: (p) => c.chmod(p, 0o600),
  chown: (p) => c.chown(p, 0, 0),
  lchown: (p) => c.lchown(p, 0, 0),
  utimensat: (p) => c.utimensat(p, [1, 2], [3, 4]),
  'utimensat of links': (p) => c.utimensat(p, [1, 2], [3, 4], c.AT_SYMLINK_NOFOLLOW),
  'utimensat with a billion nanoseconds': (p) => c.utimensat(p, [1, 1_000_000_000], [3, 4]),
  access: (p) => c.access(p, 4),
  stat: (p) => code(() => fs.statSync(p)),
  lstat: (p) => code(() => fs.lstatSync(p)),
  readlink: (p) => code(() => fs.readlinkSync(p)),
  readdir: (p) => code(() => fs.readdirSync(p)),
  setxattr: (p) => c.setxattr(p, 'user.a', Buffer.from('v')),
  'setxattr to replace': (p) => c.setxattr(p, 'user.a', Buffer.from('v'), 2),
  getxattr: (p) => Number(c.getxattr(p, 'user.a')),
  removexattr: (p) => c.removexattr(p, 'user.a'),
}

const ON_TWO: Record<string, (from: Buffer, to: Buffer) => number> = {
  link: c.link,
  'link to what a link names': (from, to) => c.linkat(c.AT_FDCWD, from, to, c.AT_SYMLINK_FOLLOW),
  rename: c.rename,
  'rename where nothing is': (from, to) => c.renameat2(from, to, c.RENAME.NOREPLACE),
  exchange: (from, to) => c.renameat2(from, to, c.RENAME.EXCHANGE),
  'rename with both flags': (from, to) => c.renameat2(from, to, c.RENAME.EXCHANGE | c.RENAME.NOREPLACE),
  'rename with an unknown flag': (from, to) => c.renameat2(from, to, 64),
}

/** In a directory of its own each, planted anew after what succeeds. */
class Plot {
  #planted = false
  constructor(
    readonly parent: Trial,
    readonly trial: Trial,
  ) {}

  try(what: string, action: (t: Trial) => number): void {
    if (!this.#planted) {
      this.parent.create('folder', 'plot', 0o755)
      plant(this.trial)
      this.#planted = true
    }
    const result = action(this.trial)
    this.parent.did(what, result)
    if (result < 0) return
    this.parent.note(JSON.stringify(snapshot(this.trial.directory).tree))
    this.parent.remove('plot')
    this.#planted = false
  }
}

describe('POSIX: errors', function () {
  this.timeout(120_000)
  const places = Places.use()
  const plot = (t: Trial, body: (plot: Plot) => void) => {
    const sub = new (t.constructor as typeof Trial)(`${t.directory}/plot`, t.mounted)
    body(new Plot(t, sub))
  }

  for (const [name, run] of Object.entries(ON_ONE)) {
    inAllPlaces(places, `${name}, on every kind of path`, (t) => {
      plot(t, (p) => {
        for (const path of PATHS) p.try(`${name} ${short(path)}`, (inner) => run(pathOf(inner, path)))
      })
    })
  }

  for (const [name, run] of Object.entries(ON_TWO)) {
    inAllPlaces(places, `${name}, on every two paths`, (t) => {
      plot(t, (p) => {
        for (const from of PATHS)
          for (const to of PATHS)
            p.try(`${name} ${short(from)} ${short(to)}`, (inner) => run(pathOf(inner, from), pathOf(inner, to)))
      })
    })
  }

  it('EXDEV between the mount and the disk', function () {
    if (!places.disk) return this.skip()
    const [disk, mount] = places.directories()
    fs.writeFileSync(`${mount}/a`, '')
    fs.writeFileSync(`${disk}/b`, '')
    for (const [from, to] of [
      [`${mount}/a`, `${disk}/x`],
      [`${disk}/b`, `${mount}/x`],
      [`${mount}/a`, `${disk}/b`],
    ]) {
      assert.equal(c.said(c.rename(from, to)), 'EXDEV')
      if (!fs.existsSync(to)) assert.equal(c.said(c.link(from, to)), 'EXDEV')
    }
  })
})

const short = (path: string) => path.replace(/n{255}/, 'n×255')
