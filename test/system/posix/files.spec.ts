// Open files: flags of open(2), appending by several, files without a name, holes, room, mappings, locks, limits.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import * as c from './support/calls.js'
import { Mapped, PAGE } from './support/mapped.js'
import { Places } from './support/places.js'
import { Random } from './support/random.js'
import { inAllPlaces, type Trial } from './support/trial.js'

const { O, FALLOC } = c

const opened = (t: Trial, name: string, flags: number) => {
  const fd = c.open(t.at(name), flags, 0o644)
  assert.ok(fd >= 0, `open ${name}: ${c.said(fd)}`)
  return fd
}
const read = (t: Trial, name: string) => fs.readFileSync(t.at(name))

/** fallocate(2) on a file of 10,000 bytes. */
const ROOM: [string, number, number, number][] = [
  ['allocate within', 0, 100, 1000],
  ['allocate beyond', 0, 9000, 5000],
  ['allocate far beyond', 0, 200_000, 10_000],
  ['allocate beyond, keeping the size', FALLOC.KEEP_SIZE, 20_000, 90_000],
  ['nothing', 0, 100, 0],
  ['less than nothing', 0, 100, -1],
  ['from below zero', 0, -1, 100],
  ['punch within', FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 1000, 5000],
  ['punch over the end', FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 9000, 5000],
  ['punch beyond', FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 20_000, 5000],
  ['punch all', FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, 10_000],
  ['punch without keeping the size', FALLOC.PUNCH_HOLE, 0, 100],
  ['zero within', FALLOC.ZERO_RANGE, 1000, 5000],
  ['zero over the end', FALLOC.ZERO_RANGE, 9000, 5000],
  ['zero beyond', FALLOC.ZERO_RANGE, 20_000, 5000],
  ['zero over the end, keeping the size', FALLOC.ZERO_RANGE | FALLOC.KEEP_SIZE, 9000, 5000],
  ['punch and zero', FALLOC.PUNCH_HOLE | FALLOC.ZERO_RANGE | FALLOC.KEEP_SIZE, 0, 100],
  ['an unknown flag', 128, 0, 100],
]

