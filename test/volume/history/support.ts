// A way through history as the kernel goes: what was looked up is held until it is let go. Not a spec.

import type { Attributes, FileSystem } from '../../../lib/fuse/file-system.js'
import { clockCounter } from '../../../lib/model/clock.js'
import type { Clock } from '../../../lib/model/types.js'
import { timeName } from '../../../lib/volume/history/times.js'
import { name, ok, ROOT, type TestVolume } from '../engine/support.js'

export const S_IFMT = 0o170000
export const S_IFDIR = 0o040000
export const S_IFLNK = 0o120000

/** The name below `.peerdrive/at` of just this moment. */
export const momentName = (clock: Clock) => (clockCounter(clock) === 0 ? `${timeName(clock)}+00000` : timeName(clock))

/** The last moment of which anything is committed. */
export const momentOf = (volume: TestVolume): string => {
  volume.reader.refresh()
  return momentName(volume.reader.clock()!)
}

/** Everything so far is committed and sealed, contents of spools too. */
export function settle(volume: TestVolume): void {
  volume.seal()
  volume.fold(true)
}

export class Walk {
  readonly #held: number[] = []

  constructor(readonly volume: { fs: FileSystem }) {}

  get fs(): FileSystem {
    return this.volume.fs
  }

  find(path: string): Attributes | number {
    let at: Attributes | number = ok<Attributes>(this.fs.getattr(ROOT, 1))
    for (const part of path.split('/').filter((p) => p)) {
      if (typeof at === 'number') return at
      at = this.fs.lookup(ROOT, at.ino, name(part))
      if (typeof at !== 'number') this.#held.push(at.ino)
    }
    return at
  }

  stat(path: string): Attributes {
    const found = this.find(path)
    if (typeof found === 'number') throw new Error(`${path}: errno ${found}`)
    return { ...found }
  }

  list(path: string): string[] {
    const { ino } = this.stat(path)
    const { handle } = ok<{ handle: number }>(this.fs.opendir(ROOT, ino))
    const names: string[] = []
    let offset = 0
    // A few at a time, as for a small buffer.
    for (let room = 3, before = -1; offset !== before; room = 3) {
      before = offset
      ok(
        this.fs.readdir(ROOT, ino, handle, offset, false, (entry) => {
          if (room-- === 0) return false
          names.push(entry.name.toString('latin1'))
          offset = entry.offset
          return true
        }),
      )
    }
    this.fs.releasedir(ino, handle)
    return names.filter((one) => one !== '.' && one !== '..')
  }

  read(path: string): Buffer {
    const { ino, size } = this.stat(path)
    const { handle } = ok<{ handle: number }>(this.fs.open(ROOT, ino, 0))
    const into = Buffer.alloc(size + 10)
    const n = ok(this.fs.read(ROOT, ino, handle, 0, into)) as number
    this.fs.release(ino, handle)
    return into.subarray(0, n)
  }

  /** All that is below a path, in words. */
  tree(path: string, inside = '', found: Record<string, string> = {}): Record<string, string> {
    const stat = this.stat(path)
    const type = stat.mode & S_IFMT
    const xattrs = ok<Buffer>(this.fs.listxattr(ROOT, stat.ino)).toString('latin1').split('\0')
    const shown = type === S_IFLNK ? stat.mode : stat.mode & ~0o222
    const what = `${shown.toString(8)} ${stat.uid}:${stat.gid} ${stat.mtimeSec}.${stat.mtimeNsec} ${xattrs}`
    if (type === S_IFDIR) {
      found[inside || '/'] = what
      for (const one of this.list(path)) this.tree(`${path}/${one}`, `${inside}/${one}`, found)
    } else {
      const bytes = type === S_IFLNK ? ok<Buffer>(this.fs.readlink(ROOT, stat.ino)) : this.read(path)
      found[inside] = `${what} ${bytes.length} ${bytes.toString('base64').slice(0, 200)}`
    }
    return found
  }

  letGo(): void {
    for (const ino of this.#held.splice(0)) this.fs.forget(ino, 1)
  }
}
