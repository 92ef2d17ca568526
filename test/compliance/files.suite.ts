// Compliance: the content of files.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import { type Context, fails, fallocate, findPython, lseek, run, skip, test } from './context.js'

export function filesSuite(c: Context): void {
  test(c, 'a file has what was written to it', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, 'hello')
    assert.equal(await fs.readFile(`${d}/f`, 'utf8'), 'hello')
    await fs.writeFile(`${d}/f`, 'bye')
    assert.equal(await fs.readFile(`${d}/f`, 'utf8'), 'bye')
    assert.equal((await fs.stat(`${d}/f`)).size, 3)
  })

  test(c, 'an empty file', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, '')
    assert.equal((await fs.readFile(`${d}/f`)).length, 0)
    assert.equal((await fs.stat(`${d}/f`)).size, 0)
  })

  test(c, 'sizes around page and request borders', undefined, async (d) => {
    for (const size of [1, 4095, 4096, 4097, 65535, 65536, 131072 + 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]) {
      const bytes = randomBytes(size)
      await fs.writeFile(`${d}/f`, bytes)
      assert.ok((await fs.readFile(`${d}/f`)).equals(bytes), `${size} bytes`)
    }
  })

  test(c, 'writes at positions, read back through another descriptor at once', undefined, async (d) => {
    const file = await fs.open(`${d}/f`, 'w+')
    const other = await fs.open(`${d}/f`, 'r')
    await file.write(Buffer.from('0123456789'), 0, 10, 0)
    await file.write(Buffer.from('ab'), 0, 2, 4)
    await file.write(Buffer.from('Z'), 0, 1, 12)
    const into = Buffer.alloc(20)
    const { bytesRead } = await other.read(into, 0, 20, 0)
    assert.equal(into.toString('latin1', 0, bytesRead), '0123ab6789\0\0Z')
    assert.equal((await other.read(into, 0, 20, 13)).bytesRead, 0)
    await file.close()
    await other.close()
  })

  test(c, 'a write-only descriptor is seen by readers that have the pages cached', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, Buffer.alloc(10000, 'a'))
    assert.equal((await fs.readFile(`${d}/f`)).length, 10000)
    const file = await fs.open(`${d}/f`, constants.O_WRONLY)
    await file.write(Buffer.from('XYZ'), 0, 3, 4095)
    const now = await fs.readFile(`${d}/f`)
    assert.equal(now.toString('latin1', 4094, 4099), 'aXYZa')
    await file.close()
  })

  test(c, 'two appending writers lose nothing', undefined, async (d) => {
    const [a, b] = await Promise.all([fs.open(`${d}/log`, 'a'), fs.open(`${d}/log`, 'a')])
    const lines: Promise<unknown>[] = []
    for (let i = 0; i < 40; i++) lines.push(a.write(`a${i}\n`), b.write(`b${i}\n`))
    await Promise.all(lines)
    await Promise.all([a.close(), b.close()])
    const found = (await fs.readFile(`${d}/log`, 'utf8')).split('\n').slice(0, -1)
    assert.equal(found.length, 80)
    assert.equal(new Set(found).size, 80)
  })

  test(c, 'appending from another process goes to the end', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, 'one\n')
    const done = await run('sh', ['-c', `echo two >> '${d}/f'; echo three >> '${d}/f'`])
    assert.equal(done.code, 0, done.error)
    assert.equal(await fs.readFile(`${d}/f`, 'utf8'), 'one\ntwo\nthree\n')
  })

  test(c, 'truncating shorter and longer, by path and by descriptor', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, '0123456789')
    await fs.truncate(`${d}/f`, 4)
    assert.equal(await fs.readFile(`${d}/f`, 'utf8'), '0123')
    await fs.truncate(`${d}/f`, 6)
    assert.equal(await fs.readFile(`${d}/f`, 'latin1'), '0123\0\0')
    const file = await fs.open(`${d}/f`, 'r+')
    await file.truncate(2)
    await file.write(Buffer.from('!'), 0, 1, 3)
    await file.close()
    assert.equal(await fs.readFile(`${d}/f`, 'latin1'), '01\0!')
  })

  test(c, 'what was cut off by truncation does not come back', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, Buffer.alloc(200000, 'x'))
    await fs.truncate(`${d}/f`, 100)
    await fs.truncate(`${d}/f`, 200000)
    const bytes = await fs.readFile(`${d}/f`)
    assert.equal(bytes.length, 200000)
    assert.ok(bytes.subarray(0, 100).every((b) => b === 120))
    assert.ok(bytes.subarray(100).every((b) => b === 0))
  })

  test(c, 'O_TRUNC empties, also while others have the file open', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, 'long content')
    const reader = await fs.open(`${d}/f`, 'r')
    const writer = await fs.open(`${d}/f`, 'w')
    assert.equal((await reader.stat()).size, 0)
    await writer.write('new')
    assert.equal((await reader.readFile()).toString(), 'new')
    await writer.close()
    await reader.close()
  })

  test(c, 'O_EXCL refuses what exists, dangling symlinks too', undefined, async (d) => {
    const file = await fs.open(`${d}/f`, 'wx')
    await file.close()
    await fails(fs.open(`${d}/f`, 'wx'), 'EEXIST')
    await fs.symlink('nowhere', `${d}/l`)
    await fails(fs.open(`${d}/l`, 'wx'), 'EEXIST')
  })

  test(c, 'exactly one of many exclusive creators wins', undefined, async (d) => {
    const tries = await Promise.allSettled(Array.from({ length: 12 }, () => fs.open(`${d}/lock`, 'wx')))
    const won = tries.filter((t) => t.status === 'fulfilled')
    assert.equal(won.length, 1)
    await won[0].value.close()
  })

  test(c, 'sparse files read as zeros in their holes', undefined, async (d) => {
    const file = await fs.open(`${d}/f`, 'w+')
    await file.write(Buffer.from('end'), 0, 3, 3_000_000)
    const into = Buffer.alloc(1000, 1)
    await file.read(into, 0, 1000, 1_234_567)
    assert.ok(into.every((b) => b === 0))
    assert.equal((await file.stat()).size, 3_000_003)
    await file.close()
  })

  test(c, 'holes take no blocks', 'sparseBlocks', async (d) => {
    const file = await fs.open(`${d}/f`, 'w')
    await file.truncate(1 << 30)
    await file.write(Buffer.from('x'), 0, 1, 1 << 29)
    await file.close()
    const { blocks, size } = await fs.stat(`${d}/f`)
    assert.equal(size, 1 << 30)
    assert.ok(blocks * 512 < 1 << 28, `${blocks} blocks`)
  })

  test(c, 'SEEK_DATA and SEEK_HOLE find data and holes', 'seekHole', async (d) => {
    const MiB = 1 << 20
    const file = await fs.open(`${d}/f`, 'w+')
    await file.write(Buffer.alloc(MiB, 1), 0, MiB, 4 * MiB)
    await file.truncate(16 * MiB)
    const data = await lseek(file.fd, 0, 3)
    assert.ok(data > 0 && data <= 4 * MiB, `data at ${data}`)
    const hole = await lseek(file.fd, 4 * MiB, 4)
    assert.ok(hole >= 5 * MiB && hole < 16 * MiB, `hole at ${hole}`)
    assert.equal(await lseek(file.fd, 15 * MiB, 3), -6, 'ENXIO: no data after the last')
    await file.close()
  })

  test(c, 'fallocate reserves, keeps the size when asked, punches holes', 'fallocate', async (d) => {
    const file = await fs.open(`${d}/f`, 'w+')
    await file.write(Buffer.alloc(20000, 7), 0, 20000, 0)
    assert.equal(await fallocate(file.fd, 0, 0, 100000), 0)
    assert.equal((await file.stat()).size, 100000)
    assert.equal(await fallocate(file.fd, 1, 100000, 50000), 0)
    assert.equal((await file.stat()).size, 100000)
    assert.equal(await fallocate(file.fd, 3, 4096, 8192), 0)
    const into = Buffer.alloc(20000)
    await file.read(into, 0, 20000, 0)
    assert.ok(into.subarray(0, 4096).every((b) => b === 7))
    assert.ok(into.subarray(4096, 12288).every((b) => b === 0))
    assert.ok(into.subarray(12288).every((b) => b === 7))
    await file.close()
  })

  test(c, 'content beyond 4 GiB', 'hugeFiles', async (d) => {
    const at = 5 * 2 ** 30 + 12345
    const file = await fs.open(`${d}/f`, 'w+')
    await file.write(Buffer.from('far'), 0, 3, at)
    const into = Buffer.alloc(4)
    assert.equal((await file.read(into, 0, 4, at)).bytesRead, 3)
    assert.equal(into.toString('latin1', 0, 3), 'far')
    assert.equal((await file.stat()).size, at + 3)
    await file.truncate(2 ** 32 + 1)
    assert.equal((await file.stat()).size, 2 ** 32 + 1)
    await file.close()
  })

  test(c, 'a big file in big pieces, copied by the kernel', undefined, async (d) => {
    const bytes = randomBytes(5 << 20)
    await fs.writeFile(`${d}/a`, bytes)
    await fs.copyFile(`${d}/a`, `${d}/b`)
    assert.ok((await fs.readFile(`${d}/b`)).equals(bytes))
    assert.ok((await fs.readFile(`${d}/a`)).equals(bytes))
  })

  test(c, 'fsync and fdatasync of files and directories succeed', undefined, async (d) => {
    const file = await fs.open(`${d}/f`, 'w')
    await file.write('x')
    await file.sync()
    await file.datasync()
    await file.close()
    const directory = await fs.open(d, 'r')
    await directory.sync()
    await directory.close()
  })

  test(c, 'a removed file lives on in its descriptors', 'orphans', async (d) => {
    const file = await fs.open(`${d}/f`, 'w+')
    await file.write('before')
    await fs.unlink(`${d}/f`)
    assert.deepEqual(await fs.readdir(d), [])
    await file.write(Buffer.from(' after'), 0, 6, 6)
    const into = Buffer.alloc(12)
    await file.read(into, 0, 12, 0)
    assert.equal(into.toString(), 'before after')
    assert.equal((await file.stat()).nlink, 0)
    await file.truncate(3)
    await file.chmod(0o600)
    assert.equal((await file.stat()).size, 3)
    await fs.writeFile(`${d}/f`, 'another')
    assert.equal((await file.stat()).size, 3)
    await file.close()
    await fs.unlink(`${d}/f`)
    await fs.rmdir(d)
  })

  test(c, 'a replaced file lives on in its descriptors', 'orphans', async (d) => {
    await fs.writeFile(`${d}/f`, 'old')
    const file = await fs.open(`${d}/f`, 'r')
    await fs.writeFile(`${d}/g`, 'new content')
    await fs.rename(`${d}/g`, `${d}/f`)
    assert.equal((await file.readFile()).toString(), 'old')
    assert.equal(await fs.readFile(`${d}/f`, 'utf8'), 'new content')
    assert.deepEqual(await fs.readdir(d), ['f'])
    await file.close()
  })

  test(c, 'mmap: shared pages are written and seen, private ones are not', 'sharedMmap', async function (d) {
    const python = findPython() ?? skip(this, 'no python3')
    await fs.writeFile(`${d}/f`, Buffer.alloc(10000, 'a'))
    const done = await run(python, ['-c', MMAP, `${d}/f`])
    assert.equal(done.code, 0, done.error)
    const bytes = await fs.readFile(`${d}/f`)
    assert.equal(bytes.toString('latin1', 4094, 4101), 'aSHARED')
    assert.equal(bytes.length, 10000)
    assert.equal(bytes.indexOf('private'), -1)
  })
}

const MMAP = `
import mmap, os, sys
f = open(sys.argv[1], 'r+b')
m = mmap.mmap(f.fileno(), 0)
assert m[:3] == b'aaa'
m[4095:4101] = b'SHARED'
m.flush()
assert os.pread(f.fileno(), 6, 4095) == b'SHARED'
os.pwrite(f.fileno(), b'bbb', 0)
assert m[:4] == b'bbba', m[:4]
os.pwrite(f.fileno(), b'aaa', 0)
p = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
p[0:7] = b'private'
assert os.pread(f.fileno(), 7, 0) == b'aaaaaaa'
`
