// Compliance: directories, names, renaming and links.

import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { type Context, fails, renameat2, test } from './context.js'

const NOREPLACE = 1
const EXCHANGE = 2

export function namesSuite(c: Context): void {
  describe('directories', () => directories(c))
  describe('names', () => names(c))
  describe('rename', () => renames(c))
  describe('links', () => links(c))
}

function directories(c: Context): void {
  test(c, 'are made, listed and removed', undefined, async (d) => {
    await fs.mkdir(`${d}/a/b/c`, { recursive: true })
    assert.deepEqual(await fs.readdir(`${d}/a`), ['b'])
    await fails(fs.mkdir(`${d}/a`), 'EEXIST')
    await fails(fs.rmdir(`${d}/a`), 'ENOTEMPTY')
    await fails(fs.unlink(`${d}/a`), 'EISDIR')
    await fs.rmdir(`${d}/a/b/c`)
    await fs.rmdir(`${d}/a/b`)
    await fs.rmdir(`${d}/a`)
    assert.deepEqual(await fs.readdir(d), [])
    await fails(fs.rmdir(`${d}/a`), 'ENOENT')
  })

  test(c, 'count their subdirectories as links', undefined, async (d) => {
    const before = (await fs.stat(d)).nlink
    await fs.mkdir(`${d}/a`)
    await fs.mkdir(`${d}/b`)
    await fs.writeFile(`${d}/f`, '')
    assert.equal((await fs.stat(d)).nlink, before + 2)
    await fs.rmdir(`${d}/a`)
    assert.equal((await fs.stat(d)).nlink, before + 1)
  })

  test(c, 'hold many entries, all listed once', undefined, async (d) => {
    const wanted = Array.from({ length: 400 }, (_, i) => `entry-with-a-rather-long-name-${i}`)
    for (let i = 0; i < wanted.length; i += 50)
      await Promise.all(wanted.slice(i, i + 50).map((name) => fs.writeFile(`${d}/${name}`, name)))
    const found = await fs.readdir(d, { withFileTypes: true })
    assert.deepEqual(found.map((e) => e.name).sort(), [...wanted].sort())
    assert.ok(found.every((e) => e.isFile()))
    await fs.rm(d, { recursive: true })
    await fails(fs.stat(d), 'ENOENT')
  })

  test(
    c,
    'a listing under way neither loses nor repeats what stays, while others come and go',
    undefined,
    async (d) => {
      for (let i = 0; i < 300; i++) await fs.writeFile(`${d}/stay${i}`, '')
      for (let i = 0; i < 100; i++) await fs.writeFile(`${d}/go${i}`, '')
      const listing = await fs.opendir(d, { bufferSize: 8 })
      const seen: string[] = []
      let step = 0
      for (let entry = await listing.read(); entry; entry = await listing.read()) {
        seen.push(entry.name)
        if (step < 100) {
          await fs.unlink(`${d}/go${step}`)
          await fs.writeFile(`${d}/new${step}`, '')
        }
        step++
      }
      await listing.close()
      const stayed = seen.filter((name) => name.startsWith('stay'))
      assert.equal(stayed.length, 300)
      assert.equal(new Set(seen).size, seen.length, 'no name twice')
    },
  )

  test(c, 'nothing can be made in a removed one', 'orphans', async (d) => {
    await fs.mkdir(`${d}/a`)
    const open = await fs.open(`${d}/a`, 'r')
    await fs.rmdir(`${d}/a`)
    await fails(fs.writeFile(`/proc/self/fd/${open.fd}/f`, 'x'), 'ENOENT')
    await open.close()
  })

  test(c, 'ENOTDIR and ENOENT on the way', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, '')
    await fails(fs.stat(`${d}/f/x`), 'ENOTDIR')
    await fails(fs.stat(`${d}/none/x`), 'ENOENT')
    await fails(fs.rmdir(`${d}/f`), 'ENOTDIR')
    await fails(fs.readdir(`${d}/f`), 'ENOTDIR')
    await fails(fs.open(d, 'w'), 'EISDIR')
  })
}

