// Paths, handle numbers and answers of `PathFace`: every path is walked from the root by `lookup`, and what was looked up is
// forgotten when the operation is done. Owns the small handle numbers given to libfuse. Every operation is answered once.

import type { AsyncFileSystem } from './async-file-system.js'
import { EBADF, EINVAL, EIO, ENAMETOOLONG, ENOENT } from './errno.js'
import type { Attributes, Caller, Errno } from './file-system.js'
import { NAME_MAX } from './opcodes.js'

export const ROOT = 1

export type Done = (result: number, ...rest: unknown[]) => void

interface Handle {
  ino: number
  handle: number
}

export abstract class PathWalker {
  private readonly handles = new Map<number, Handle>()
  private next = 1
  /** fuse-native does not tell who asks: everything is done as this process. */
  protected readonly caller: Caller = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: process.pid }

  constructor(
    protected readonly fs: AsyncFileSystem,
    private readonly onError: (error: Error) => void,
  ) {}

  /** The inode at `path`, during `operation`. */
  protected async at<T>(path: string, operation: (ino: number) => Promise<T>): Promise<T | Errno> {
    let ino = ROOT
    try {
      for (const name of path.split('/')) {
        if (name === '') continue
        const bytes = Buffer.from(name)
        if (bytes.length > NAME_MAX) return ENAMETOOLONG
        const found = await this.fs.lookup(this.caller, ino, bytes)
        this.put(ino)
        ino = ROOT
        if (typeof found === 'number') return found
        ino = found.ino
      }
      return await operation(ino)
    } finally {
      this.put(ino)
    }
  }

  protected put(ino: number): void {
    if (ino !== ROOT) this.fs.forget(ino, 1)
  }

  /** The directory that `path` is in and its name there. */
  protected in<T>(path: string, operation: (parent: number, name: Buffer) => Promise<T>): Promise<T | Errno> {
    const cut = path.lastIndexOf('/')
    const name = Buffer.from(path.slice(cut + 1))
    if (name.length === 0) return Promise.resolve(EINVAL)
    if (name.length > NAME_MAX) return Promise.resolve(ENAMETOOLONG)
    return this.at(path.slice(0, cut), (parent) => operation(parent, name))
  }

  protected async on<T>(fd: number, operation: (handle: Handle) => Promise<T>): Promise<T | Errno> {
    const handle = this.handles.get(fd)
    return handle ? operation(handle) : EBADF
  }

  protected keep(ino: number, opened: { handle: number } | Errno): [number, number?] {
    if (typeof opened === 'number') return [opened]
    const fd = this.next
    this.next = fd >= 0x7ffffffe ? 1 : fd + 1
    this.handles.set(fd, { ino, handle: opened.handle })
    return [0, fd]
  }

  protected drop(fd: number, done: Done, release: (handle: Handle) => void): void {
    const handle = this.handles.get(fd)
    this.handles.delete(fd)
    this.answer(done, async () => {
      if (handle) release(handle)
      return [0]
    })
  }

  protected attributes(done: Done, found: Promise<Attributes | Errno>): void {
    this.answer(done, async () => {
      const a = await found
      return typeof a === 'number' ? [a < 0 ? a : ENOENT] : [0, stat(a)]
    })
  }

  protected errno(done: Done, result: Promise<unknown>): void {
    this.answer(done, async () => {
      const value = await result
      return [typeof value === 'number' ? value : 0]
    })
  }

  /** Every operation is answered once, whatever happens. */
  protected answer(done: Done, operation: () => Promise<number | [number, ...unknown[]] | [number, number?]>): void {
    operation().then(
      (result) => (typeof result === 'number' ? done(result) : done(...(result as [number, ...unknown[]]))),
      (error) => {
        this.onError(error as Error)
        done(EIO)
      },
    )
  }
}

/** Times in milliseconds; those before 1970 cannot be told. */
function stat(a: Attributes): object {
  const ms = (sec: number, nsec: number) => Math.max(0, sec * 1000 + Math.floor(nsec / 1_000_000))
  return {
    mode: a.mode,
    uid: a.uid,
    gid: a.gid,
    size: a.size,
    nlink: a.nlink,
    ino: a.ino >>> 0,
    rdev: a.rdev,
    blksize: 4096,
    blocks: a.blocks,
    atime: ms(a.atimeSec, a.atimeNsec),
    mtime: ms(a.mtimeSec, a.mtimeNsec),
    ctime: ms(a.ctimeSec, a.ctimeNsec),
  }
}
