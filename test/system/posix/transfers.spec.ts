// Bytes that go other ways than by read(2) and write(2) of one buffer: vectors, pipes, from and to mappings of the same file, past the
// kernel's cache, beyond what there can be. What xfstests' generic cases 130, 246-248, 443, 525, 591, 647 and 708 are about.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import * as c from './support/calls.js'
import { Mapped, PAGE } from './support/mapped.js'
import { Places } from './support/places.js'
import { Random } from './support/random.js'
import { inAllPlaces, type Trial } from './support/trial.js'

const { O } = c
const SIZE = 40 * PAGE

const opened = (t: Trial, name: string, flags: number) => {
  const fd = c.open(t.at(name), flags, 0o644)
  assert.ok(fd >= 0, `open ${name}: ${c.said(fd)}`)
  return fd
}

/** `struct iovec[]` over parts of memory that begins at `address`. */
function vector(parts: [address: number, length: number][]): Buffer {
  const bytes = Buffer.alloc(16 * parts.length)
  parts.forEach(([address, length], i) => {
    bytes.writeBigUInt64LE(BigInt(address), 16 * i)
    bytes.writeBigUInt64LE(BigInt(length), 16 * i + 8)
  })
  return bytes
}

const pwritev = (fd: number, parts: [number, number][], offset: number, flags = 0) =>
  c.call('int64_t pwritev2(int, const void *, int, int64_t, int)', fd, vector(parts), parts.length, offset, flags)
const preadv = (fd: number, parts: [number, number][], offset: number) =>
  c.call('int64_t preadv2(int, const void *, int, int64_t, int)', fd, vector(parts), parts.length, offset, 0)
const RWF_APPEND = 16
const IOV_MAX = 1024

/** Memory at an address that stays: a mapping of a file beside, of `SIZE` random bytes. */
function memory(t: Trial): Mapped {
  fs.writeFileSync(t.at('memory'), new Random(5).bytes(SIZE))
  const fd = opened(t, 'memory', O.RDWR)
  const mapped = Mapped.of(fd, 0, SIZE, 'rw', false) as Mapped
  // Private pages of their own, not those of the file.
  mapped.write(0, mapped.read(0, SIZE))
  c.close(fd)
  return mapped
}

function same(t: Trial, name: string, wanted: Buffer): void {
  const found = fs.readFileSync(t.at(name))
  assert.equal(found.length, wanted.length, name)
  assert.ok(found.equals(wanted), name)
}