function names(c: Context): void {
  test(c, '255 bytes are a name, 256 are not', undefined, async (d) => {
    const longest = 'x'.repeat(255)
    await fs.writeFile(`${d}/${longest}`, 'ok')
    assert.equal(await fs.readFile(`${d}/${longest}`, 'utf8'), 'ok')
    assert.deepEqual(await fs.readdir(d), [longest])
    const wide = 'ä'.repeat(127)
    await fs.mkdir(`${d}/${wide}`)
    const over = 'x'.repeat(256)
    await fails(fs.writeFile(`${d}/${over}`, ''), 'ENAMETOOLONG')
    await fails(fs.stat(`${d}/${over}`), 'ENAMETOOLONG')
    await fails(fs.mkdir(`${d}/${over}`), 'ENAMETOOLONG')
    await fails(fs.rename(`${d}/${longest}`, `${d}/${over}`), 'ENAMETOOLONG')
    await fails(fs.symlink('t', `${d}/${over}`), 'ENAMETOOLONG')
  })

  test(c, 'any UTF-8, not normalized, case matters', undefined, async (d) => {
    const all = ['\u00e9', 'e\u0301', 'A', 'a', ' ', 'line\nbreak', '"quote\'', '日本語', '🙂', '\\', '...', '-rf', '*']
    for (const name of all) await fs.writeFile(`${d}/${name}`, name)
    assert.deepEqual((await fs.readdir(d)).sort(), [...all].sort())
    for (const name of all) assert.equal(await fs.readFile(`${d}/${name}`, 'utf8'), name)
  })

  test(c, 'any bytes but NUL and slash', 'anyBytes', async (d) => {
    const made: string[] = []
    for (let byte = 1; byte < 256; byte++) {
      if (byte === 0x2f || byte === 0x2e) continue
      const name = Buffer.from([byte])
      await fs.writeFile(Buffer.concat([Buffer.from(`${d}/`), name]), name)
      made.push(name.toString('hex'))
    }
    const found = await fs.readdir(d, { encoding: 'buffer' })
    assert.deepEqual(found.map((name) => name.toString('hex')).sort(), made.sort())
    for (const name of found)
      assert.ok((await fs.readFile(Buffer.concat([Buffer.from(`${d}/`), name]))).equals(name), name.toString('hex'))
  })

  test(c, 'a path of 40 long names', 'longPaths', async (d) => {
    const part = 'p'.repeat(90)
    const deep = `${d}${`/${part}`.repeat(40)}`
    await fs.mkdir(deep, { recursive: true })
    await fs.writeFile(`${deep}/f`, 'deep')
    assert.equal(await fs.readFile(`${deep}/f`, 'utf8'), 'deep')
    await fs.rename(`${d}/${part}`, `${d}/q`)
    assert.equal(await fs.readFile(`${d}/q${`/${part}`.repeat(39)}/f`, 'utf8'), 'deep')
  })

  test(c, 'a missing name appears as soon as it is made', undefined, async (d) => {
    for (let i = 0; i < 3; i++) {
      await fails(fs.stat(`${d}/f`), 'ENOENT')
      await fs.writeFile(`${d}/f`, 'x')
      assert.equal((await fs.stat(`${d}/f`)).size, 1)
      await fs.unlink(`${d}/f`)
    }
    await fs.mkdir(`${d}/f`)
    assert.ok((await fs.stat(`${d}/f`)).isDirectory())
  })
}

function renames(c: Context): void {
  test(c, 'in a directory and across', undefined, async (d) => {
    await fs.mkdir(`${d}/x`)
    await fs.writeFile(`${d}/a`, '1')
    const { ino } = await fs.stat(`${d}/a`)
    await fs.rename(`${d}/a`, `${d}/b`)
    await fails(fs.stat(`${d}/a`), 'ENOENT')
    await fs.rename(`${d}/b`, `${d}/x/c`)
    assert.deepEqual(await fs.readdir(d), ['x'])
    assert.equal(await fs.readFile(`${d}/x/c`, 'utf8'), '1')
    assert.equal((await fs.stat(`${d}/x/c`)).ino, ino)
    await fails(fs.rename(`${d}/none`, `${d}/y`), 'ENOENT')
  })

  test(c, 'a file over a file', undefined, async (d) => {
    await fs.writeFile(`${d}/a`, 'new')
    await fs.writeFile(`${d}/b`, 'old')
    await fs.rename(`${d}/a`, `${d}/b`)
    assert.deepEqual(await fs.readdir(d), ['b'])
    assert.equal(await fs.readFile(`${d}/b`, 'utf8'), 'new')
  })

  test(c, 'a directory over an empty one, not over a full one, a file or itself', undefined, async (d) => {
    await fs.mkdir(`${d}/a/in`, { recursive: true })
    await fs.mkdir(`${d}/empty`)
    await fs.rename(`${d}/a`, `${d}/empty`)
    assert.deepEqual(await fs.readdir(`${d}/empty`), ['in'])
    await fs.mkdir(`${d}/b`)
    await fails(fs.rename(`${d}/b`, `${d}/empty`), 'ENOTEMPTY')
    await fs.writeFile(`${d}/f`, '')
    await fails(fs.rename(`${d}/b`, `${d}/f`), 'ENOTDIR')
    await fails(fs.rename(`${d}/f`, `${d}/b`), 'EISDIR')
    await fails(fs.rename(`${d}/empty`, `${d}/empty/in/x`), 'EINVAL')
  })

  test(c, 'a directory to another parent moves its links and its ..', undefined, async (d) => {
    await fs.mkdir(`${d}/a/child`, { recursive: true })
    await fs.mkdir(`${d}/b`)
    await fs.rename(`${d}/a/child`, `${d}/b/child`)
    assert.equal((await fs.stat(`${d}/a`)).nlink, 2)
    assert.equal((await fs.stat(`${d}/b`)).nlink, 3)
    assert.equal((await fs.stat(`${d}/b/child/..`)).ino, (await fs.stat(`${d}/b`)).ino)
  })

  test(c, 'one name of a file over another one of it does nothing', 'hardLinks', async (d) => {
    await fs.writeFile(`${d}/a`, 'x')
    await fs.link(`${d}/a`, `${d}/b`)
    await fs.rename(`${d}/a`, `${d}/b`)
    assert.deepEqual((await fs.readdir(d)).sort(), ['a', 'b'])
  })

  test(c, 'over a file is never seen half done', 'atomicReplace', async (d) => {
    await fs.writeFile(`${d}/f`, 'v')
    let over = false
    const reader = (async () => {
      let reads = 0
      for (; !over; reads++) assert.ok((await fs.readFile(`${d}/f`, 'utf8')).startsWith('v'))
      return reads
    })()
    reader.catch(() => {})
    try {
      for (let i = 0; i < 60; i++) {
        await fs.writeFile(`${d}/tmp`, `v${i}`)
        await fs.rename(`${d}/tmp`, `${d}/f`)
      }
    } finally {
      over = true
    }
    assert.ok((await reader) > 0)
  })

  test(c, 'NOREPLACE refuses an existing name', 'renameFlags', async (d) => {
    await fs.writeFile(`${d}/a`, 'a')
    await fs.writeFile(`${d}/b`, 'b')
    assert.equal(await renameat2(`${d}/a`, `${d}/b`, NOREPLACE), -17)
    assert.equal(await renameat2(`${d}/a`, `${d}/c`, NOREPLACE), 0)
    assert.deepEqual((await fs.readdir(d)).sort(), ['b', 'c'])
  })

  test(c, 'EXCHANGE swaps files and directories', 'renameFlags', async (d) => {
    await fs.mkdir(`${d}/sub/dir`, { recursive: true })
    await fs.writeFile(`${d}/f`, 'file')
    assert.equal(await renameat2(`${d}/f`, `${d}/sub/dir`, EXCHANGE), 0)
    assert.equal(await fs.readFile(`${d}/sub/dir`, 'utf8'), 'file')
    assert.ok((await fs.stat(`${d}/f`)).isDirectory())
    assert.equal((await fs.stat(`${d}/sub`)).nlink, 2)
    assert.equal(await renameat2(`${d}/f`, `${d}/none`, EXCHANGE), -2)
  })
}

