// A file system of inode numbers as fuse-native wants it: by path, with callbacks. Owns nothing beyond its base.

import { ERANGE } from './errno.js'
import type { Attributes, Changes, Errno } from './file-system.js'
import type { Signal } from './native-module.js'
import { type Done, PathWalker, ROOT } from './path-walker.js'

const PAGE_OF_ENTRIES = 256
const O_RDWR = 2
const UNCHANGED = 0xffffffff

export class PathFace extends PathWalker {
  /** The operations for fuse-native. Without `access` and `flush`: the kernel then does not ask again. */
  operations(): object {
    const { fs, caller } = this
    return {
      getattr: (p: string, done: Done) =>
        this.attributes(
          done,
          this.at(p, (ino) => fs.getattr(caller, ino)),
        ),
      fgetattr: (_p: string, fd: number, done: Done) =>
        this.attributes(
          done,
          this.on(fd, (h) => fs.getattr(caller, h.ino, h.handle)),
        ),
      readlink: (p: string, done: Done) =>
        this.answer(done, async () => {
          const target = await this.at(p, (ino) => fs.readlink(caller, ino))
          return typeof target === 'number' ? [target] : [0, target.toString()]
        }),
      readdir: (p: string, done: Done) => this.answer(done, () => this.list(p)),
      statfs: (_p: string, done: Done) => this.answer(done, () => this.statfs()),
      ...this.changes(),
      ...this.names(),
      ...this.files(),
      setxattr: (p: string, name: string, value: Buffer, _position: number, flags: number, done: Done) => {
        const copy = Buffer.from(value)
        this.errno(
          done,
          this.at(p, (ino) => fs.setxattr(caller, ino, Buffer.from(name), copy, flags)),
        )
      },
      getxattr: () => {},
      listxattr: () => {},
      removexattr: (p: string, name: string, done: Done) =>
        this.errno(
          done,
          this.at(p, (ino) => fs.removexattr(caller, ino, Buffer.from(name))),
        ),
    }
  }

  /** In place of fuse-native's own, which does not tell how much room there is. */
  getxattr(signal: Signal, path: string, name: string, into: Buffer): void {
    this.sized(
      signal,
      into,
      this.at(path, (ino) => this.fs.getxattr(this.caller, ino, Buffer.from(name))),
    )
  }

  /** In place of fuse-native's own, which makes the length up. */
  listxattr(signal: Signal, path: string, into: Buffer): void {
    this.sized(
      signal,
      into,
      this.at(path, (ino) => this.fs.listxattr(this.caller, ino)),
    )
  }

  private sized(signal: Signal, into: Buffer, value: Promise<Buffer | Errno>): void {
    const done = (result: number) => signal(result, into.buffer)
    this.answer(done, async () => {
      const found = await value
      if (typeof found === 'number') return [found]
      if (into.length === 0) return [found.length]
      if (found.length > into.length) return [ERANGE]
      found.copy(into)
      return [found.length]
    })
  }

  private changes(): object {
    const set = (p: string, done: Done, changes: Changes) =>
      this.errno(
        done,
        this.at(p, (ino) => this.fs.setattr(this.caller, ino, changes)),
      )
    return {
      chmod: (p: string, mode: number, done: Done) => set(p, done, { mode }),
      chown: (p: string, uid: number, gid: number, done: Done) => {
        const changes: Changes = { killSetIds: true }
        if (uid !== UNCHANGED) changes.uid = uid
        if (gid !== UNCHANGED) changes.gid = gid
        set(p, done, changes)
      },
      utimens: (p: string, atime: number, mtime: number, done: Done) =>
        set(p, done, { atime: fromMs(atime), mtime: fromMs(mtime) }),
      truncate: (p: string, size: number, done: Done) => set(p, done, { size }),
      ftruncate: (_p: string, fd: number, size: number, done: Done) =>
        this.errno(
          done,
          this.on(fd, (h) => this.fs.setattr(this.caller, h.ino, { size, handle: h.handle })),
        ),
    }
  }

  private names(): object {
    const { fs, caller } = this
    /** New inodes come with a reference, which is given back. */
    const make = (p: string, done: Done, operation: (parent: number, name: Buffer) => Promise<Attributes | Errno>) =>
      this.answer(done, async () => {
        const made = await this.in(p, operation)
        if (typeof made === 'number') return [made]
        fs.forget(made.ino, 1)
        return [0]
      })
    return {
      mknod: (p: string, mode: number, device: number, done: Done) =>
        make(p, done, (parent, name) => fs.mknod(caller, parent, name, mode, device)),
      mkdir: (p: string, mode: number, done: Done) =>
        make(p, done, (parent, name) => fs.mkdir(caller, parent, name, mode | 0o040000)),
      symlink: (target: string, p: string, done: Done) =>
        make(p, done, (parent, name) => fs.symlink(caller, parent, name, Buffer.from(target))),
      link: (from: string, to: string, done: Done) =>
        make(to, done, (parent, name) => this.at(from, (ino) => fs.link(caller, ino, parent, name))),
      unlink: (p: string, done: Done) =>
        this.errno(
          done,
          this.in(p, (parent, name) => fs.unlink(caller, parent, name)),
        ),
      rmdir: (p: string, done: Done) =>
        this.errno(
          done,
          this.in(p, (parent, name) => fs.rmdir(caller, parent, name)),
        ),
      rename: (from: string, to: string, done: Done) =>
        this.errno(
          done,
          this.in(from, (parent, name) =>
            this.in(to, (newParent, newName) => fs.rename(caller, parent, name, newParent, newName, 0)),
          ),
        ),
    }
  }

