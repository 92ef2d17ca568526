// Who may do what: owner, group, others and root, on folders and files of every mode; sticky folders; what only the owner may.

import * as c from './support/calls.js'
import { Places } from './support/places.js'
import { inAllPlaces, KINDS, type Trial } from './support/trial.js'

const { O } = c
const OWNER = 70001
const GROUP = 80001

const USERS: Record<string, [uid: number, gid: number, groups: number[]]> = {
  owner: [OWNER, 80009, []],
  'first group': [70002, GROUP, []],
  'other group': [70002, 80009, [GROUP, 80005]],
  others: [70003, 80009, [80008]],
  'owner in the group': [OWNER, GROUP, []],
  root: [0, 0, []],
}

const opening = (path: Buffer, flags: number) => {
  const fd = c.open(path, flags | O.NONBLOCK, 0o644)
  return fd < 0 ? fd : c.close(fd)
}

/** In a folder `d` with a file `f`, a folder `s`, a folder elsewhere `e`. */
const IN_FOLDER: Record<string, (t: Trial) => number> = {
  'look up': (t) => c.eaccess(t.at('d/f'), 0),
  list: (t) => opening(t.at('d'), O.RDONLY | O.DIRECTORY),
  create: (t) => opening(t.at('d/new'), O.CREAT | O.WRONLY),
  'create what exists': (t) => opening(t.at('d/f'), O.CREAT | O.WRONLY),
  'create what exists, exclusively': (t) => opening(t.at('d/f'), O.CREAT | O.EXCL | O.WRONLY),
  'create without a name': (t) => opening(t.at('d'), O.TMPFILE | O.RDWR),
  mkdir: (t) => c.mkdir(t.at('d/new'), 0o755),
  'mkdir of what exists': (t) => c.mkdir(t.at('d/f'), 0o755),
  mkfifo: (t) => c.mknod(t.at('d/new'), c.S.IFIFO | 0o644),
  'mknod of a device': (t) => c.mknod(t.at('d/new'), c.S.IFCHR | 0o644, 0x103),
  symlink: (t) => c.symlink('x', t.at('d/new')),
  'link into it': (t) => c.link(t.at('e/f'), t.at('d/new')),
  'link out of it': (t) => c.link(t.at('d/f'), t.at('e/new')),
  unlink: (t) => c.unlink(t.at('d/f')),
  'unlink of nothing': (t) => c.unlink(t.at('d/none')),
  'unlink of a folder': (t) => c.unlink(t.at('d/s')),
  rmdir: (t) => c.rmdir(t.at('d/s')),
  'rmdir of a file': (t) => c.rmdir(t.at('d/f')),
  'rename in it': (t) => c.rename(t.at('d/f'), t.at('d/new')),
  'rename out of it': (t) => c.rename(t.at('d/f'), t.at('e/new')),
  'rename into it': (t) => c.rename(t.at('e/f'), t.at('d/new')),
  'rename over a file in it': (t) => c.rename(t.at('e/f'), t.at('d/f')),
  'exchange with it': (t) => c.renameat2(t.at('e/f'), t.at('d/f'), c.RENAME.EXCHANGE),
  'move a folder out of it': (t) => c.rename(t.at('d/s'), t.at('e/new')),
  'move a folder within it': (t) => c.rename(t.at('d/s'), t.at('d/new')),
  'move a folder into it': (t) => c.rename(t.at('e/s'), t.at('d/new')),
  'truncate in it': (t) => c.truncate(t.at('d/f'), 1),
  'stat in it': (t) => c.eaccess(t.at('d/s/.'), 0),
}