function links(c: Context): void {
  test(c, 'hard: one file, many names', 'hardLinks', async (d) => {
    await fs.writeFile(`${d}/a`, '1')
    await fs.mkdir(`${d}/x`)
    await fs.link(`${d}/a`, `${d}/x/b`)
    const [a, b] = [await fs.stat(`${d}/a`), await fs.stat(`${d}/x/b`)]
    assert.equal(a.ino, b.ino)
    assert.equal(a.nlink, 2)
    assert.equal(b.nlink, 2)
    await fs.chmod(`${d}/x/b`, 0o640)
    assert.equal((await fs.stat(`${d}/a`)).mode & 0o777, 0o640)
    await fs.appendFile(`${d}/x/b`, '2')
    assert.equal(await fs.readFile(`${d}/a`, 'utf8'), '12')
    await fs.unlink(`${d}/a`)
    assert.equal((await fs.stat(`${d}/x/b`)).nlink, 1)
    assert.equal(await fs.readFile(`${d}/x/b`, 'utf8'), '12')
  })

  test(c, 'hard: not over a name, not of a directory', 'hardLinks', async (d) => {
    await fs.writeFile(`${d}/a`, '')
    await fs.writeFile(`${d}/b`, '')
    await fs.mkdir(`${d}/dir`)
    await fails(fs.link(`${d}/a`, `${d}/b`), 'EEXIST')
    await fails(fs.link(`${d}/dir`, `${d}/c`), 'EPERM')
    await fails(fs.link(`${d}/none`, `${d}/c`), 'ENOENT')
  })

  test(c, 'symbolic: any target, followed or not', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, 'there')
    const targets = ['f', './f', '/absolute/nowhere', 'ümlaut', 'x'.repeat(1000), 'a/../f']
    for (const [i, target] of targets.entries()) {
      await fs.symlink(target, `${d}/l${i}`)
      assert.equal(await fs.readlink(`${d}/l${i}`), target)
      const info = await fs.lstat(`${d}/l${i}`)
      assert.ok(info.isSymbolicLink())
      assert.equal(info.size, Buffer.byteLength(target))
    }
    assert.equal(await fs.readFile(`${d}/l0`, 'utf8'), 'there')
    await fails(fs.readFile(`${d}/l2`), 'ENOENT')
    await fs.symlink('loop', `${d}/loop`)
    await fails(fs.readFile(`${d}/loop`), 'ELOOP')
    await fs.unlink(`${d}/l0`)
    assert.equal(await fs.readFile(`${d}/f`, 'utf8'), 'there')
    await fails(fs.readlink(`${d}/f`), 'EINVAL')
  })
}
