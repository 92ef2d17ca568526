// The file system interface as seen from another thread: the same operations, answered by promises. Owns nothing.
// Buffers handed over must be copies, since they outlive the call.

import type { Attributes, Caller, DirectoryEntry, Errno, FileSystem } from './file-system.js'
import { PENDING } from './file-system.js'

type Promised<T> = Promise<Exclude<T, typeof PENDING>>

/** FileSystem with promises. `read` answers the bytes instead of filling a buffer, `readdir` a page of entries. */
export type AsyncFileSystem = {
  [K in Exclude<keyof FileSystem, 'read' | 'readdir' | 'forget' | 'release' | 'releasedir'>]: (
    ...args: Parameters<FileSystem[K]>
  ) => Promised<ReturnType<FileSystem[K]>>
} & {
  forget(ino: number, count: number): void
  release(ino: number, handle: number): void
  releasedir(ino: number, handle: number): void
  read(caller: Caller, ino: number, handle: number, offset: number, size: number): Promise<Buffer | Errno>
  /** At most `limit` entries after `offset`. Never counts lookups. */
  readdir(
    caller: Caller,
    ino: number,
    handle: number,
    offset: number,
    limit: number,
  ): Promise<{ entry: DirectoryEntry; attributes?: Attributes }[] | Errno>
}

/**
 * The asynchronous face of a file system of this thread. Operations must not answer PENDING (it means success here), since nobody
 * would complete them.
 */
export function toAsync(fs: FileSystem): AsyncFileSystem {
  const handler: ProxyHandler<FileSystem> = {
    get(target, name) {
      if (name === 'then') return undefined
      if (name === 'read') return readFor(fs)
      if (name === 'readdir') return readdirFor(fs)
      const method = target[name as keyof FileSystem] as (...args: unknown[]) => unknown
      if (name === 'forget' || name === 'release' || name === 'releasedir') return method.bind(target)
      return async (...args: unknown[]) => {
        const result = method.apply(target, args)
        return result === PENDING ? 0 : result
      }
    },
  }
  return new Proxy(fs, handler) as unknown as AsyncFileSystem
}

function readFor(fs: FileSystem): AsyncFileSystem['read'] {
  return async (caller, ino, handle, offset, size) => {
    const into = Buffer.allocUnsafe(size)
    const n = fs.read(caller, ino, handle, offset, into)
    return n < 0 ? n : into.subarray(0, n)
  }
}

function readdirFor(fs: FileSystem): AsyncFileSystem['readdir'] {
  return async (caller, ino, handle, offset, limit) => {
    const page: { entry: DirectoryEntry }[] = []
    const errno = fs.readdir(caller, ino, handle, offset, false, (entry) => {
      if (page.length >= limit) return false
      page.push({ entry: { ...entry, name: Buffer.from(entry.name) } })
      return true
    })
    return errno < 0 ? errno : page
  }
}
