// Set-id bits and file capabilities: who keeps them when content, owner or mode changes.

import * as c from './support/calls.js'
import { Places } from './support/places.js'
import { inAllPlaces, KINDS, type Trial } from './support/trial.js'

const { O } = c
const BYTES = Buffer.from('more')
/** VFS_CAP_REVISION_2 with cap_net_bind_service permitted. */
const CAPABILITY = Buffer.from('0000000200040000000000000000000000000000', 'hex')

const on = (t: Trial, flags: number, action: (fd: number) => number) => {
  const fd = c.open(t.at('f'), flags)
  if (fd < 0) return fd
  const result = action(fd)
  c.close(fd)
  return result
}

const CHANGES: Record<string, (t: Trial) => number> = {
  write: (t) => on(t, O.WRONLY, (fd) => c.pwrite(fd, BYTES, 0)),
  'write for both': (t) => on(t, O.RDWR, (fd) => c.pwrite(fd, BYTES, 0)),
  append: (t) => on(t, O.WRONLY | O.APPEND, (fd) => c.write(fd, BYTES)),
  'write of nothing': (t) => on(t, O.WRONLY, (fd) => c.pwrite(fd, Buffer.alloc(0), 0)),
  truncate: (t) => c.truncate(t.at('f'), 2),
  'truncate to its size': (t) => c.truncate(t.at('f'), 7),
  ftruncate: (t) => on(t, O.RDWR, (fd) => c.ftruncate(fd, 20)),
  'open, truncating': (t) => on(t, O.WRONLY | O.TRUNC, () => 0),
  'open to read, truncating': (t) => on(t, O.RDONLY | O.TRUNC, () => 0),
  fallocate: (t) => on(t, O.RDWR, (fd) => c.fallocate(fd, 0, 0, 4096)),
  'punch a hole': (t) => on(t, O.RDWR, (fd) => c.fallocate(fd, 3, 0, 3)),
  copy_file_range: (t) => {
    const from = c.open(t.at('source'), O.RDONLY)
    const result = on(t, O.WRONLY, (fd) => c.copyFileRange(from, 0, fd, 0, 3))
    c.close(from)
    return result
  },
  'open to write only': (t) => on(t, O.RDWR, () => 0),
  'times now': (t) => c.utimensat(t.at('f'), [0, c.UTIME_NOW], [0, c.UTIME_NOW]),
  link: (t) => c.link(t.at('f'), t.at('g')),
  'chown to itself': (t) => c.chown(t.at('f'), 70001, -1),
  'chgrp to its group': (t) => c.chown(t.at('f'), -1, 80001),
}

/** With the group of the file. */
const MODES: [mode: number, group: number][] = [
  ...[0o6666, 0o6676, 0o6766, 0o6777, 0o2666, 0o2776, 0o4777].map((mode) => [mode, 80001] as [number, number]),
  [0o2666, 0],
]

const USERS: Record<string, [number, number, number[]]> = {
  root: [0, 0, []],
  owner: [70001, 70001, []],
  'owner in the group': [70001, 70001, [80001]],
  'first group': [70002, 80001, []],
  'other group': [70002, 70002, [80005, 80001]],
  others: [70003, 70003, []],
}

describe('POSIX: set-id bits', function () {
  this.timeout(60_000)
  const places = Places.use({ root: true })

  for (const [name, [uid, gid, groups]] of Object.entries(USERS)) {
    inAllPlaces(places, `of a file that ${name} changes`, (t) => {
      t.create('file', 'source', 0o666)
      c.truncate(t.at('source'), 10)
      c.chmod(t.at('.'), 0o777)
      for (const [mode, group] of MODES)
        for (const [what, run] of Object.entries(CHANGES)) {
          t.create('file', 'f', 0o666)
          c.truncate(t.at('f'), 7)
          c.chown(t.at('f'), 70001, group)
          c.chmod(t.at('f'), mode)
          t.did(
            `${what}, mode ${mode.toString(8)}`,
            t.as(uid, gid, groups, () => run(t)),
          )
          t.stat('f')
          t.remove('f')
          t.remove('g')
        }
    })

    inAllPlaces(places, `of everything whose owner or mode ${name} changes`, (t) => {
      c.chmod(t.at('.'), 0o777)
      for (const kind of KINDS.filter((k) => k !== 'link'))
        for (const mode of [0o6555, 0o6545, 0o2755, 0o2644])
          for (const [u, g] of [
            [70001, 80001],
            [-1, 70001],
            [70001, -1],
            [70002, 80002],
            [-1, -1],
          ]) {
            if (u === -1 && g === -1 && uid !== 0 && uid !== 70001) continue
            t.create(kind, 'x')
            c.chown(t.at('x'), 70001, 80001)
            c.chmod(t.at('x'), mode)
            const result = t.as(uid, gid, groups, () => c.lchown(t.at('x'), u, g))
            t.did(`chown of a ${kind} ${mode.toString(8)} to ${u}:${g}`, result)
            t.stat('x')
            t.did(
              'chmod',
              t.as(uid, gid, groups, () => c.chmod(t.at('x'), 0o6711)),
            )
            t.stat('x')
            t.remove('x')
          }
    })

    inAllPlaces(places, `capabilities of a file that ${name} changes`, (t) => {
      t.create('file', 'source', 0o666)
      c.truncate(t.at('source'), 10)
      c.chmod(t.at('.'), 0o777)
      for (const [what, run] of Object.entries(CHANGES)) {
        t.create('file', 'f', 0o666)
        c.truncate(t.at('f'), 7)
        c.chown(t.at('f'), 70001, 80001)
        t.ok('setxattr', c.setxattr(t.at('f'), 'security.capability', CAPABILITY))
        t.did(
          what,
          t.as(uid, gid, groups, () => run(t)),
        )
        t.note(`capabilities: ${Number(c.getxattr(t.at('f'), 'security.capability', 0))}`)
        t.remove('f')
        t.remove('g')
      }
    })
  }
})
