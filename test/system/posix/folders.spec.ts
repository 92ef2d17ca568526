// Listing folders: everything once while entries come and go, positions that stay, folders that were removed; link counts; folders with
// very many entries.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import * as c from './support/calls.js'
import { Directory } from './support/directory.js'
import { Places } from './support/places.js'
import { inAllPlaces, type Trial, trialsIn } from './support/trial.js'

/** PEERDRIVE_POSIX_MANY: e.g. 100000. */
const MANY = Number(process.env.PEERDRIVE_POSIX_MANY ?? 20_000)

function fill(t: Trial, folder: string, from: number, to: number): void {
  for (let i = from; i < to; i++) c.close(c.open(t.at(folder, `entry-${i}`), c.O.CREAT | c.O.WRONLY, 0o644))
}

const sorted = (names: Iterable<string>) => [...names].sort()

describe('POSIX: folders', function () {
  this.timeout(300_000)
  const places = Places.use()

  inAllPlaces(places, 'what is there all the time is listed once, whatever comes and goes meanwhile', (t) => {
    for (const count of [10, 3000]) {
      t.create('folder', 'd', 0o755)
      fill(t, 'd', 0, count)
      const directory = Directory.open(t.at('d'))
      const seen: string[] = []
      for (let i = 0; ; i++) {
        const entry = directory.next()
        if (!entry) break
        seen.push(entry.name)
        if (i % 3 === 0) {
          c.unlink(t.at('d', `entry-${count - 1 - i}`))
          fill(t, 'd', count + i, count + i + 1)
          c.rename(t.at('d', `entry-${count + i}`), t.at('d', `moved-${i}`))
        }
      }
      directory.close()
      assert.equal(new Set(seen).size, seen.length, 'an entry was listed twice')
      for (const name of t.list('d').filter((n) => n.startsWith('entry-') && Number(n.slice(6)) < count))
        assert.ok(seen.includes(name), `${name} was not listed`)
      assert.ok(seen.includes('.') && seen.includes('..'))
      t.remove('d')
    }
  })

  inAllPlaces(places, 'removing everything while listing leaves an empty folder', (t) => {
    t.create('folder', 'd', 0o755)
    fill(t, 'd', 0, 2500)
    const directory = Directory.open(t.at('d'))
    for (let entry = directory.next(); entry; entry = directory.next())
      if (!entry.name.startsWith('.')) t.ok('unlink', c.unlink(t.at('d', entry.name)))
    directory.close()
    t.expect('rmdir', c.rmdir(t.at('d')), 0)
  })

  inAllPlaces(places, 'renaming what is listed comes to an end', (t) => {
    t.create('folder', 'd', 0o755)
    fill(t, 'd', 0, 1000)
    const directory = Directory.open(t.at('d'))
    let seen = 0
    for (let entry = directory.next(); entry && seen < 10_000; entry = directory.next()) {
      seen++
      if (entry.name.startsWith('.')) continue
      c.rename(t.at('d', entry.name), t.at('d', 'temporary'))
      c.rename(t.at('d', 'temporary'), t.at('d', entry.name))
    }
    directory.close()
    assert.ok(seen < 10_000)
  })

  inAllPlaces(places, 'positions lead back to where they were told; rewinding shows what is new', (t) => {
    t.create('folder', 'd', 0o755)
    fill(t, 'd', 0, 1200)
    const directory = Directory.open(t.at('d'))
    const all: { name: string; position: bigint }[] = []
    for (;;) {
      const position = directory.tell()
      const entry = directory.next()
      if (!entry) break
      all.push({ name: entry.name, position })
    }
    assert.equal(all.length, 1202)
    for (const i of [0, 1, 2, 3, 500, 1201, 7, 1000]) {
      directory.seek(all[i].position)
      for (let k = i; k < Math.min(i + 5, all.length); k++) assert.equal(directory.next()!.name, all[k].name)
    }
    // Positions stay what they are when others have come and gone.
    fill(t, 'd', 2000, 2100)
    for (const name of [all[300].name, all[301].name]) c.unlink(t.at('d', name))
    directory.seek(all[600].position)
    assert.equal(directory.next()!.name, all[600].name)
    directory.seek(0n)
    const now: string[] = []
    for (let entry = directory.next(); entry; entry = directory.next()) now.push(entry.name)
    directory.close()
    assert.deepEqual(sorted(now.filter((n) => !n.startsWith('.'))), t.list('d'))
  })

  inAllPlaces(places, 'types and numbers of entries are those of stat(2)', (t) => {
    for (const kind of ['file', 'folder', 'fifo', 'socket', 'link'] as const) t.create(kind, kind)
    t.create('folder', 'folder/sub')
    const directory = Directory.open(t.at('folder'))
    for (let entry = directory.next(); entry; entry = directory.next()) {
      const info = fs.lstatSync(t.at('folder', entry.name), { bigint: true })
      assert.equal(entry.ino, info.ino, entry.name)
      assert.equal(BigInt(entry.type), (info.mode & 0o170000n) >> 12n, entry.name)
    }
    directory.close()
    const top = Directory.open(t.at('.'))
    for (let entry = top.next(); entry; entry = top.next()) {
      if (entry.name === '..') continue
      const info = fs.lstatSync(t.at(entry.name), { bigint: true })
      assert.deepEqual([entry.ino, BigInt(entry.type)], [info.ino, (info.mode & 0o170000n) >> 12n], entry.name)
    }
    top.close()
  })

  inAllPlaces(places, 'a folder that was removed while it is open: empty, and nothing can be made in it', (t) => {
    t.create('folder', 'd', 0o755)
    const fd = c.open(t.at('d'), c.O.RDONLY | c.O.DIRECTORY)
    t.expect('rmdir', c.rmdir(t.at('d')), 0)
    const inside = `/proc/self/fd/${fd}`
    t.note(`links: ${fs.fstatSync(fd).nlink}`)
    t.did('create', c.open(`${inside}/x`, c.O.CREAT | c.O.WRONLY, 0o644))
    t.did('mkdir', c.mkdir(`${inside}/x`, 0o755))
    t.did('symlink', c.symlink('x', `${inside}/x`))
    t.did('link', c.link(`${inside}/../x`, `${inside}/x`))
    t.did('look up', c.access(`${inside}/x`, 0))
    t.did('unlink', c.unlink(`${inside}/x`))
    t.create('file', 'f')
    t.did('rename into it', c.rename(t.at('f'), `${inside}/x`))
    const directory = Directory.of(fd)
    assert.throws(() => directory.next(), /ENOENT/)
    directory.close()
  })

  inAllPlaces(places, 'a folder has two links, and one for each folder in it', (t) => {
    t.create('folder', 'd', 0o755)
    t.create('folder', 'e', 0o755)
    for (let i = 0; i < 5; i++) t.create('folder', `d/${i}`, 0o755)
    t.create('file', 'd/file')
    t.stat('d')
    const steps: [string, () => number][] = [
      ['rmdir', () => c.rmdir(t.at('d/0'))],
      ['rename in it', () => c.rename(t.at('d/1'), t.at('d/x'))],
      ['rename out of it', () => c.rename(t.at('d/x'), t.at('e/x'))],
      ['rename over an empty one', () => c.rename(t.at('d/2'), t.at('d/3'))],
      ['rename over one elsewhere', () => c.rename(t.at('d/3'), t.at('e/x'))],
      ['exchange with a file', () => c.renameat2(t.at('d/file'), t.at('e/x'), c.RENAME.EXCHANGE)],
      ['exchange with a folder', () => c.renameat2(t.at('d/file'), t.at('e'), c.RENAME.EXCHANGE)],
      ['rename into itself', () => c.rename(t.at('d'), t.at('d/4/x'))],
      ['exchange with its own parent', () => c.renameat2(t.at('d/4'), t.at('d'), c.RENAME.EXCHANGE)],
    ]
    for (const [what, step] of steps) {
      t.did(what, step())
      for (const name of ['.', 'd', 'd/4', 'e', 'e/x', 'd/file']) t.stat(name)
    }
  })

  it('a folder with very many entries costs as much for each as one with few', () => {
    const t = trialsIn(places).at(-1)!
    t.create('folder', 'd', 0o755)
    const spans: Record<string, number[]> = { create: [], 'look up': [], remove: [] }
    const timed = (what: string, action: () => void) => {
      const start = performance.now()
      action()
      spans[what].push(performance.now() - start)
    }
    const step = MANY / 10
    for (let i = 0; i < MANY; i += step) timed('create', () => fill(t, 'd', i, i + step))
    const names = fs.readdirSync(t.at('d'))
    assert.equal(names.length, MANY)
    assert.equal(new Set(names).size, MANY)
    for (let i = 0; i < MANY; i += step)
      timed('look up', () => {
        for (let k = i; k < i + step; k++) assert.equal(c.access(t.at('d', `entry-${k}`), 0), 0)
      })
    for (let i = 0; i < MANY; i += step)
      timed('remove', () => {
        for (let k = i; k < i + step; k++) assert.equal(c.unlink(t.at('d', `entry-${k}`)), 0)
      })
    assert.equal(c.rmdir(t.at('d')), 0)
    for (const [what, times] of Object.entries(spans)) {
      const [first, last] = [Math.min(...times.slice(0, 3)), Math.min(...times.slice(-3))]
      const each = times.map((ms) => `${((1000 * ms) / step).toFixed(0)}`).join(' ')
      if (process.env.PEERDRIVE_POSIX_SHOW) console.log(`${what}: ${each} µs each`)
      // A cost that grows with the folder would be ten times as much at its end.
      assert.ok(last < 5 * first, `${what}: ${each} µs each`)
    }
  })
})
