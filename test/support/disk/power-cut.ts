// What may be on a disk after a power cut, from the log of what was done to it (recording-file-system.ts).
//
// The model is harsher than file systems in use: an fsync of a file makes its bytes and length last, not its name; names last with
// an fsync of their folder. Of what came after the last flush of a file any of its 512-byte sectors may have reached the disk or
// not, in any order, and the same for changes of its length; of the names of a folder, the first so many changes have (they
// are journaled in their order, each at once). Different files and folders know nothing of each other. A sector is whole or old.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { DiskOp } from './recording-file-system.js'

const SECTOR = 512
const ROOT = 1

type FileOp = DiskOp & { kind: 'data' | 'size' }

interface File {
  durable: Buffer
  pending: FileOp[]
}

interface Folder {
  durable: Map<string, number>
  pending: [string, number][][]
}

/** Whether what is not flushed is on the disk: all of it, nothing, or what chance says. */
export type Fate = 'all' | 'nothing' | 'some'

export class CutDisk {
  readonly #files = new Map<number, File>()
  readonly #folders = new Map<number, Folder>([[ROOT, { durable: new Map(), pending: [] }]])

  #file(ino: number): File {
    let file = this.#files.get(ino)
    if (!file) {
      file = { durable: Buffer.alloc(0), pending: [] }
      this.#files.set(ino, file)
    }
    return file
  }

  /** What happened next. */
  feed(op: DiskOp): void {
    if (op.kind === 'data' || op.kind === 'size') this.#file(op.ino).pending.push(op)
    else if (op.kind === 'folder') this.#folders.set(op.ino, { durable: new Map(), pending: [] })
    else if (op.kind === 'names') this.#folders.get(op.folder)!.pending.push(op.names)
    else if (op.kind === 'sync') this.#flushed(op.ino)
  }

  #flushed(ino: number): void {
    const folder = this.#folders.get(ino)
    if (folder) {
      for (const names of folder.pending.splice(0)) rename(folder.durable, names)
      return
    }
    const file = this.#file(ino)
    for (const op of file.pending.splice(0)) file.durable = applied(file.durable, op)
  }

  /** Writes what is left into a directory. `chance`: numbers from 0 to 1. Answers whether `top` is there. */
  writeTo(directory: string, top: string, fate: Fate, chance: () => number): boolean {
    const ino = this.#names(this.#folders.get(ROOT)!, fate, chance).get(top)
    if (ino === undefined) return false
    this.#write(directory, ino, fate, chance)
    return true
  }

  #write(at: string, ino: number, fate: Fate, chance: () => number): void {
    const folder = this.#folders.get(ino)
    if (!folder) return writeFileSync(at, this.#bytes(ino, fate, chance))
    mkdirSync(at)
    for (const [name, child] of this.#names(folder, fate, chance)) this.#write(path.join(at, name), child, fate, chance)
  }

  #names({ durable, pending }: Folder, fate: Fate, chance: () => number): Map<string, number> {
    const names = new Map(durable)
    const count = fate === 'all' ? pending.length : fate === 'nothing' ? 0 : Math.floor(chance() * (pending.length + 1))
    for (const change of pending.slice(0, count)) rename(names, change)
    return names
  }

  #bytes(ino: number, fate: Fate, chance: () => number): Buffer {
    const { durable, pending } = this.#file(ino)
    if (fate === 'nothing' || pending.length === 0) return durable
    let bytes: Buffer = Buffer.from(durable)
    for (const op of pending) {
      const roll = fate === 'all' ? 0 : chance()
      if (roll < 0.4) bytes = applied(bytes, op)
      else if (roll < 0.7 && op.kind === 'data') for (const piece of torn(op, chance)) bytes = applied(bytes, piece)
    }
    return bytes
  }
}

function rename(names: Map<string, number>, changes: [string, number][]): void {
  for (const [name, ino] of changes) {
    if (ino === 0) names.delete(name)
    else names.set(name, ino)
  }
}

function applied(bytes: Buffer, op: FileOp): Buffer {
  const size = op.kind === 'size' ? op.size : Math.max(bytes.length, op.offset + op.bytes.length)
  let made = bytes
  if (size !== bytes.length) {
    made = Buffer.alloc(size)
    bytes.copy(made, 0, 0, Math.min(size, bytes.length))
  }
  if (op.kind === 'data') made.set(op.bytes, op.offset)
  return made
}

/** Some of its sectors. */
function* torn(op: DiskOp & { kind: 'data' }, chance: () => number): Generator<DiskOp & { kind: 'data' }> {
  const end = op.offset + op.bytes.length
  for (let at = op.offset; at < end; ) {
    const next = Math.min(end, (Math.floor(at / SECTOR) + 1) * SECTOR)
    if (chance() < 0.5) yield { ...op, offset: at, bytes: op.bytes.subarray(at - op.offset, next - op.offset) }
    at = next
  }
}
