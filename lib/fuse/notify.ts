// Tells the kernel to forget what it has cached, because something changed underneath (sync, API, restore).
// Owns the queue of notifications of one mount. Never to be used in the thread that serves: the kernel takes inode locks that are
// held by requests waiting for that thread. They are written through libuv's thread pool, one at a time, so that at most
// one of its threads waits for such a lock and whatever the file system does in the pool goes on.

import { write } from 'node:fs'
import type { Invalidation } from './file-system.js'
import { Notify, OUT_HEADER } from './opcodes.js'
import { put64 } from './protocol.js'

/** The bytes of one notification (fuse_notify_inval_inode_out, _inval_entry_out, _delete_out after a header). */
export function encodeNotification(change: Invalidation): Buffer {
  if (change.kind === 'inode') {
    const { bytes, words } = message(Notify.INVAL_INODE, 24)
    put64(words, 4, change.ino)
    // A negative offset: attributes only. Length -1: to the end.
    put64(words, 6, change.data ? 0 : -1)
    put64(words, 8, change.data ? -1 : 0)
    return bytes
  }
  if (change.kind === 'entry') {
    const { bytes, words } = message(Notify.INVAL_ENTRY, 16 + change.name.length + 1)
    put64(words, 4, change.parent)
    words[6] = change.name.length
    bytes.set(change.name, OUT_HEADER + 16)
    return bytes
  }
  const { bytes, words } = message(Notify.DELETE, 24 + change.name.length + 1)
  put64(words, 4, change.parent)
  put64(words, 6, change.child)
  words[8] = change.name.length
  bytes.set(change.name, OUT_HEADER + 24)
  return bytes
}

function message(code: number, length: number): { bytes: Buffer; words: Uint32Array } {
  const total = OUT_HEADER + length
  const raw = new ArrayBuffer((total + 7) & ~7)
  const words = new Uint32Array(raw)
  words[0] = total
  words[1] = code
  return { bytes: Buffer.from(raw, 0, total), words }
}

/** Notifies the kernel of changes in one mount, in order. */
export class Notifier {
  private readonly queue: { bytes: Buffer; done?: () => void }[] = []
  private busy = false
  private closed = false

  /** `onError`: an errno other than the expected ones; the notification is dropped. */
  constructor(
    private readonly fd: number,
    private readonly onError: (error: Error) => void = () => {},
  ) {}

  /** Resolves when the kernel has forgotten all of them. Never rejects: what it does not know, it need not forget. */
  invalidate(changes: Invalidation[]): Promise<void> {
    if (changes.length === 0 || this.closed) return Promise.resolve()
    return new Promise((resolve) => {
      changes.forEach((change, i) => {
        this.queue.push({ bytes: encodeNotification(change), done: i === changes.length - 1 ? resolve : undefined })
      })
      this.next()
    })
  }

  /** What is queued is dropped. Resolves once nothing is being written, so that the descriptor can be closed. */
  async close(): Promise<void> {
    this.closed = true
    for (const { done } of this.queue.splice(0)) done?.()
    if (this.busy) await new Promise<void>((resolve) => this.queue.push({ bytes: Buffer.alloc(0), done: resolve }))
  }

  private next(): void {
    if (this.busy) return
    const item = this.queue.shift()
    if (!item) return
    if (this.closed) return this.finish(item)
    this.busy = true
    write(this.fd, item.bytes, (error) => {
      this.busy = false
      // ENOENT: not cached. ENOTEMPTY, EBUSY: a directory in use is not taken away by DELETE, its entry is forgotten.
      const expected = ['ENOENT', 'ENODEV', 'ENOTEMPTY', 'EBUSY', 'ENOTDIR', 'ENOTCONN']
      if (error && !expected.includes(error.code ?? '')) this.onError(error)
      this.finish(item)
    })
  }

  private finish(item: { done?: () => void }): void {
    item.done?.()
    this.next()
  }
}
