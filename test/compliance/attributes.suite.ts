// Compliance: modes, owners, times, extended attributes, special files, and what the whole file system says of itself.

import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import {
  type Context,
  fails,
  getxattr,
  isRoot,
  listxattr,
  mknod,
  NOBODY,
  removexattr,
  run,
  setxattr,
  skip,
  test,
  UTIME_NOW,
  UTIME_OMIT,
  utimens,
} from './context.js'

export function attributesSuite(c: Context): void {
  describe('modes and owners', () => modes(c))
  describe('times', () => times(c))
  describe('extended attributes', () => xattrs(c))
  describe('special files and statfs', () => special(c))
}

function modes(c: Context): void {
  test(c, 'chmod by path and descriptor', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, '')
    for (const mode of [0o644, 0o600, 0o755, 0o000, 0o4755, 0o2755, 0o1777]) {
      await fs.chmod(`${d}/f`, mode)
      assert.equal((await fs.stat(`${d}/f`)).mode & 0o7777, mode, mode.toString(8))
    }
    await fs.chmod(`${d}/f`, 0o600)
    const file = await fs.open(`${d}/f`, 'r')
    await file.chmod(0o640)
    assert.equal((await file.stat()).mode, 0o100640)
    await file.close()
  })

  test(c, 'the umask applies to what is made', undefined, async (d) => {
    const done = await run('sh', ['-c', `umask 027; : > '${d}/f'; mkdir '${d}/x'; umask 0; mkdir -m 1777 '${d}/t'`])
    assert.equal(done.code, 0, done.error)
    assert.equal((await fs.stat(`${d}/f`)).mode, 0o100640)
    assert.equal((await fs.stat(`${d}/x`)).mode, 0o040750)
    assert.equal((await fs.stat(`${d}/t`)).mode, 0o041777)
  })

  test(c, 'owners are kept, and whoever makes a file owns it', 'callerIds', async function (d) {
    if (!isRoot) skip(this, 'needs root')
    await fs.writeFile(`${d}/f`, '')
    await fs.chown(`${d}/f`, 1234, 70000)
    assert.deepEqual(await owner(`${d}/f`), [1234, 70000])
    await fs.chown(`${d}/f`, -1, 5)
    assert.deepEqual(await owner(`${d}/f`), [1234, 5])
    await fs.chmod(d, 0o777)
    const done = await run('sh', ['-c', `: > '${d}/mine'; mkdir '${d}/dir'; ln -s x '${d}/link'`], NOBODY)
    assert.equal(done.code, 0, done.error)
    for (const name of ['mine', 'dir', 'link'])
      assert.deepEqual(await owner(`${d}/${name}`), [NOBODY.uid, NOBODY.gid], name)
  })

  test(c, 'permissions bind those who are not root', 'callerIds', async function (d) {
    if (!isRoot) skip(this, 'needs root')
    await fs.writeFile(`${d}/secret`, 'x', { mode: 0o600 })
    await fs.writeFile(`${d}/open`, 'x', { mode: 0o644 })
    const tries = [
      'cat secret',
      'echo > secret',
      'echo > open',
      ': > new',
      'rm open',
      'chmod 777 open',
      'mv open moved',
    ]
    for (const attempt of tries) {
      const done = await run('sh', ['-c', `cd '${d}' && ${attempt}`], NOBODY)
      assert.notEqual(done.code, 0, attempt)
    }
    assert.equal((await run('cat', [`${d}/open`], NOBODY)).out, 'x')
  })

  test(c, 'a set-group-id directory hands its group on', 'callerIds', async function (d) {
    if (!isRoot) skip(this, 'needs root')
    await fs.mkdir(`${d}/g`)
    await fs.chown(`${d}/g`, 0, 777)
    await fs.chmod(`${d}/g`, 0o2775)
    await fs.writeFile(`${d}/g/f`, '')
    await fs.mkdir(`${d}/g/sub`)
    assert.equal((await fs.stat(`${d}/g/f`)).gid, 777)
    const sub = await fs.stat(`${d}/g/sub`)
    assert.equal(sub.gid, 777)
    assert.equal(sub.mode & 0o2000, 0o2000)
  })

  test(c, 'set-id bits vanish when somebody else writes, and on chown', 'setIds', async function (d) {
    if (!isRoot) skip(this, 'needs root')
    await fs.chmod(d, 0o777)
    for (const way of ['echo x >> f', 'echo x 1<> f', ': > f']) {
      await fs.writeFile(`${d}/f`, 'content')
      await fs.chmod(`${d}/f`, 0o6777)
      const done = await run('sh', ['-c', `cd '${d}' && ${way}`], NOBODY)
      assert.equal(done.code, 0, done.error)
      assert.equal((await fs.stat(`${d}/f`)).mode & 0o7777, 0o777, way)
    }
    await fs.chmod(`${d}/f`, 0o6777)
    await fs.chown(`${d}/f`, 1, 1)
    assert.equal((await fs.stat(`${d}/f`)).mode & 0o7777, 0o777, 'chown')
  })
}

