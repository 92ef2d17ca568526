// Random operations on the bytes of a few files, each with a model of what must be in it. Owns descriptors, mappings, models. After
// every operation what is read must be what the model has; sizes too.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import * as c from './calls.js'
import { Mapped, PAGE } from './mapped.js'
import type { Random } from './random.js'

const { O } = c

export interface FileModelInit {
  /** Files of which `place(i)` answers the path. */
  files: number
  place: (file: number) => string
  random: Random
  /** Largest size of a file. */
  limit: number
  /** Whether fallocate(2) with FALLOC_FL_ZERO_RANGE is to be tried. */
  zeroRange?: boolean
}

interface Subject {
  path: string
  fd: number
  model: Buffer
  size: number
}

/** Operation with the file it works on; answers what it did, for the log. */
type Step = (subject: Subject) => string

export class FileModel {
  readonly log: string[] = []
  readonly #subjects: Subject[] = []
  readonly #r: Random
  readonly #limit: number
  readonly #steps: Step[]

  constructor(init: FileModelInit) {
    this.#r = init.random
    this.#limit = init.limit
    for (let i = 0; i < init.files; i++) {
      const path = init.place(i)
      const fd = c.open(path, O.CREAT | O.RDWR, 0o644)
      assert.ok(fd >= 0, `open: ${c.said(fd)}`)
      this.#subjects.push({ path, fd, model: Buffer.alloc(init.limit), size: 0 })
    }
    this.#steps = [
      ...[(s: Subject) => this.#read(s), (s: Subject) => this.#read(s), (s: Subject) => this.#mapRead(s)],
      ...[(s: Subject) => this.#write(s), (s: Subject) => this.#write(s), (s: Subject) => this.#mapWrite(s)],
      ...[(s: Subject) => this.#append(s), (s: Subject) => this.#truncate(s), (s: Subject) => this.#punch(s)],
      ...[(s: Subject) => this.#zero(s), (s: Subject) => this.#allocate(s), (s: Subject) => this.#copy(s)],
      ...[(s: Subject) => this.#reopen(s), (s: Subject) => this.#reopen(s), (s: Subject) => this.#seek(s)],
      ...[(s: Subject) => this.#writeOnly(s), (s: Subject) => this.#sync(s), (s: Subject) => this.#cut(s)],
    ]
  }

  step(): void {
    const subject = this.#r.of(this.#subjects)
    const at = this.#subjects.indexOf(subject)
    const done = this.#r.of(this.#steps)(subject)
    this.log.push(`${at}: ${done}`)
    const { size } = fs.fstatSync(subject.fd)
    assert.equal(size, subject.size, `size after ${this.tail()}`)
  }

  /** Everything must be as the models have it, also for whoever opens the files anew. */
  check(): void {
    for (const s of this.#subjects) this.#same(fs.readFileSync(s.path), s, 0, 'at the end')
  }

  close(): void {
    for (const { fd } of this.#subjects) c.close(fd)
  }

  tail(): string {
    return this.log.slice(-25).join('\n')
  }

  #range(most: number): [number, number] {
    const offset = this.#r.below(this.#limit)
    const length = 1 + this.#r.below(Math.min(most, this.#limit - offset))
    // Edges of pages are where mistakes are.
    if (this.#r.below(4) === 0) return [offset & ~(PAGE - 1), length]
    return [offset, length]
  }

  #most(): number {
    return this.#r.of([16, 600, 5000, 70_000, this.#limit])
  }

  #same(bytes: Buffer, s: Subject, offset: number, what: string): void {
    const wanted = s.model.subarray(offset, offset + bytes.length)
    if (bytes.equals(wanted)) return
    let i = 0
    while (bytes[i] === wanted[i]) i++
    const at = offset + i
    assert.fail(
      `${what}: byte ${at} of ${s.path} is ${bytes[i]}, not ${wanted[i]}, of ${s.size}; after\n${this.tail()}`,
    )
  }

  #read(s: Subject): string {
    const [offset, length] = this.#range(this.#most())
    const into = Buffer.alloc(length)
    const got = c.pread(s.fd, into, offset)
    assert.equal(got, Math.max(0, Math.min(length, s.size - offset)), `read ${offset}+${length} after ${this.tail()}`)
    this.#same(into.subarray(0, got), s, offset, 'read')
    return `read ${offset}+${length}`
  }

  #put(s: Subject, offset: number, bytes: Buffer): void {
    if (bytes.length === 0) return
    bytes.copy(s.model, offset)
    s.size = Math.max(s.size, offset + bytes.length)
  }

  #write(s: Subject): string {
    const [offset, length] = this.#range(this.#most())
    const bytes = this.#r.bytes(length)
    assert.equal(c.pwrite(s.fd, bytes, offset), length)
    this.#put(s, offset, bytes)
    return `write ${offset}+${length}`
  }

  /** Through a descriptor of its own that may not read, which is written past the kernel's cache. */
  #writeOnly(s: Subject): string {
    const [offset, length] = this.#range(this.#most())
    const bytes = this.#r.bytes(length)
    const fd = c.open(s.path, O.WRONLY)
    assert.equal(c.pwrite(fd, bytes, offset), length)
    c.close(fd)
    this.#put(s, offset, bytes)
    return `write ${offset}+${length} apart`
  }

  #append(s: Subject): string {
    const length = Math.min(1 + this.#r.below(3000), this.#limit - s.size)
    if (length <= 0) return 'append nothing'
    const bytes = this.#r.bytes(length)
    const fd = c.open(s.path, O.WRONLY | O.APPEND)
    assert.equal(c.write(fd, bytes), length)
    c.close(fd)
    this.#put(s, s.size, bytes)
    return `append ${length}`
  }

  #resize(s: Subject, size: number): void {
    if (size < s.size) s.model.fill(0, size, s.size)
    s.size = size
  }

