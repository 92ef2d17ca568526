// Which inodes are open through the kernel's pass-through. Owns the backing ids registered on one fuse descriptor.
// The kernel refuses (EIO) to have one inode open both through its page cache and through a backing file, so an inode keeps the
// way in which it was opened first until its last handle is gone.

import { FUSE_DEV_IOC_BACKING_CLOSE, FUSE_DEV_IOC_BACKING_OPEN } from './opcodes.js'
import { addressOf, libc, memory } from './syscalls.js'

interface Inode {
  /** 0: plain, through the page cache. */
  id: number
  handles: number
}

export class Passthrough {
  private readonly inodes = new Map<number, Inode>()
  private readonly argument = memory(16)
  private readonly address = addressOf(this.argument)
  private readonly c = libc()
  private usable = true

  constructor(private readonly fd: number) {}

  /** A handle of `ino` is opened, on the descriptor `backing` if any. Answers the backing id to tell the kernel, or 0. */
  opened(ino: number, backing: number | undefined): number {
    const known = this.inodes.get(ino)
    if (known) {
      known.handles++
      return known.id
    }
    const id = backing === undefined || !this.usable ? 0 : this.register(backing)
    this.inodes.set(ino, { id, handles: 1 })
    return id
  }

  released(ino: number): void {
    const known = this.inodes.get(ino)
    if (!known || --known.handles > 0) return
    this.inodes.delete(ino)
    if (known.id === 0) return
    this.argument.writeInt32LE(known.id, 0)
    this.c.ioctl(this.fd, FUSE_DEV_IOC_BACKING_CLOSE, this.address)
  }

  /** struct fuse_backing_map. Without the right to do it (CAP_SYS_ADMIN), it is not tried again. */
  private register(backing: number): number {
    this.argument.fill(0)
    this.argument.writeInt32LE(backing, 0)
    const id = this.c.ioctl(this.fd, FUSE_DEV_IOC_BACKING_OPEN, this.address)
    if (id > 0) return id
    const EPERM = 1
    if (this.c.errno() === EPERM) this.usable = false
    return 0
  }
}
