// A disk for tests: a file system in memory that writes down everything that would reach a disk, in order. Whatever a program does below its mount is seen, by whatever library: write(2), mapped memory that is written back,
// O_DSYNC (the kernel asks for an fsync). Owns its log. Not seen: when a cache would have written back by itself.

import type { Attributes, Caller, Changes, Created, Errno } from '../../../lib/fuse/file-system.js'
import { MemoryFileSystem } from '../memory-file-system.js'

export type DiskOp =
  | { kind: 'data'; ino: number; offset: number; bytes: Uint8Array }
  | { kind: 'size'; ino: number; size: number }
  /** Names that change at once in a folder; 0: gone. */
  | { kind: 'names'; folder: number; names: [name: string, ino: number][] }
  | { kind: 'folder'; ino: number }
  /** Of a file or a folder. */
  | { kind: 'sync'; ino: number }
  /** Written by the test itself, into the file `notes` of the root. */
  | { kind: 'note'; text: string }

const NOTES = 'notes'

export class RecordingFileSystem extends MemoryFileSystem {
  log: DiskOp[] = []
  #notes = 0

  #names(folder: number, ...names: [Buffer, number][]): void {
    this.log.push({ kind: 'names', folder, names: names.map(([name, ino]) => [name.toString('latin1'), ino]) })
  }

  override mknod(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number): Attributes | Errno {
    const made = super.mknod(caller, parent, name, mode, rdev)
    if (typeof made !== 'number') this.#made(parent, name, made.ino)
    return made
  }

  #made(parent: number, name: Buffer, ino: number): void {
    if (parent === 1 && name.toString() === NOTES) this.#notes = ino
    else this.#names(parent, [name, ino])
  }

  override create(caller: Caller, parent: number, name: Buffer, mode: number, flags: number): Created | Errno {
    const made = super.create(caller, parent, name, mode, flags)
    if (typeof made !== 'number') this.#made(parent, name, made.attributes.ino)
    return made
  }

  override mkdir(caller: Caller, parent: number, name: Buffer, mode: number): Attributes | Errno {
    const made = super.mkdir(caller, parent, name, mode)
    if (typeof made === 'number') return made
    this.log.push({ kind: 'folder', ino: made.ino })
    this.#names(parent, [name, made.ino])
    return made
  }

  override link(caller: Caller, ino: number, parent: number, name: Buffer): Attributes | Errno {
    const made = super.link(caller, ino, parent, name)
    if (typeof made !== 'number') this.#names(parent, [name, ino])
    return made
  }

  override unlink(caller: Caller, parent: number, name: Buffer): Errno {
    const done = super.unlink(caller, parent, name)
    if (done === 0) this.#names(parent, [name, 0])
    return done
  }

  override rmdir(caller: Caller, parent: number, name: Buffer): Errno {
    const done = super.rmdir(caller, parent, name)
    if (done === 0) this.#names(parent, [name, 0])
    return done
  }

  override rename(c: Caller, parent: number, name: Buffer, to: number, newName: Buffer, flags: number): Errno {
    if (parent !== to || flags !== 0) throw new Error('Renames between folders are not recorded')
    const moved = this.lookup(c, parent, name)
    if (typeof moved === 'number') return moved
    this.forget(moved.ino, 1)
    const done = super.rename(c, parent, name, to, newName, flags)
    if (done === 0) this.#names(parent, [name, 0], [newName, moved.ino])
    return done
  }

  override setattr(caller: Caller, ino: number, changes: Changes): Attributes | Errno {
    if (changes.size === undefined) return super.setattr(caller, ino, changes)
    this.log.push({ kind: 'size', ino, size: changes.size })
    return super.setattr(caller, ino, changes)
  }

  override write(c: Caller, ino: number, handle: number, offset: number, data: Buffer, kill: boolean): number {
    if (ino === this.#notes) {
      this.log.push({ kind: 'note', text: data.toString() })
      return data.length
    }
    this.log.push({ kind: 'data', ino, offset, bytes: Uint8Array.from(data) })
    return super.write(c, ino, handle, offset, data, kill)
  }

  override fallocate(c: Caller, ino: number, handle: number, mode: number, offset: number, length: number): Errno {
    const done = super.fallocate(c, ino, handle, mode, offset, length)
    const { size } = this.nodes.get(ino)!
    if (done === 0 && mode & 2) {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
      this.log.push({ kind: 'data', ino, offset, bytes })
    } else if (done === 0 && !(mode & 1)) this.log.push({ kind: 'size', ino, size })
    return done
  }

  override copyFileRange(...args: Parameters<MemoryFileSystem['copyFileRange']>): number {
    const done = super.copyFileRange(...args)
    const [, , , , ino, , offset] = args
    if (done <= 0) return done
    const bytes = Buffer.alloc(done)
    this.nodes.get(ino)!.read(offset, bytes)
    this.log.push({ kind: 'data', ino, offset, bytes: Uint8Array.from(bytes) })
    return done
  }

  #sync(ino: number): Errno {
    this.log.push({ kind: 'sync', ino })
    return 0
  }

  override fsync(_caller?: Caller, ino = 0): Errno {
    return this.#sync(ino)
  }

  override fsyncdir(_caller?: Caller, ino = 0): Errno {
    return this.#sync(ino)
  }
}