describe('POSIX: transfers', function () {
  this.timeout(60_000)
  const places = Places.use()

  inAllPlaces(
    places,
    'vectors: many parts, empty ones, over the edges of pages; appended wherever they are told to go',
    (t) => {
      const { address, unmap } = bound(memory(t))
      const source = fs.readFileSync(t.at('memory'))
      for (const [what, flags] of Object.entries({ cached: O.RDWR, 'write only': O.WRONLY })) {
        const fd = opened(t, what, flags | O.CREAT)
        const model = Buffer.alloc(4 * PAGE)
        const parts: [number, number][] = [
          [10, 1],
          [0, 0],
          [PAGE - 3, 7],
          [5 * PAGE, PAGE],
          [3, 2 * PAGE - 90],
        ]
        let at = 90
        for (const [from, length] of parts) {
          source.copy(model, at, from, from + length)
          at += length
        }
        const told = parts.map(([from, length]): [number, number] => [address + from, length])
        t.did(`${what}: written`, pwritev(fd, told, 90))
        t.did(`${what}: none`, pwritev(fd, [], 0))
        t.did(`${what}: too many`, pwritev(fd, Array(IOV_MAX + 1).fill([address, 1]), 0))
        t.did(`${what}: as many as may be`, pwritev(fd, Array(IOV_MAX).fill([address, 1]), at))
        t.did(`${what}: appended`, pwritev(fd, [[address, 5]], 0, RWF_APPEND))
        t.did(`${what}: below zero`, pwritev(fd, [[address, 5]], -5))
        c.close(fd)
        const end = Buffer.concat([model.subarray(0, at), Buffer.alloc(IOV_MAX, source[0]), source.subarray(0, 5)])
        same(t, what, end)
        // To where nothing is written from.
        const into = 20 * PAGE
        const reading = opened(t, what, O.RDONLY)
        t.did(
          `${what}: read in parts`,
          preadv(
            reading,
            [
              [address + into, 100],
              [address + into, 0],
              [address + into + 300, 10_000],
            ],
            50,
          ),
        )
        c.close(reading)
      }
      unmap()
    },
  )

  inAllPlaces(places, 'a vector that leads nowhere: what is before it is written, or nothing', (t) => {
    const { address, unmap } = bound(memory(t))
    const fd = opened(t, 'f', O.RDWR | O.CREAT)
    t.did('nowhere at all', pwritev(fd, [[8, 100]], 0))
    t.note(`${fs.fstatSync(fd).size}`)
    const written = pwritev(
      fd,
      [
        [address, 100],
        [8, 100],
      ],
      0,
    )
    // As much as fitted before the page that is not there, or nothing.
    assert.ok(written === 100 || c.said(written) === 'EFAULT', `${c.said(written)}`)
    assert.equal(fs.fstatSync(fd).size, Math.max(0, written))
    c.close(fd)
    unmap()
  })

  inAllPlaces(places, 'from and into a mapping of the same file', (t) => {
    const model = new Random(9).bytes(SIZE)
    fs.writeFileSync(t.at('f'), model)
    for (const [what, flags] of Object.entries({ cached: O.RDWR, 'past the cache': O.RDWR | O.DIRECT })) {
      const fd = opened(t, 'f', flags)
      const plain = opened(t, 'f', O.RDWR)
      const { address, unmap } = bound(Mapped.of(plain, 0, SIZE, 'rw') as Mapped)
      const copy = (from: number, to: number, length: number) => {
        t.did(`${what}: ${from} to ${to}`, pwritev(fd, [[address + from, length]], to))
        model.copy(model, to, from, from + length)
        t.did(`${what}: back`, preadv(fd, [[address + from, length]], to))
        same(t, 'f', model)
      }
      // Not in memory yet, the same page, and pages one after the other.
      assert.equal(c.call('int madvise(size_t, size_t, int)', address, SIZE, 4), 0)
      copy(8 * PAGE, 20 * PAGE, PAGE)
      copy(8 * PAGE, 12 * PAGE, 4 * PAGE)
      if (what === 'cached') copy(30 * PAGE + 10, 30 * PAGE + 200, 100)
      copy(0, 30 * PAGE, 10 * PAGE)
      unmap()
      c.close(fd)
      c.close(plain)
      same(t, 'f', model)
    }
  })

  inAllPlaces(places, 'past the kernel’s cache and through it, by turns', (t) => {
    const { address, unmap } = bound(memory(t))
    const source = fs.readFileSync(t.at('memory'))
    const model = Buffer.alloc(SIZE)
    const direct = opened(t, 'f', O.RDWR | O.CREAT | O.DIRECT)
    const cached = opened(t, 'f', O.RDWR)
    t.expect('size', c.ftruncate(cached, SIZE), 0)
    const random = new Random(3)
    const into = Buffer.alloc(SIZE)
    for (let i = 0; i < 60; i++) {
      const [from, to] = [random.below(20) * PAGE, random.below(20) * PAGE]
      const length = (1 + random.below(10)) * PAGE
      const fd = i % 2 === 0 ? direct : cached
      assert.equal(pwritev(fd, [[address + from, length]], to), length)
      source.copy(model, to, from, from + length)
      assert.equal(c.pread(cached, into, 0), SIZE)
      assert.ok(into.equals(model), `after ${i} writes`)
      assert.equal(preadv(direct, [[address, PAGE]], to), PAGE)
      const got = Buffer.alloc(PAGE)
      c.call('size_t memcpy(void *, size_t, size_t)', got, address, PAGE)
      assert.ok(got.equals(model.subarray(to, to + PAGE)), `read after ${i} writes`)
      // It was read into the memory that is written from.
      got.copy(source)
    }
    for (const fd of [direct, cached]) c.close(fd)
    same(t, 'f', model)
    unmap()
  })

  inAllPlaces(places, 'through pipes: splice(2), sendfile(2), tee', (t) => {
    const bytes = new Random(2).bytes(SIZE)
    fs.writeFileSync(t.at('from'), bytes)
    const [from, to] = [opened(t, 'from', O.RDONLY), opened(t, 'to', O.RDWR | O.CREAT)]
    const pipe = Buffer.alloc(8)
    assert.equal(c.call('int pipe(void *)', pipe), 0)
    const [out, into] = [pipe.readInt32LE(0), pipe.readInt32LE(4)]
    const splice = (a: number, aAt: Buffer | null, b: number, bAt: Buffer | null, length: number) =>
      c.call('int64_t splice(int, void *, int, void *, size_t, uint32_t)', a, aAt, b, bAt, length, 0)
    const int64 = (n: number) => {
      const at = Buffer.alloc(8)
      at.writeBigInt64LE(BigInt(n))
      return at
    }
    for (let at = 0; at < SIZE; ) {
      const n = splice(from, int64(at), into, null, 3 * PAGE + 5)
      assert.ok(n > 0, `${c.said(n)}`)
      for (let sent = 0; sent < n; ) sent += splice(out, null, to, int64(at + sent), n - sent)
      at += n
    }
    same(t, 'to', bytes)
    t.did('beyond the end', splice(from, int64(SIZE), into, null, 10))
    t.did('from a pipe to an appending one', splice(out, null, opened(t, 'to', O.WRONLY | O.APPEND), null, 10))
    const sendfile = (offset: Buffer | null, length: number) =>
      c.call('int64_t sendfile64(int, int, void *, size_t)', to, from, offset, length)
    assert.equal(c.lseek(to, 0, 0), 0)
    t.did('sent', sendfile(int64(100), SIZE))
    t.did('sent from beyond the end', sendfile(int64(SIZE + 1), 10))
    same(t, 'to', Buffer.concat([bytes.subarray(100), bytes.subarray(SIZE - 100)]))
    for (const fd of [from, to, out, into]) c.close(fd)
  })

  inAllPlaces(places, 'at the end of everything', (t) => {
    const fd = opened(t, 'f', O.RDWR | O.CREAT)
    t.ok('write', c.pwrite(fd, Buffer.from('x'), 0))
    for (const at of [2n ** 63n - 1n, 2n ** 63n - 2n, 2n ** 62n, 2n ** 40n]) {
      t.did(`read at ${at}`, c.pread(fd, Buffer.alloc(10), at))
    }
    t.did('a length below zero', c.fallocate(fd, 0, 2n ** 63n - 10n, 100))
    t.did('copy from there', c.copyFileRange(fd, 2 ** 40, fd, 0, 10))
    c.close(fd)
  })

  inAllPlaces(
    places,
    'a mapping beyond the end of its file, also when the file was cut, ends the program by SIGBUS',
    (t) => {
      fs.writeFileSync(t.at('f'), Buffer.alloc(3 * PAGE, 'f'))
      const program = `
      import koffi from 'koffi'
      import fs from 'node:fs'
      const libc = koffi.load(null)
      const mmap = libc.func('int64_t mmap(size_t, size_t, int, int, int, int64_t)')
      const memcpy = libc.func('size_t memcpy(void *, size_t, size_t)')
      const fd = fs.openSync(process.argv[1], 'r+')
      const at = Number(mmap(0, ${6 * PAGE}, 3, 1, fd, 0))
      const look = (page) => { memcpy(Buffer.alloc(1), at + page * ${PAGE}, 1); fs.writeSync(1, page + ' ') }
      look(2)
      fs.ftruncateSync(fd, ${PAGE})
      look(0)
      look(Number(process.argv[2]))`
      for (const page of ['1', '5', '0']) {
        const args = ['--input-type=module', '-e', program, t.at('f').toString(), page]
        const { stdout, signal } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: process.cwd() })
        t.note(`page ${page}: ${stdout} ${signal}`)
        fs.truncateSync(t.at('f').toString(), 3 * PAGE)
      }
    },
  )
})

const bound = (mapped: Mapped) => ({ address: mapped.address, unmap: () => mapped.unmap() })