  #truncate(s: Subject): string {
    const size = this.#r.below(this.#limit)
    const by = this.#r.below(2) === 0 ? c.ftruncate(s.fd, size) : c.truncate(s.path, size)
    assert.equal(by, 0)
    this.#resize(s, size)
    return `truncate ${size}`
  }

  #cut(s: Subject): string {
    if (this.#r.below(4) > 0) return 'nothing'
    c.close(c.open(s.path, O.WRONLY | O.TRUNC))
    this.#resize(s, 0)
    return 'cut'
  }

  #clear(s: Subject, offset: number, length: number): void {
    s.model.fill(0, offset, Math.max(offset, Math.min(offset + length, s.size)))
  }

  #punch(s: Subject): string {
    const [offset, length] = this.#range(this.#most())
    assert.equal(c.fallocate(s.fd, c.FALLOC.PUNCH_HOLE | c.FALLOC.KEEP_SIZE, offset, length), 0)
    this.#clear(s, offset, length)
    return `punch ${offset}+${length}`
  }

  #zero(s: Subject): string {
    const [offset, length] = this.#range(this.#most())
    const keep = this.#r.below(2)
    assert.equal(c.fallocate(s.fd, c.FALLOC.ZERO_RANGE | keep, offset, length), 0)
    this.#clear(s, offset, length)
    if (!keep) s.size = Math.max(s.size, offset + length)
    return `zero ${offset}+${length}${keep ? ' kept' : ''}`
  }

  #allocate(s: Subject): string {
    const [offset, length] = this.#range(this.#most())
    const keep = this.#r.below(2)
    assert.equal(c.fallocate(s.fd, keep, offset, length), 0)
    if (!keep) s.size = Math.max(s.size, offset + length)
    return `allocate ${offset}+${length}${keep ? ' kept' : ''}`
  }

  #copy(s: Subject): string {
    const from = this.#r.of(this.#subjects)
    const [offset, wanted] = this.#range(this.#most())
    const to = this.#r.below(this.#limit)
    const length = Math.min(wanted, this.#limit - to)
    const overlaps = from === s && offset < to + length && to < offset + length
    if (overlaps) return 'copy nothing'
    const result = c.copyFileRange(from.fd, offset, s.fd, to, length)
    assert.equal(result, Math.max(0, Math.min(length, from.size - offset)), `copy: ${c.said(result)} ${this.tail()}`)
    this.#put(s, to, Buffer.from(from.model.subarray(offset, offset + result)))
    if (result === 0) return 'copy nothing'
    return `copy ${offset}+${result} of ${this.#subjects.indexOf(from)} to ${to}`
  }

  #reopen(s: Subject): string {
    assert.equal(c.close(s.fd), 0)
    s.fd = c.open(s.path, O.RDWR)
    assert.ok(s.fd >= 0)
    return 'reopen'
  }

  #sync(s: Subject): string {
    assert.equal(c.fsync(s.fd), 0)
    return 'fsync'
  }

  #map(s: Subject, how: 'r' | 'rw', action: (mapped: Mapped, offset: number, length: number) => void): string {
    if (s.size === 0) return 'map nothing'
    const offset = this.#r.below(s.size)
    const length = 1 + this.#r.below(Math.min(this.#most(), s.size - offset))
    const start = offset & ~(PAGE - 1)
    const mapped = Mapped.of(s.fd, start, offset + length - start, how)
    if (typeof mapped === 'number') assert.fail(`mmap: ${c.said(mapped)}`)
    action(mapped, offset - start, length)
    return `${offset}+${length}`
  }

  #mapRead(s: Subject): string {
    const what = this.#map(s, 'r', (mapped, at, length) => {
      const start = mapped.length - length - at
      assert.equal(start, 0)
      const bytes = mapped.read(at, length)
      assert.equal(mapped.unmap(), 0)
      this.#mapped = bytes
    })
    const offset = Number(what.split('+')[0])
    if (what.includes('+')) this.#same(this.#mapped, s, offset, 'mapped read')
    return `mapped read ${what}`
  }

  #mapped: Buffer = Buffer.alloc(0)

  #mapWrite(s: Subject): string {
    const what = this.#map(s, 'rw', (mapped, at, length) => {
      this.#mapped = this.#r.bytes(length)
      mapped.write(at, this.#mapped)
      if (this.#r.below(2) === 0) assert.equal(mapped.sync(), 0)
      assert.equal(mapped.unmap(), 0)
    })
    if (what.includes('+')) this.#put(s, Number(what.split('+')[0]), this.#mapped)
    return `mapped write ${what}`
  }

  /** Where data and holes are said to be: holes must be zeros, in order, up to the size. */
  #seek(s: Subject): string {
    let at = 0
    while (at < s.size) {
      const data = c.lseek(s.fd, at, c.SEEK.DATA)
      if (data < 0) assert.equal(c.said(data), 'ENXIO', this.tail())
      const end = data < 0 ? s.size : data
      assert.ok(end >= at && end <= s.size, `data at ${data} after ${at}: ${this.tail()}`)
      for (let i = at; i < end; i++) if (s.model[i] !== 0) assert.fail(`a hole at ${i} has data: ${this.tail()}`)
      if (data < 0) break
      const hole = c.lseek(s.fd, data, c.SEEK.HOLE)
      assert.ok(hole > data && hole <= s.size, `hole at ${c.said(hole)} after ${data} of ${s.size}: ${this.tail()}`)
      at = hole
    }
    assert.equal(c.said(c.lseek(s.fd, s.size, c.SEEK.DATA)), 'ENXIO')
    return 'seek'
  }
}
