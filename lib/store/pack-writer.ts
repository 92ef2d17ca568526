// Appends chunks to packs: the committer's side. Owns the newest pack file and a buffer in front of it.
// Invariants: nothing below `end` of the last `kept()` is ever changed; `takeBack()` leaves the files as they were then.
// Order of a commit: append …, `sync()`, the LMDB transaction with the index, `kept()`.

import fs from 'node:fs'
import { typedError } from './errors.js'
import { syncDirectory, type VolumeLayout } from './layout.js'
import { copyFileRange } from './syscalls.js'
import type { ChunkLocation } from './tables.js'

/** A pack takes no more chunks once it is this long. */
export const PACK_MAX = 256 << 20
const BUFFER = 1 << 20

/** What is written in table `meta`: the pack that is appended to, its length, and the highest number in use. */
export interface PackState {
  pack: number
  end: number
  last: number
}

export class PackWriter {
  readonly #layout: VolumeLayout
  readonly #max: number
  #kept: PackState
  #now: PackState
  #fd = -1
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER)
  #buffered = 0
  /** Full packs that are not synced yet. */
  #full: number[] = []
  #newFiles = false
  #dirty = false

  constructor(components: { layout: VolumeLayout }, init: { state: PackState; packMax?: number }) {
    this.#layout = components.layout
    this.#kept = { ...init.state }
    this.#now = { ...init.state }
    this.#max = init.packMax ?? PACK_MAX
  }

  get state(): PackState {
    return { ...this.#now }
  }

  /** The bytes are in the pack when `flush()` or `sync()` returned. Throws NoSpaceError, DiskError: `takeBack()` then. */
  append(bytes: Uint8Array): ChunkLocation {
    this.#roll(bytes.length)
    const location = { pack: this.#now.pack, offset: this.#now.end, length: bytes.length }
    if (this.#buffered + bytes.length > BUFFER) this.flush()
    if (bytes.length > BUFFER) this.#write(bytes, location.offset)
    else {
      this.#buffer.set(bytes, this.#buffered)
      this.#buffered += bytes.length
    }
    this.#now.end += bytes.length
    this.#dirty = true
    return location
  }

  /** Copies a piece of another file, e.g. a chunk of a spool. */
  appendFrom(fd: number, offset: number, length: number): ChunkLocation {
    this.#roll(length)
    this.flush()
    const location = { pack: this.#now.pack, offset: this.#now.end, length }
    try {
      this.#copy(fd, offset, location)
    } catch (error) {
      throw typedError('chunks', error)
    }
    this.#now.end += length
    this.#dirty = true
    return location
  }

  #copy(fd: number, offset: number, to: ChunkLocation): void {
    let done = 0
    while (done < to.length) {
      const n = copyFileRange(fd, offset + done, this.#descriptor(), to.offset + done, to.length - done)
      if (n <= 0) break
      done += n
    }
    if (done === to.length) return
    // Not possible here, or beyond the end of the file: what is not there reads as zeros.
    const bytes = Buffer.alloc(to.length - done)
    fs.readSync(fd, bytes, 0, bytes.length, offset + done)
    this.#write(bytes, to.offset + done)
  }

  /** Goes on in the next pack if `length` more bytes do not fit into this one. */
  #roll(length: number): void {
    if (this.#now.end === 0 || this.#now.end + length <= this.#max) return
    this.next()
  }

  /** Goes on in the next pack, so that nothing is appended any more to the one that there is. */
  next(): void {
    if (this.#now.end === 0) return
    this.flush()
    this.#full.push(this.#descriptor())
    this.#fd = -1
    this.#now.last++
    this.#now.pack = this.#now.last
    this.#now.end = 0
  }

  #descriptor(): number {
    if (this.#fd >= 0) return this.#fd
    const { O_RDWR, O_CREAT } = fs.constants
    this.#fd = fs.openSync(this.#layout.pack(this.#now.pack), O_RDWR | O_CREAT, 0o600)
    // Nothing in it is committed, nor written, so its name may be new.
    if (this.#kept.pack !== this.#now.pack || this.#kept.end === 0) {
      fs.ftruncateSync(this.#fd)
      this.#newFiles = true
    }
    return this.#fd
  }

  #write(bytes: Uint8Array, position: number): void {
    try {
      const fd = this.#descriptor()
      let at = 0
      while (at < bytes.length) at += fs.writeSync(fd, bytes, at, bytes.length - at, position + at)
    } catch (error) {
      throw typedError('chunks', error)
    }
  }

  /** Hands what was appended to the kernel, so that it can be read. */
  flush(): void {
    if (this.#buffered === 0) return
    this.#write(this.#buffer.subarray(0, this.#buffered), this.#now.end - this.#buffered)
    this.#buffered = 0
  }

  /**
   * Makes a file (a spool that was written whole) a pack: by a hard link, so that it is still there under its old name should
   * the commit fail. Returns the pack's number.
   */
  adopt(file: string): number {
    const pack = this.#now.last + 1
    try {
      const fd = fs.openSync(file, 'r+')
      fs.fdatasyncSync(fd)
      fs.closeSync(fd)
      fs.rmSync(this.#layout.pack(pack), { force: true })
      fs.linkSync(file, this.#layout.pack(pack))
    } catch (error) {
      throw typedError('a pack', error)
    }
    this.#now.last = pack
    this.#newFiles = true
    return pack
  }

  /** Everything appended is on stable storage afterwards. Throws NoSpaceError, DiskError: `takeBack()` then. */
  sync(): void {
    try {
      this.flush()
      for (const fd of this.#full) fs.fdatasyncSync(fd)
      if (this.#dirty) fs.fdatasyncSync(this.#descriptor())
      if (this.#newFiles) syncDirectory(this.#layout.packs)
    } catch (error) {
      throw typedError('chunks', error)
    }
    this.#dirty = false
  }

  /** The index of everything appended is committed. */
  kept(): void {
    for (const fd of this.#full.splice(0)) fs.closeSync(fd)
    this.#newFiles = false
    this.#kept = { ...this.#now }
  }

  /** Forgets what was appended since `kept()`, in the files too. `state`: what is committed. */
  takeBack(state = this.#kept): void {
    this.#kept = { ...state }
    this.#buffered = 0
    this.#dirty = false
    this.#newFiles = false
    for (const fd of this.#full.splice(0)) fs.closeSync(fd)
    if (this.#fd >= 0) fs.closeSync(this.#fd)
    this.#fd = -1
    this.#now = { ...this.#kept }
    cutPacks(this.#layout, this.#kept)
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd)
    this.#fd = -1
  }
}

/**
 * Cuts what is not indexed off the packs: bytes behind `end` of the current one, and packs above the highest number in use.
 * Returns what it did and found, in words; a pack that is shorter than it should be is told and left alone.
 */
export function cutPacks(layout: VolumeLayout, state: PackState): { reports: string[]; short: boolean } {
  const reports: string[] = []
  for (const name of fs.readdirSync(layout.packs)) {
    const match = /^([0-9a-f]{8})\.pack$/.exec(name)
    if (match && Number.parseInt(match[1], 16) > state.last) {
      fs.rmSync(layout.pack(Number.parseInt(match[1], 16)), { force: true })
      reports.push(`Removed pack ${name}: nothing in it was committed.`)
    }
  }
  const file = layout.pack(state.pack)
  const size = fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size > state.end) {
    fs.truncateSync(file, state.end)
    reports.push(`Cut ${size - state.end} bytes off the end of a pack: they were not committed.`)
  }
  if (size < state.end) {
    reports.push(`Pack ${file} has ${size} bytes instead of ${state.end}: chunks are missing. Check the volume.`)
  }
  return { reports, short: size < state.end }
}