async function owner(path: string): Promise<[number, number]> {
  const { uid, gid } = await fs.lstat(path)
  return [uid, gid]
}

function times(c: Context): void {
  test(c, 'are kept to the nanosecond, before 1970 and after 2106', 'nanoseconds', async (d) => {
    await fs.writeFile(`${d}/f`, '')
    for (const [atime, mtime] of [
      [1_600_000_000, 1_500_000_000],
      [-86_400, -1],
      [5_000_000_000, 17_000_000_000],
      [0, 1],
    ]) {
      assert.equal(await utimens(`${d}/f`, [atime, 123_456_789], [mtime, 987_654_321]), 0)
      const info = await fs.stat(`${d}/f`, { bigint: true })
      assert.equal(info.atimeNs, BigInt(atime) * 1_000_000_000n + 123_456_789n)
      assert.equal(info.mtimeNs, BigInt(mtime) * 1_000_000_000n + 987_654_321n)
    }
  })

  test(c, 'UTIME_OMIT leaves, UTIME_NOW sets one of them, with and without a handle', 'separateTimes', async (d) => {
    await fs.writeFile(`${d}/f`, '')
    assert.equal(await utimens(`${d}/f`, [100, 0], [200, 0]), 0)
    assert.equal(await utimens(`${d}/f`, [0, UTIME_OMIT], [300, 0]), 0)
    assert.deepEqual(await seconds(`${d}/f`), [100, 300])
    assert.equal(await utimens(`${d}/f`, [400, 0], [0, UTIME_OMIT]), 0)
    assert.deepEqual(await seconds(`${d}/f`), [400, 300])
    for (const flags of ['r', 'w']) {
      const file = await fs.open(`${d}/f`, flags)
      assert.equal(await utimens(file.fd, [0, UTIME_OMIT], [500, 0]), 0)
      await file.close()
      assert.deepEqual(await seconds(`${d}/f`), [400, 500])
    }
    const before = Date.now() / 1000 - 2
    assert.equal(await utimens(`${d}/f`, [600, 0], [0, UTIME_NOW]), 0)
    const [atime, mtime] = await seconds(`${d}/f`)
    assert.equal(atime, 600)
    assert.ok(mtime >= before)
  })

  test(c, 'whole seconds are kept', undefined, async (d) => {
    await fs.writeFile(`${d}/f`, '')
    await fs.utimes(`${d}/f`, 1_000_000_000, 1_000_000_000)
    assert.deepEqual(await seconds(`${d}/f`), [1_000_000_000, 1_000_000_000])
    await fs.mkdir(`${d}/x`)
    await fs.utimes(`${d}/x`, 1_000_000_000, 1_000_000_000)
    assert.deepEqual(await seconds(`${d}/x`), [1_000_000_000, 1_000_000_000])
  })

  test(
    c,
    'writing moves mtime and ctime, chmod ctime only, new entries the mtime of the directory',
    undefined,
    async (d) => {
      await fs.mkdir(`${d}/x`)
      await fs.writeFile(`${d}/x/f`, '')
      await fs.utimes(`${d}/x/f`, 1000, 1000)
      await fs.utimes(`${d}/x`, 1000, 1000)
      const before = await fs.stat(`${d}/x/f`)
      await fs.chmod(`${d}/x/f`, 0o600)
      const chmodded = await fs.stat(`${d}/x/f`)
      assert.equal(chmodded.mtimeMs, before.mtimeMs)
      assert.ok(chmodded.ctimeMs >= before.ctimeMs)
      await fs.appendFile(`${d}/x/f`, 'x')
      assert.ok((await fs.stat(`${d}/x/f`)).mtimeMs > 1_000_000)
      assert.equal((await fs.stat(`${d}/x`)).mtimeMs, 1_000_000)
      await fs.writeFile(`${d}/x/g`, '')
      assert.ok((await fs.stat(`${d}/x`)).mtimeMs > 1_000_000)
      await fs.utimes(`${d}/x`, 1000, 1000)
      await fs.unlink(`${d}/x/g`)
      assert.ok((await fs.stat(`${d}/x`)).mtimeMs > 1_000_000)
    },
  )
}

async function seconds(path: string): Promise<[number, number]> {
  const { atimeMs, mtimeMs } = await fs.stat(path)
  return [atimeMs / 1000, mtimeMs / 1000]
}