/** On a file `f`. */
const ON_FILE: Record<string, (t: Trial) => number> = {
  'open to read': (t) => opening(t.at('f'), O.RDONLY),
  'open to write': (t) => opening(t.at('f'), O.WRONLY),
  'open for both': (t) => opening(t.at('f'), O.RDWR),
  'open to read, truncating': (t) => opening(t.at('f'), O.RDONLY | O.TRUNC),
  'open to append': (t) => opening(t.at('f'), O.WRONLY | O.APPEND),
  'open exclusively': (t) => opening(t.at('f'), O.WRONLY | O.CREAT | O.EXCL),
  truncate: (t) => c.truncate(t.at('f'), 3),
  'access r': (t) => c.eaccess(t.at('f'), 4),
  'access w': (t) => c.eaccess(t.at('f'), 2),
  'access x': (t) => c.eaccess(t.at('f'), 1),
  chmod: (t) => c.chmod(t.at('f'), 0o640),
  'chmod with set-ids': (t) => c.chmod(t.at('f'), 0o6755),
  'chmod sticky': (t) => c.chmod(t.at('f'), 0o1755),
  'give away': (t) => c.chown(t.at('f'), 70005, -1),
  'give to oneself': (t) => c.chown(t.at('f'), OWNER, -1),
  'chown to the same': (t) => c.chown(t.at('f'), OWNER, GROUP),
  'chown to nobody': (t) => c.chown(t.at('f'), -1, -1),
  'chgrp to the group': (t) => c.chown(t.at('f'), -1, GROUP),
  'chgrp to one of its own': (t) => c.chown(t.at('f'), -1, 80009),
  'chgrp to a stranger': (t) => c.chown(t.at('f'), -1, 80077),
  'times now': (t) => c.utimensat(t.at('f'), [0, c.UTIME_NOW], [0, c.UTIME_NOW]),
  'times given': (t) => c.utimensat(t.at('f'), [5, 0], [6, 0]),
  'one time given': (t) => c.utimensat(t.at('f'), [0, c.UTIME_OMIT], [6, 0]),
  'one time now': (t) => c.utimensat(t.at('f'), [0, c.UTIME_OMIT], [0, c.UTIME_NOW]),
  'no time': (t) => c.utimensat(t.at('f'), [0, c.UTIME_OMIT], [0, c.UTIME_OMIT]),
  'setxattr user': (t) => c.setxattr(t.at('f'), 'user.a', Buffer.from('v')),
  'setxattr trusted': (t) => c.setxattr(t.at('f'), 'trusted.a', Buffer.from('v')),
  'setxattr security': (t) => c.setxattr(t.at('f'), 'security.a', Buffer.from('v')),
  'setxattr of no space': (t) => c.setxattr(t.at('f'), 'nowhere.a', Buffer.from('v')),
  'getxattr user': (t) => Number(c.getxattr(t.at('f'), 'user.there', 0)),
  'getxattr trusted': (t) => Number(c.getxattr(t.at('f'), 'trusted.there', 0)),
  'removexattr user': (t) => c.removexattr(t.at('f'), 'user.there'),
  'removexattr trusted': (t) => c.removexattr(t.at('f'), 'trusted.there'),
  unlink: (t) => c.unlink(t.at('f')),
  link: (t) => c.link(t.at('f'), t.at('g')),
}

const MODES = [0o000, 0o100, 0o200, 0o300, 0o400, 0o500, 0o700, 0o010, 0o030, 0o070, 0o001, 0o003, 0o007, 0o077, 0o777]