  private files(): object {
    const { fs, caller } = this
    return {
      open: (p: string, flags: number, done: Done) =>
        this.answer(done, () => this.at(p, async (ino) => this.keep(ino, await fs.open(caller, ino, flags)))),
      opendir: (p: string, _flags: number, done: Done) =>
        this.answer(done, () => this.at(p, async (ino) => this.keep(ino, await fs.opendir(caller, ino)))),
      create: (p: string, mode: number, done: Done) => this.answer(done, () => this.create(p, mode)),
      // The count is the "errno" in these two.
      read: (_p: string, fd: number, into: Buffer, size: number, offset: number, done: Done) =>
        this.answer(done, async () => {
          const bytes = await this.on(fd, (h) => fs.read(caller, h.ino, h.handle, offset, size))
          return typeof bytes === 'number' ? [bytes] : [bytes.copy(into)]
        }),
      write: (_p: string, fd: number, data: Buffer, size: number, offset: number, done: Done) => {
        const copy = Buffer.from(data.subarray(0, size))
        this.answer(done, async () => [
          await this.on(fd, (h) => fs.write(caller, h.ino, h.handle, offset, copy, false)),
        ])
      },
      release: (_p: string, fd: number, done: Done) => this.drop(fd, done, (h) => fs.release(h.ino, h.handle)),
      releasedir: (_p: string, fd: number, done: Done) => this.drop(fd, done, (h) => fs.releasedir(h.ino, h.handle)),
      fsync: (_p: string, dataOnly: number, fd: number, done: Done) =>
        this.errno(
          done,
          this.on(fd, (h) => fs.fsync(caller, h.ino, h.handle, dataOnly !== 0)),
        ),
      fsyncdir: (_p: string, _dataOnly: number, fd: number, done: Done) =>
        this.errno(
          done,
          this.on(fd, (h) => fs.fsyncdir(caller, h.ino, h.handle)),
        ),
    }
  }

  private async create(path: string, mode: number): Promise<[number, ...unknown[]]> {
    const made = await this.in(path, (parent, name) => this.fs.create(this.caller, parent, name, mode, O_RDWR))
    if (typeof made === 'number') return [made]
    const kept = this.keep(made.attributes.ino, made)
    this.fs.forget(made.attributes.ino, 1)
    return kept
  }

  private list(path: string): Promise<number | [number, ...unknown[]]> {
    return this.at(path, async (ino): Promise<[number, ...unknown[]]> => {
      const opened = await this.fs.opendir(this.caller, ino)
      if (typeof opened === 'number') return [opened]
      const names: string[] = []
      // Only type and inode number are looked at. Without the type, programs would ask for each entry's attributes.
      const stats: { mode: number; ino: number }[] = []
      try {
        for (let offset = 0; ; ) {
          const page = await this.fs.readdir(this.caller, ino, opened.handle, offset, PAGE_OF_ENTRIES)
          if (typeof page === 'number') return [page]
          for (const { entry } of page) {
            names.push(entry.name.toString())
            stats.push({ mode: entry.type << 12, ino: entry.ino >>> 0 })
          }
          if (page.length < PAGE_OF_ENTRIES) return [0, names, stats]
          offset = page[page.length - 1].entry.offset
        }
      } finally {
        this.fs.releasedir(ino, opened.handle)
      }
    })
  }

  private async statfs(): Promise<[number, ...unknown[]]> {
    const s = await this.fs.statfs(this.caller, ROOT)
    if (typeof s === 'number') return [s]
    // 32 bits each: bigger blocks where there are too many of them.
    const most = Math.max(s.blocks, s.blocksFree, s.blocksAvailable)
    const scale = 2 ** Math.max(0, Math.ceil(Math.log2((most + 1) / 2 ** 32)))
    const of = (n: number) => Math.min(0xffffffff, Math.floor(n / scale))
    const [files, ffree] = [Math.min(0xffffffff, s.files), Math.min(0xffffffff, s.filesFree)]
    const sizes = { blocks: of(s.blocks), bfree: of(s.blocksFree), bavail: of(s.blocksAvailable) }
    const size = s.blockSize * scale
    return [0, { bsize: size, frsize: size, ...sizes, files, ffree, favail: ffree, namemax: s.nameMax }]
  }
}

function fromMs(ms: number): { sec: number; nsec: number } {
  const sec = Math.floor(ms / 1000)
  return { sec, nsec: Math.round(ms - sec * 1000) * 1_000_000 }
}
