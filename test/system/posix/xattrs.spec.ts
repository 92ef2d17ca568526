// Extended attributes: the spaces of names, create and replace, sizes, who sees what, on files of every kind; POSIX ACLs.

import assert from 'node:assert/strict'
import * as c from './support/calls.js'
import { Places } from './support/places.js'
import { inAllPlaces, KINDS } from './support/trial.js'

const V = Buffer.from('value')
const NAMES = [
  ...['user.a', 'user.', 'user', 'trusted.a', 'trusted.', 'security.a', 'security.', 'system.a', 'other.a', 'a', ''],
  ...[`user.${'n'.repeat(250)}`, `user.${'n'.repeat(251)}`, 'user.with space', 'user.a/b', 'user.ü'],
]

describe('POSIX: extended attributes', function () {
  this.timeout(60_000)
  const places = Places.use({ root: true })

  for (const [who, uid] of [
    ['root', 0],
    ['the owner', 70001],
    ['others', 70002],
  ] as const) {
    inAllPlaces(places, `every name on every kind of file, by ${who}`, (t) => {
      c.chmod(t.at('.'), 0o777)
      for (const kind of KINDS) {
        t.create(kind, 'x', 0o755)
        c.lchown(t.at('x'), 70001, 70001)
        for (const name of NAMES)
          t.as(uid, uid, [], () => {
            const what = `${kind} ${name.length > 100 ? name.length : name}`
            t.did(`get ${what}`, Number(c.getxattr(t.at('x'), name, 0)))
            t.did(`replace ${what}`, c.setxattr(t.at('x'), name, V, 2))
            t.did(`create ${what}`, c.setxattr(t.at('x'), name, V, 1))
            t.did(`create ${what} again`, c.setxattr(t.at('x'), name, V, 1))
            t.did(`set ${what}`, c.setxattr(t.at('x'), name, Buffer.from('other'), 0))
            t.did(`set ${what} with flags`, c.setxattr(t.at('x'), name, V, 3))
            t.did(`set ${what} to nothing`, c.setxattr(t.at('x'), name, Buffer.alloc(0)))
            t.did(`get ${what}`, Number(c.getxattr(t.at('x'), name, 0)))
            t.did(`remove ${what}`, c.removexattr(t.at('x'), name))
            t.did(`remove ${what} again`, c.removexattr(t.at('x'), name))
          })
        t.remove('x')
      }
    })
  }

  inAllPlaces(places, 'sizes: what is asked, too little room, more than there may be', (t) => {
    t.create('file', 'f')
    for (const size of [0, 1, 100, 3000]) {
      t.expect('set', c.setxattr(t.at('f'), 'user.a', Buffer.alloc(size, 'v')), 0)
      for (const room of [0, 1, size - 1, size, size + 1].filter((n) => n >= 0)) {
        const got = c.getxattr(t.at('f'), 'user.a', room)
        t.note(`room ${room} for ${size}: ${typeof got === 'number' ? c.said(got) : got.length}`)
      }
    }
    t.expect('set too much', c.setxattr(t.at('f'), 'user.big', Buffer.alloc(65537)), 'E2BIG')
    t.expect('set another', c.setxattr(t.at('f'), 'trusted.b', V), 0)
    const whole = 'user.a\0trusted.b\0'.length
    for (const room of [0, 1, whole - 1, whole, whole + 1]) {
      const names = c.listxattr(t.at('f'), room)
      t.note(`list with ${room}: ${typeof names === 'number' ? c.said(names) : names}`)
    }
    t.as(70001, 70001, [], () => t.note(`list by others: ${c.listxattr(t.at('f'))}`))
  })

  it('a value of 64 KiB, and 128 KiB of them', () => {
    const file = `${places.directories().at(-1)}/f`
    c.close(c.open(file, c.O.CREAT | c.O.WRONLY, 0o644))
    const value = Buffer.alloc(65536, 'v')
    assert.equal(c.setxattr(file, 'user.one', value), 0)
    assert.deepEqual(c.getxattr(file, 'user.one'), value)
    assert.equal(c.said(c.setxattr(file, 'user.two', value)), 'ENOSPC')
    assert.equal(c.setxattr(file, 'user.two', value.subarray(0, 60_000)), 0)
    assert.equal(c.setxattr(file, 'user.one', V), 0)
    assert.deepEqual(c.listxattr(file), ['user.one', 'user.two'])
  })

  inAllPlaces(places, 'names of a file are seen by all its links, stay over rename, and go with it', (t) => {
    t.create('file', 'f')
    c.link(t.at('f'), t.at('g'))
    t.expect('set', c.setxattr(t.at('f'), 'user.a', V), 0)
    assert.deepEqual(c.getxattr(t.at('g'), 'user.a'), V)
    c.rename(t.at('f'), t.at('h'))
    assert.deepEqual(c.getxattr(t.at('h'), 'user.a'), V)
    c.unlink(t.at('g'))
    c.unlink(t.at('h'))
    t.create('file', 'h')
    t.note(`${c.listxattr(t.at('h'))}`)
  })

  inAllPlaces(places, 'setting moves the ctime only', (t) => {
    t.create('file', 'f')
    t.moves(['f'], 'setxattr', () => c.setxattr(t.at('f'), 'user.a', V))
    t.moves(['f'], 'removexattr', () => c.removexattr(t.at('f'), 'user.a'))
    t.moves(['f'], 'removexattr of nothing', () => c.removexattr(t.at('f'), 'user.a'))
  })
})