describe('POSIX: open files', function () {
  this.timeout(120_000)
  const places = Places.use({ root: true })

  inAllPlaces(places, 'a descriptor does what it was opened for', (t) => {
    for (const [how, flags] of Object.entries({ read: O.RDONLY, write: O.WRONLY, both: O.RDWR, path: O.PATH })) {
      fs.writeFileSync(t.at('f'), 'content')
      const fd = opened(t, 'f', flags)
      t.did(`${how}: read`, c.pread(fd, Buffer.alloc(3), 0))
      t.did(`${how}: write`, c.pwrite(fd, Buffer.from('C'), 0))
      t.did(`${how}: ftruncate`, c.ftruncate(fd, 5))
      t.did(`${how}: fallocate`, c.fallocate(fd, 0, 0, 20))
      t.did(`${how}: fchmod`, c.fchmod(fd, 0o600))
      t.did(`${how}: fchown`, c.fchown(fd, 0, 0))
      t.did(`${how}: fsync`, c.fsync(fd))
      t.did(`${how}: seek below zero`, c.lseek(fd, -1, 0))
      t.did(`${how}: seek to data`, c.lseek(fd, 0, c.SEEK.DATA))
      t.did(`${how}: read below zero`, c.pread(fd, Buffer.alloc(3), -1))
      t.did(`${how}: truncate below zero`, c.ftruncate(fd, -1))
      c.close(fd)
      t.stat('f')
      t.remove('f')
    }
    const folder = c.open(t.at('.'), O.RDONLY)
    t.did('read a folder', c.pread(folder, Buffer.alloc(3), 0))
    t.did('cut a folder', c.ftruncate(folder, 0))
    t.did('allocate in a folder', c.fallocate(folder, 0, 0, 1))
    t.did('fsync of a folder', c.fsync(folder))
    c.close(folder)
  })

  inAllPlaces(places, 'two who append never write over each other, also with positions', (t) => {
    const fds = [0, 1, 2].map(() => opened(t, 'f', O.CREAT | O.WRONLY | O.APPEND))
    const random = new Random(3)
    for (let i = 0; i < 300; i++) {
      const line = Buffer.from(`${i}${'.'.repeat(random.below(900))}\n`)
      t.ok('append', i % 7 === 0 ? c.pwrite(fds[i % 3], line, 0) : c.write(fds[i % 3], line))
    }
    const other = opened(t, 'f', O.WRONLY)
    t.ok('a plain write', c.write(other, Buffer.from('X')))
    for (const fd of [...fds, other]) c.close(fd)
    const lines = read(t, 'f').toString().split('\n').slice(0, -1)
    assert.equal(lines.length, 300)
    lines.forEach((line, i) => {
      assert.equal(line.replace(/\.*$/, ''), i === 0 ? 'X' : `${i}`)
    })
  })

  inAllPlaces(places, 'a file without a name lives until its last descriptor is closed', (t) => {
    for (const size of [100, 300_000]) {
      fs.writeFileSync(t.at('f'), Buffer.alloc(size, 'a'))
      const reader = opened(t, 'f', O.RDONLY)
      const writer = opened(t, 'f', O.RDWR)
      t.expect('unlink', c.unlink(t.at('f')), 0)
      fs.writeFileSync(t.at('f'), 'another')
      t.note(`links ${fs.fstatSync(reader).nlink}`)
      t.ok('write', c.pwrite(writer, Buffer.alloc(size, 'b'), size))
      t.ok('fchmod', c.fchmod(writer, 0o600))
      t.did('a new name', c.linkat(c.AT_FDCWD, `/proc/self/fd/${reader}`, t.at('g'), c.AT_SYMLINK_FOLLOW))
      const again = c.open(`/proc/self/fd/${reader}`, O.RDWR)
      assert.ok(again >= 0)
      const into = Buffer.alloc(2 * size)
      t.did('read', c.pread(again, into, 0))
      assert.ok(into.subarray(0, size).every((b) => b === 97) && into.subarray(size).every((b) => b === 98))
      t.expect('truncate', c.ftruncate(again, 10), 0)
      t.note(`${fs.fstatSync(reader).size} ${fs.fstatSync(writer).mode.toString(8)}`)
      for (const fd of [reader, writer, again]) c.close(fd)
      assert.equal(read(t, 'f').toString(), 'another')
    }
  })

  inAllPlaces(places, 'O_TMPFILE: no name, unless it is given one', (t) => {
    const before = c.umask(0o027)
    const fd = c.open(t.at('.'), O.TMPFILE | O.RDWR, 0o666)
    const closed = c.open(t.at('.'), O.TMPFILE | O.RDWR | O.EXCL, 0o666)
    c.umask(before)
    t.note(`${fs.fstatSync(fd).nlink} ${fs.fstatSync(fd).mode.toString(8)}`)
    assert.deepEqual(t.list('.'), [])
    t.ok('write', c.pwrite(fd, Buffer.alloc(200_000, 't'), 0))
    const name = (from: number, to: string) =>
      c.linkat(c.AT_FDCWD, `/proc/self/fd/${from}`, t.at(to), c.AT_SYMLINK_FOLLOW)
    t.did('name one that may have none', name(closed, 'closed'))
    t.did('name it', name(fd, 'named'))
    t.did('name it once more', name(fd, 'second'))
    t.did('name it as something that exists', name(fd, 'named'))
    t.did('by descriptor', c.linkat(fd, '', t.at('third'), c.AT_EMPTY_PATH))
    t.stat('named')
    for (const used of [fd, closed]) c.close(used)
    assert.ok(read(t, 'second').equals(Buffer.alloc(200_000, 't')))
    t.list('.').forEach((entry) => {
      t.stat(entry)
    })
  })

  inAllPlaces(places, 'what is beyond the end reads as nothing, what was skipped as zeros', (t) => {
    const fd = opened(t, 'f', O.CREAT | O.RDWR)
    for (const [offset, length] of [
      [10, 5],
      [70_000, 10],
      [5_000_000, 100],
      [1_000_000, 4096],
    ]) {
      t.ok('write', c.pwrite(fd, Buffer.alloc(length, 'x'), offset))
      t.did('read beyond', c.pread(fd, Buffer.alloc(10), fs.fstatSync(fd).size))
      t.did('read over the end', c.pread(fd, Buffer.alloc(1000), fs.fstatSync(fd).size - 3))
    }
    c.close(fd)
    const bytes = read(t, 'f')
    t.note(`${bytes.length} ${bytes.filter((b) => b !== 0).length}`)
  })

  inAllPlaces(places, 'SEEK_DATA and SEEK_HOLE on a sparse file', (t) => {
    const fd = opened(t, 'f', O.CREAT | O.RDWR)
    t.expect('size', c.ftruncate(fd, 4 << 20), 0)
    for (const at of [1 << 20, 3 << 20]) t.ok('write', c.pwrite(fd, Buffer.alloc(65_536, 'd'), at))
    for (const at of [0, 1, 1 << 20, (1 << 20) + 5, (1 << 20) + 65_536, 2 << 20, 3 << 20, (4 << 20) - 1]) {
      t.did(`data from ${at}`, c.lseek(fd, at, c.SEEK.DATA))
      t.did(`hole from ${at}`, c.lseek(fd, at, c.SEEK.HOLE))
    }
    for (const at of [4 << 20, 5 << 20, -1]) {
      t.did(`data from ${at}`, c.lseek(fd, at, c.SEEK.DATA))
      t.did(`hole from ${at}`, c.lseek(fd, at, c.SEEK.HOLE))
    }
    t.did('an unknown whence', c.lseek(fd, 0, 7))
    assert.ok(fs.fstatSync(fd).blocks * 512 < 1 << 20, 'a sparse file takes no more room than its data')
    c.close(fd)
  })

  inAllPlaces(places, 'fallocate(2): sizes, bytes and errors', (t) => {
    for (const [what, mode, offset, length] of ROOM) {
      const fd = opened(t, 'f', O.CREAT | O.RDWR)
      c.pwrite(fd, Buffer.alloc(10_000, 'x'), 0)
      t.did(what, c.fallocate(fd, mode, offset, length))
      const bytes = read(t, 'f')
      t.note(`${bytes.length}: ${bytes.filter((b) => b === 0).length} zeros, first at ${bytes.indexOf(0)}`)
      c.close(fd)
      const again = read(t, 'f')
      assert.ok(again.equals(bytes), `${what}: other bytes after it was closed`)
      t.remove('f')
    }
  })

  it('more than the disk has is refused, and not taken from it', () => {
    const file = `${places.directories().at(-1)}/f`
    const free = () => fs.statfsSync(places.mount).bavail * fs.statfsSync(places.mount).bsize
    const fd = c.open(file, O.CREAT | O.RDWR, 0o644)
    assert.equal(c.said(c.fallocate(fd, 0, 0, free() + 2 ** 40)), 'ENOSPC')
    assert.equal(fs.fstatSync(fd).size, 0)
    assert.equal(fs.fstatSync(fd).blocks, 0)
    assert.equal(c.fallocate(fd, 0, 1, 100_000), 0)
    assert.equal(fs.fstatSync(fd).size, 100_001)
    c.close(fd)
  })

  it('fallocate(2) refuses to collapse and to insert', () => {
    const file = `${places.directories().at(-1)}/f`
    fs.writeFileSync(file, Buffer.alloc(20_000))
    const fd = c.open(file, O.RDWR)
    for (const mode of [FALLOC.COLLAPSE, FALLOC.INSERT])
      assert.equal(c.said(c.fallocate(fd, mode, 4096, 4096)), 'EOPNOTSUPP')
    c.close(fd)
  })

  inAllPlaces(places, 'copy_file_range(2): within a file, between files, over the end, with errors', (t) => {
    fs.writeFileSync(t.at('a'), new Random(1).bytes(200_000))
    fs.writeFileSync(t.at('b'), 'short')
    const [a, b] = ['a', 'b'].map((name) => opened(t, name, O.RDWR))
    const reading = opened(t, 'a', O.RDONLY)
    const writing = opened(t, 'b', O.WRONLY)
    const appending = opened(t, 'b', O.WRONLY | O.APPEND)
    const folder = c.open(t.at('.'), O.RDONLY)
    for (const [what, from, fromAt, to, toAt, length] of [
      ['within', a, 0, a, 100_000, 1000],
      ['within, overlapping', a, 0, a, 500, 1000],
      ['within, touching', a, 0, a, 1000, 1000],
      ['between', a, 10, b, 2, 70_000],
      ['over the end', a, 199_990, b, 0, 1000],
      ['from beyond the end', a, 200_001, b, 0, 1000],
      ['into a hole', b, 0, a, 500_000, 3],
      ['nothing', a, 0, b, 0, 0],
      ['from one that may not be read', writing, 0, a, 0, 10],
      ['into one that may not be written', a, 0, reading, 0, 10],
      ['into one that appends', a, 0, appending, 0, 10],
      ['from a folder', folder, 0, a, 0, 10],
      ['into a folder', a, 0, folder, 0, 10],
    ] as [string, number, number, number, number, number][])
      t.did(what, c.copyFileRange(from, fromAt, to, toAt, length))
    for (const fd of [a, b, reading, writing, appending, folder]) c.close(fd)
    for (const name of ['a', 'b']) t.note(`${read(t, name).length} ${checksum(read(t, name))}`)
  })

  inAllPlaces(places, 'mappings: shared ones are the file, private ones are not', (t) => {
    for (const size of [PAGE / 2, 30 * PAGE + 100]) {
      fs.writeFileSync(t.at('f'), Buffer.alloc(size, 'a'))
      const fd = opened(t, 'f', O.RDWR)
      const shared = Mapped.of(fd, 0, size, 'rw') as Mapped
      const second = Mapped.of(fd, 0, size, 'r') as Mapped
      const own = Mapped.of(fd, 0, size, 'rw', false) as Mapped
      shared.write(10, Buffer.from('shared'))
      assert.equal(second.read(10, 6).toString(), 'shared')
      assert.equal(read(t, 'f').toString('latin1', 10, 16), 'shared')
      own.write(20, Buffer.from('private'))
      assert.equal(read(t, 'f').toString('latin1', 20, 27), 'aaaaaaa')
      assert.equal(second.read(20, 7).toString(), 'aaaaaaa')
      c.pwrite(fd, Buffer.from('written'), 40)
      assert.equal(second.read(40, 7).toString(), 'written')
      shared.sync()
      t.moves(['f'], 'writing a mapping and syncing it', () => {
        shared.write(50, Buffer.from('later'))
        assert.equal(shared.sync(), 0)
      })
      c.close(fd)
      // A mapping outlives its descriptor.
      shared.write(60, Buffer.from('closed'))
      for (const mapped of [shared, second, own]) mapped.unmap()
      assert.equal(read(t, 'f').toString('latin1', 50, 66), 'lateraaaaaclosed')
      t.note(`${read(t, 'f').length}`)
    }
    const reading = opened(t, 'f', O.RDONLY)
    t.did('shared and writable of one that may not be written', Number(Mapped.of(reading, 0, PAGE, 'rw')))
    c.close(reading)
  })

  inAllPlaces(places, 'a mapping beyond the end reads zeros, which never become part of the file', (t) => {
    fs.writeFileSync(t.at('f'), Buffer.alloc(100, 'a'))
    const fd = opened(t, 'f', O.RDWR)
    const mapped = Mapped.of(fd, 0, PAGE, 'rw') as Mapped
    assert.ok(mapped.read(100, PAGE - 100).every((b) => b === 0))
    mapped.write(200, Buffer.from('beyond'))
    mapped.sync()
    mapped.unmap()
    t.expect('extend', c.ftruncate(fd, 1000), 0)
    c.close(fd)
    assert.ok(
      read(t, 'f')
        .subarray(100)
        .every((b) => b === 0),
    )
  })

  inAllPlaces(places, 'locks: flock(2), and those of open descriptions and processes', (t) => {
    t.create('file', 'f')
    const [a, b] = [0, 1].map(() => opened(t, 'f', O.RDWR))
    const flock = (fd: number, how: number) => c.call('int flock(int, int)', fd, how | 4)
    t.did('exclusive', flock(a, 2))
    t.did('exclusive by another', flock(b, 2))
    t.did('shared by another', flock(b, 1))
    t.did('shared instead', flock(a, 1))
    t.did('shared by another', flock(b, 1))
    t.did('unlock', flock(a, 8))
    t.did('exclusive by the other', flock(b, 2))
    for (const [what, set] of [
      ['of descriptions', 37],
      ['of the process', 6],
    ] as const) {
      const lock = (fd: number, type: number, start: number, length: number) =>
        c.call('int fcntl(int, int, const void *)', fd, set, flockOf(type, start, length))
      t.did(`${what}: write lock`, lock(a, 1, 0, 10))
      t.did(`${what}: the same by another`, lock(b, 1, 5, 10))
      t.did(`${what}: beside it`, lock(b, 1, 10, 10))
      t.did(`${what}: read lock over both`, lock(a, 0, 0, 0))
      t.did(`${what}: unlock`, lock(b, 2, 0, 0))
      t.did(`${what}: read lock over both`, lock(a, 0, 0, 0))
      t.did(`${what}: unlock`, lock(a, 2, 0, 0))
      t.did(`${what}: below zero`, lock(a, 1, -1, 10))
    }
    for (const fd of [a, b]) c.close(fd)
  })

  inAllPlaces(places, 'ETXTBSY, EFBIG, file size limits', (t) => {
    fs.copyFileSync('/bin/sleep', t.at('program'))
    c.chmod(t.at('program'), 0o755)
    const writer = opened(t, 'program', O.WRONLY)
    const busy = spawnSync(t.at('program').toString(), ['0'])
    t.note(`run while written: ${(busy.error as NodeJS.ErrnoException)?.code}`)
    c.close(writer)
    t.note(`run: ${spawnSync(t.at('program').toString(), ['0']).status}`)
    const running = spawn(t.at('program').toString(), ['30'])
    t.did('write while it runs', c.open(t.at('program'), O.WRONLY))
    t.did('truncate while it runs', c.truncate(t.at('program'), 0))
    running.kill('SIGKILL')
    const limited = `ulimit -f 8; trap '' XFSZ; head -c 20000 /dev/zero > '${t.at('limited')}'; echo $?`
    t.note(`beyond a limit: ${spawnSync('sh', ['-c', limited], { encoding: 'utf8' }).stdout}`)
    t.stat('limited')
    const fd = opened(t, 'huge', O.CREAT | O.RDWR)
    t.expect('beyond everything', c.ftruncate(fd, 2n ** 62n), 'EFBIG')
    t.expect('write beyond everything', c.pwrite(fd, Buffer.from('x'), 2n ** 62n), 'EFBIG')
    t.did('write at the very end', c.pwrite(fd, Buffer.from('x'), 2n ** 63n - 1n))
    t.expect('a hole of a TiB', c.ftruncate(fd, 2 ** 40), 0)
    t.did('at its end', c.pwrite(fd, Buffer.from('end'), 2 ** 40 - 3))
    const into = Buffer.alloc(3)
    t.did('read it', c.pread(fd, into, 2 ** 40 - 3))
    t.note(into.toString())
    t.expect('back to nothing', c.ftruncate(fd, 0), 0)
    c.close(fd)
  })

  inAllPlaces(places, 'FIFOs, sockets and devices are the kernel’s', (t) => {
    for (const kind of ['fifo', 'socket'] as const) {
      t.create(kind, kind)
      for (const [how, flags] of Object.entries({ read: O.RDONLY, write: O.WRONLY, both: O.RDWR })) {
        const fd = c.open(t.at(kind), flags | O.NONBLOCK)
        t.did(`open a ${kind} to ${how}`, fd < 0 ? fd : c.close(fd))
      }
      t.did('truncate', c.truncate(t.at(kind), 0))
    }
    const through = spawnSync('sh', ['-c', `(echo through > '${t.at('fifo')}' &); cat '${t.at('fifo')}'`])
    t.note(through.stdout.toString())
    t.stat('fifo')
  })

  it('statfs(2) tells what the disk below has', () => {
    const mount = fs.statfsSync(places.mount)
    const below = fs.statfsSync('/')
    assert.ok(mount.bsize > 0 && mount.blocks > 0 && mount.bfree <= mount.blocks && mount.bavail <= mount.bfree)
    assert.ok(mount.files >= mount.ffree)
    assert.ok(below.blocks > 0)
  })
})

function flockOf(type: number, start: number, length: number): Buffer {
  const lock = Buffer.alloc(32)
  lock.writeInt16LE(type, 0)
  lock.writeBigInt64LE(BigInt(start), 8)
  lock.writeBigInt64LE(BigInt(length), 16)
  return lock
}

function checksum(bytes: Buffer): number {
  let sum = 0
  for (const byte of bytes) sum = (Math.imul(sum, 31) + byte) | 0
  return sum
}