describe('POSIX: permissions', function () {
  this.timeout(120_000)
  const places = Places.use({ root: true })

  for (const [name, [uid, gid, groups]] of Object.entries(USERS)) {
    inAllPlaces(places, `${name}: what a folder's mode lets one do in it`, (t) => {
      c.chmod(t.at('.'), 0o777)
      for (const mode of MODES.filter((m) => ![0o200, 0o400, 0o001, 0o077].includes(m)))
        for (const [what, run] of Object.entries(IN_FOLDER)) {
          plantFolders(t)
          c.chmod(t.at('d'), mode)
          t.did(
            `${what}, mode ${mode.toString(8)}`,
            t.as(uid, gid, groups, () => run(t)),
          )
          c.chmod(t.at('d'), 0o755)
          for (const folder of ['d', 'e']) for (const entry of t.list(folder)) t.stat(folder, entry)
          t.remove('d')
          t.remove('e')
        }
    })

    inAllPlaces(places, `${name}: what a file's mode lets one do with it`, (t) => {
      c.chmod(t.at('.'), 0o777)
      for (const mode of [...MODES, 0o4755, 0o2755, 0o6777, 0o2666])
        for (const [what, run] of Object.entries(ON_FILE)) {
          t.create('file', 'f')
          c.setxattr(t.at('f'), 'user.there', Buffer.from('v'))
          c.setxattr(t.at('f'), 'trusted.there', Buffer.from('v'))
          c.chown(t.at('f'), OWNER, GROUP)
          c.chmod(t.at('f'), mode)
          const result = t.as(uid, gid, groups, () => run(t))
          // Refused by a disk if there were bits to drop; through FUSE it is not told from what the kernel does before a write.
          const stranger = what === 'chown to nobody' && uid !== 0 && uid !== OWNER
          if (!stranger) t.did(`${what}, mode ${mode.toString(8)}`, result)
          t.stat('f')
          t.remove('f')
          t.remove('g')
        }
    })
  }

  inAllPlaces(places, 'sticky folders: only who owns the entry or the folder removes or replaces it', (t) => {
    for (const mode of [0o1777, 0o777])
      for (const folderOwner of [0, 70001, 70002])
        for (const fileOwner of [0, 70001, 70002])
          for (const kind of ['file', 'folder', 'link'] as const)
            for (const what of ['remove', 'rename', 'replace', 'exchange']) {
              t.create('folder', 'sticky', 0o755)
              t.create('folder', 'own', 0o777)
              t.create(kind, 'sticky/victim')
              c.lchown(t.at('sticky/victim'), fileOwner, fileOwner)
              t.create(kind, 'own/mine')
              c.lchown(t.at('own/mine'), 70001, 70001)
              c.chown(t.at('sticky'), folderOwner, folderOwner)
              c.chmod(t.at('sticky'), mode)
              const victim = t.at('sticky/victim')
              const result = t.as(70001, 70001, [], () => {
                if (what === 'remove') return kind === 'folder' ? c.rmdir(victim) : c.unlink(victim)
                if (what === 'rename') return c.rename(victim, t.at('own/moved'))
                if (what === 'replace') return c.rename(t.at('own/mine'), victim)
                return c.renameat2(t.at('own/mine'), victim, c.RENAME.EXCHANGE)
              })
              t.did(`${what} a ${kind} of ${fileOwner} in a ${mode.toString(8)} folder of ${folderOwner}`, result)
              t.remove('sticky')
              t.remove('own')
            }
  })

  inAllPlaces(
    places,
    'whoever makes something owns it; a set-group-id folder gives its group, and its bit to folders',
    (t) => {
      for (const mode of [0o777, 0o2777])
        for (const kind of KINDS.filter((k) => k !== 'character' && k !== 'block')) {
          t.create('folder', 'd', 0o777)
          c.chown(t.at('d'), 5, GROUP)
          c.chmod(t.at('d'), mode)
          for (const bits of [0o644, 0o2755, 0o2644, 0o6777])
            for (const [uid, gid, groups] of Object.values(USERS)) {
              const before = c.umask(0)
              t.as(uid, gid, groups, () => makeWith(t, kind, 'd/new', bits))
              c.umask(before)
              t.stat('d/new')
              t.remove('d/new')
            }
          t.remove('d')
        }
    },
  )

  inAllPlaces(places, 'the umask takes bits away', (t) => {
    for (const mask of [0, 0o022, 0o077, 0o777])
      for (const kind of KINDS) {
        const before = c.umask(mask)
        makeWith(t, kind, 'new', 0o7777)
        c.umask(before)
        t.stat('new')
        t.remove('new')
      }
  })
})

/** With a mode as it is asked for, which `create` sets afterwards. */
function makeWith(t: Trial, kind: string, name: string, mode: number): void {
  const at = t.at(name)
  const type = { fifo: c.S.IFIFO, socket: c.S.IFSOCK, character: c.S.IFCHR, block: c.S.IFBLK }[kind]
  if (kind === 'file') t.did('create', opening(at, O.CREAT | O.WRONLY) && 0)
  else if (kind === 'folder') t.did('mkdir', c.mkdir(at, mode))
  else if (kind === 'link') t.did('symlink', c.symlink('x', at))
  else t.did('mknod', c.mknod(at, type! | mode, 0x102))
}

function plantFolders(t: Trial): void {
  t.create('folder', 'd', 0o755)
  t.create('folder', 'e', 0o777)
  for (const name of ['d/f', 'e/f']) {
    t.create('file', name, 0o666)
    c.chown(t.at(name), OWNER, GROUP)
  }
  for (const name of ['d/s', 'e/s']) {
    t.create('folder', name, name === 'd/s' ? 0o777 : 0o755)
    c.chown(t.at(name), OWNER, GROUP)
  }
  c.chown(t.at('d'), OWNER, GROUP)
}