function xattrs(c: Context): void {
  test(c, 'are set, read, listed and removed', 'xattr', async (d) => {
    await fs.writeFile(`${d}/f`, '')
    assert.equal(await setxattr(`${d}/f`, 'user.one', Buffer.from([0, 1, 255])), 0)
    assert.equal(await setxattr(`${d}/f`, 'user.empty', Buffer.alloc(0)), 0)
    assert.deepEqual(await getxattr(`${d}/f`, 'user.one'), Buffer.from([0, 1, 255]))
    assert.deepEqual(await getxattr(`${d}/f`, 'user.empty'), Buffer.alloc(0))
    assert.deepEqual((await listxattr(`${d}/f`)).sort(), ['user.empty', 'user.one'])
    assert.equal(await getxattr(`${d}/f`, 'user.one', 0), 3)
    assert.equal(await getxattr(`${d}/f`, 'user.one', 2), -34)
    assert.equal(await removexattr(`${d}/f`, 'user.one'), 0)
    assert.equal(await removexattr(`${d}/f`, 'user.one'), -61)
    assert.equal(await getxattr(`${d}/f`, 'user.one'), -61)
    assert.deepEqual(await listxattr(`${d}/f`), ['user.empty'])
  })

  test(c, 'XATTR_CREATE and XATTR_REPLACE', 'xattr', async (d) => {
    await fs.mkdir(`${d}/x`)
    const value = Buffer.from('v')
    assert.equal(await setxattr(`${d}/x`, 'user.a', value, 2), -61)
    assert.equal(await setxattr(`${d}/x`, 'user.a', value, 1), 0)
    assert.equal(await setxattr(`${d}/x`, 'user.a', value, 1), -17)
    assert.equal(await setxattr(`${d}/x`, 'user.a', Buffer.from('w'), 2), 0)
    assert.deepEqual(await getxattr(`${d}/x`, 'user.a'), Buffer.from('w'))
  })

  test(c, 'a big value, and survival of rename', 'xattr', async (d) => {
    await fs.writeFile(`${d}/f`, '')
    const value = Buffer.alloc(16000, 'v')
    assert.equal(await setxattr(`${d}/f`, 'user.big', value), 0)
    await fs.rename(`${d}/f`, `${d}/g`)
    assert.deepEqual(await getxattr(`${d}/g`, 'user.big'), value)
  })
}

function special(c: Context): void {
  test(c, 'FIFOs, sockets and devices are what they were made as', 'specialFiles', async function (d) {
    assert.equal(await mknod(`${d}/fifo`, 0o010644, 0), 0)
    assert.ok((await fs.stat(`${d}/fifo`)).isFIFO())
    assert.equal(await mknod(`${d}/sock`, 0o140644, 0), 0)
    assert.ok((await fs.stat(`${d}/sock`)).isSocket())
    assert.equal(await mknod(`${d}/plain`, 0o100600, 0), 0)
    assert.ok((await fs.stat(`${d}/plain`)).isFile())
    const entries = await fs.readdir(d, { withFileTypes: true })
    assert.ok(entries.find((e) => e.name === 'fifo')!.isFIFO())
    if (!isRoot) skip(this, 'devices need root')
    assert.equal(await mknod(`${d}/null`, 0o020666, (1 << 8) | 3), 0)
    const device = await fs.stat(`${d}/null`)
    assert.ok(device.isCharacterDevice())
    assert.equal(device.rdev, (1 << 8) | 3)
  })

  test(c, 'a FIFO carries bytes between processes', 'specialFiles', async (d) => {
    const done = await run('sh', ['-c', `mkfifo '${d}/p' && (echo through > '${d}/p' &) && cat '${d}/p'`])
    assert.equal(done.out, 'through\n', done.error)
  })

  test(c, 'statfs tells sizes that make sense', undefined, async (d) => {
    const info = await fs.statfs(d)
    assert.ok(info.bsize >= 512)
    assert.ok(info.blocks > 0 && info.bfree <= info.blocks && info.bavail <= info.bfree)
  })

  test(c, 'programs work: tar, cp -a and rm -rf', undefined, async (d) => {
    await fs.mkdir(`${d}/tree/sub`, { recursive: true })
    await fs.writeFile(`${d}/tree/sub/f`, 'content', { mode: 0o640 })
    await fs.symlink('f', `${d}/tree/sub/l`)
    const script = `cd '${d}' && tar cf t.tar tree && mkdir out && tar xf t.tar -C out && cp -a out/tree copy && diff -r tree copy && rm -rf out tree`
    const done = await run('sh', ['-ec', script])
    assert.equal(done.code, 0, done.error)
    assert.equal((await fs.stat(`${d}/copy/sub/f`)).mode & 0o777, 0o640)
    assert.equal(await fs.readlink(`${d}/copy/sub/l`), 'f')
    await fails(fs.stat(`${d}/tree`), 'ENOENT')
  })
}
