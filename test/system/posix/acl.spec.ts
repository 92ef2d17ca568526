// POSIX access control lists: what they allow, what they do to modes and modes to them, what is inherited, with which umask.

import * as c from './support/calls.js'
import { Places } from './support/places.js'
import { inAllPlaces, type Trial } from './support/trial.js'

const { O } = c
const ACCESS = 'system.posix_acl_access'
const DEFAULT = 'system.posix_acl_default'
const NO_ID = 0xffffffff

type Entry = [tag: 'u' | 'user' | 'g' | 'group' | 'mask' | 'o', rights: number, id?: number]
const TAGS = { u: 1, user: 2, g: 4, group: 8, mask: 16, o: 32 }

function list(...entries: Entry[]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * entries.length)
  bytes.writeUInt32LE(2, 0)
  entries.forEach(([tag, rights, id = NO_ID], i) => {
    bytes.writeUInt16LE(TAGS[tag], 4 + 8 * i)
    bytes.writeUInt16LE(rights, 6 + 8 * i)
    bytes.writeUInt32LE(id, 8 + 8 * i)
  })
  return bytes
}

const LISTS: Record<string, Buffer> = {
  'as a mode': list(['u', 6], ['g', 4], ['o', 0]),
  'with a user': list(['u', 7], ['user', 6, 70002], ['g', 4], ['mask', 6], ['o', 1]),
  'with a user, masked': list(['u', 7], ['user', 7, 70002], ['g', 7], ['mask', 4], ['o', 0]),
  'with a group': list(['u', 6], ['g', 0], ['group', 6, 80001], ['mask', 7], ['o', 4]),
  'with a mask only': list(['u', 6], ['g', 6], ['mask', 4], ['o', 4]),
  'that refuses a user': list(['u', 7], ['user', 0, 70002], ['g', 7], ['mask', 7], ['o', 7]),
}
const WRONG: Record<string, Buffer> = {
  'without others': list(['u', 6], ['g', 4]),
  'with a user and no mask': list(['u', 6], ['user', 6, 70002], ['g', 4], ['o', 4]),
  'in no order': list(['o', 6], ['g', 4], ['u', 4]),
  empty: list(),
  cut: list(['u', 6], ['g', 4], ['o', 0]).subarray(0, 11),
  'of another version': Buffer.from([9, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255]),
}
const USERS: [string, number, number, number[]][] = [
  ['owner', 70001, 70001, []],
  ['named user', 70002, 70009, []],
  ['named group', 70003, 70009, [80001]],
  ['owning group', 70004, 80000, []],
  ['others', 70005, 70009, []],
]

function look(t: Trial, ...names: string[]): void {
  t.stat(...names)
  for (const name of [ACCESS, DEFAULT]) {
    const value = c.getxattr(t.at(...names), name)
    t.note(`${name} of ${names.join('/')}: ${typeof value === 'number' ? c.said(value) : value.toString('hex')}`)
  }
  t.note(`names: ${c.listxattr(t.at(...names))}`)
}

describe('POSIX: access control lists', function () {
  this.timeout(60_000)
  const places = Places.use({ root: true })

  inAllPlaces(places, 'set on every kind of file, by its owner and by others; wrong ones', (t) => {
    c.chmod(t.at('.'), 0o777)
    for (const kind of ['file', 'folder', 'fifo', 'link'] as const)
      for (const [what, acl] of Object.entries({ ...LISTS, ...WRONG }))
        for (const name of [ACCESS, DEFAULT])
          for (const uid of [0, 70001, 70002]) {
            t.create(kind, 'x', 0o664)
            c.lchown(t.at('x'), 70001, 80000)
            t.did(
              `${uid}: ${name} ${what} on a ${kind}`,
              t.as(uid, uid, [], () => c.setxattr(t.at('x'), name, acl)),
            )
            look(t, 'x')
            t.did(
              'remove',
              t.as(uid, uid, [], () => c.removexattr(t.at('x'), name)),
            )
            look(t, 'x')
            t.remove('x')
          }
  })

  inAllPlaces(places, 'allow and refuse', (t) => {
    c.chmod(t.at('.'), 0o777)
    for (const [what, acl] of Object.entries(LISTS)) {
      t.create('file', 'f')
      t.create('folder', 'd')
      for (const name of ['f', 'd']) {
        c.chown(t.at(name), 70001, 80000)
        c.setxattr(t.at(name), ACCESS, acl)
      }
      for (const [who, uid, gid, groups] of USERS)
        t.as(uid, gid, groups, () => {
          for (const [how, flags] of [
            ['read', O.RDONLY],
            ['write', O.WRONLY],
          ] as const) {
            const fd = c.open(t.at('f'), flags)
            t.did(`${who} may ${how}, list ${what}`, fd < 0 ? fd : c.close(fd))
          }
          t.did(`${who} may search`, c.access(t.at('d/.'), 0))
          t.did(`${who} may make`, c.mkdir(t.at('d/new'), 0o755))
          t.did(`${who} may remove`, c.rmdir(t.at('d/new')))
        })
      t.remove('f')
      t.remove('d')
    }
  })

  inAllPlaces(places, 'follow chmod, and modes follow them', (t) => {
    for (const [what, acl] of Object.entries(LISTS))
      for (const mode of [0o777, 0o700, 0o640, 0o007, 0o2755, 0o6711]) {
        t.create('file', 'f', 0o666)
        t.did(`set ${what}`, c.setxattr(t.at('f'), ACCESS, acl))
        t.moves(['f'], 'chmod', () => c.chmod(t.at('f'), mode))
        look(t, 'f')
        t.moves(['f'], 'setxattr', () => c.setxattr(t.at('f'), ACCESS, LISTS['with a group']))
        look(t, 'f')
        t.remove('f')
      }
  })

  inAllPlaces(places, 'drop the set-group-id bit for who is not in the group', (t) => {
    for (const [who, uid, gid, groups] of USERS.slice(0, 1).concat([
      ['root', 0, 0, []],
      ['member', 70001, 1, [80000]],
    ]))
      for (const kind of ['file', 'folder'] as const) {
        t.create(kind, 'x')
        c.chown(t.at('x'), 70001, 80000)
        c.chmod(t.at('x'), 0o2775)
        t.did(
          `${who} on a ${kind}`,
          t.as(uid, gid, groups, () => c.setxattr(t.at('x'), ACCESS, LISTS['with a user'])),
        )
        look(t, 'x')
        t.remove('x')
      }
  })

  inAllPlaces(places, 'are inherited from the default list of a folder, and then the umask does not count', (t) => {
    for (const [what, acl] of Object.entries({ none: undefined, ...LISTS }))
      for (const mask of [0o022, 0o077, 0]) {
        t.create('folder', 'd', 0o755)
        if (acl) t.did(`set ${what}`, c.setxattr(t.at('d'), DEFAULT, acl))
        const before = c.umask(mask)
        const fd = c.open(t.at('d/file'), O.CREAT | O.WRONLY, 0o666)
        c.close(fd)
        const private_ = c.open(t.at('d/private'), O.CREAT | O.WRONLY, 0o600)
        c.close(private_)
        t.did('mkdir', c.mkdir(t.at('d/folder'), 0o777))
        t.did('mkdir in it', c.mkdir(t.at('d/folder/deeper'), 0o2770))
        t.did('mkfifo', c.mknod(t.at('d/fifo'), c.S.IFIFO | 0o666))
        t.did('symlink', c.symlink('x', t.at('d/link')))
        const unnamed = c.open(t.at('d'), O.TMPFILE | O.RDWR, 0o666)
        t.did('linkat', c.linkat(c.AT_FDCWD, `/proc/self/fd/${unnamed}`, t.at('d/late'), c.AT_SYMLINK_FOLLOW))
        c.close(unnamed)
        c.umask(before)
        for (const name of ['file', 'private', 'folder', 'folder/deeper', 'fifo', 'link', 'late']) look(t, 'd', name)
        t.remove('d')
      }
  })
})
