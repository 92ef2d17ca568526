// System calls that Node lacks or makes slow, through koffi. Linux only: loaded on first use, not on import.
// Owns the bindings, one set per thread; holds no descriptors. Never throws for a failed call: results below zero are
// negative errnos, as a file system answers them.
//
// Cost (measured): a call is 0.3 µs above the bare system call when every argument is a number. Buffers as arguments and
// BigInt pointers cost 0.05–0.3 µs more, so that memory is given by its address as a plain number (user space addresses
// are below 2^47). An address stays valid as long as its ArrayBuffer lives, provided that it is not on V8's heap: only
// `memory()` and SharedArrayBuffers may be used, never small typed arrays.

import koffi from 'koffi'

/** Raw bindings. Pointers are addresses as numbers; -1 is failure, with `errno()`. */
interface Libc {
  read(fd: number, address: number, size: number): number
  write(fd: number, address: number, size: number): number
  readv(fd: number, iov: number, count: number): number
  writev(fd: number, iov: number, count: number): number
  pread(fd: number, address: number, size: number, offset: number): number
  pwrite(fd: number, address: number, size: number, offset: number): number
  poll(fds: number, count: number, timeout: number): number
  fdatasync(fd: number): number
  eventfd(initial: number, flags: number): number
  ioctl(fd: number, request: number, argument: number): number
  socketpair(domain: number, type: number, protocol: number, fds: number): number
  recvmsg(fd: number, message: number, flags: number): number
  fcntl(fd: number, command: number, argument: number): number
  close(fd: number): number
  mount(source: string, target: Buffer, type: string, flags: number, data: string): number
  umount2: { async(target: Buffer, flags: number, done: (error: Error | null, result: number) => void): void }
  /** Of this thread's last failed call. */
  errno(): number
}

const SIGNATURES: Record<Exclude<keyof Libc, 'errno'>, string> = {
  read: 'int64_t read(int, size_t, size_t)',
  write: 'int64_t write(int, size_t, size_t)',
  readv: 'int64_t readv(int, size_t, int)',
  writev: 'int64_t writev(int, size_t, int)',
  pread: 'int64_t pread64(int, size_t, size_t, int64_t)',
  pwrite: 'int64_t pwrite64(int, size_t, size_t, int64_t)',
  poll: 'int poll(size_t, unsigned long, int)',
  fdatasync: 'int fdatasync(int)',
  eventfd: 'int eventfd(uint32_t, int)',
  ioctl: 'int ioctl(int, unsigned long, size_t)',
  socketpair: 'int socketpair(int, int, int, size_t)',
  recvmsg: 'int64_t recvmsg(int, size_t, int)',
  fcntl: 'int fcntl(int, int, size_t)',
  close: 'int close(int)',
  mount: 'int mount(const char *, const void *, const char *, unsigned long, const char *)',
  umount2: 'int umount2(const void *, int)',
}

let loaded: Libc | undefined

/** The bindings of this thread. Throws where libc cannot be loaded (not Linux). */
export function libc(): Libc {
  if (loaded) return loaded
  const library = koffi.load(null)
  const bound: Record<string, unknown> = { errno: koffi.errno }
  for (const [name, signature] of Object.entries(SIGNATURES)) bound[name] = library.func(signature)
  loaded = bound as unknown as Libc
  return loaded
}

/** Bytes outside V8's heap whose address stays the same: `align` bytes apart from `offset`, zeroed. */
export function memory(size: number, align = 16, offset = 0): Buffer {
  const raw = new ArrayBuffer(size + align + 64)
  const base = addressOf(new Uint8Array(raw))
  const start = (align - ((base - offset) % align)) % align
  return Buffer.from(raw, start, size)
}

/** The address of a view's first byte: of `memory()` or a SharedArrayBuffer, see above. Keep the view alive. */
export function addressOf(view: Uint8Array): number {
  return Number(koffi.address(view))
}

const EFD_NONBLOCK = 0o4000
const EFD_CLOEXEC = 0o2000000

/** A new eventfd, non-blocking, or a negative errno. */
export function eventfd(): number {
  const c = libc()
  const fd = c.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
  return fd < 0 ? -c.errno() : fd
}

export const POLLIN = 1
export const POLLERR = 8
export const POLLHUP = 16
export const POLLNVAL = 32

/** poll(2) on a fixed set of descriptors for input. Not to be shared between threads. */
export class PollSet {
  private readonly words: Int16Array
  private readonly address: number
  private readonly c = libc()

  constructor(private readonly fds: number[]) {
    const bytes = memory(8 * fds.length)
    this.words = new Int16Array(bytes.buffer, bytes.byteOffset, 4 * fds.length)
    this.address = addressOf(bytes)
    const numbers = new Int32Array(bytes.buffer, bytes.byteOffset, 2 * fds.length)
    fds.forEach((fd, i) => {
      numbers[2 * i] = fd
      this.words[4 * i + 2] = POLLIN
    })
  }

  /** Waits up to `timeout` ms (-1: for ever). Answers how many are ready, or a negative errno (EINTR). */
  wait(timeout: number): number {
    const n = this.c.poll(this.address, this.fds.length, timeout)
    return n < 0 ? -this.c.errno() : n
  }

  /** What happened to the descriptor at `index` at the last `wait`: POLLIN, POLLERR, POLLHUP, POLLNVAL or 0. */
  events(index: number): number {
    return this.words[4 * index + 3]
  }
}

/** Two connected UNIX stream sockets, or a negative errno. The first one is closed on exec, the second one is not. */
export function socketPair(): [number, number] | number {
  const c = libc()
  const bytes = memory(8)
  const AF_UNIX = 1
  const SOCK_STREAM = 1
  if (c.socketpair(AF_UNIX, SOCK_STREAM, 0, addressOf(bytes)) < 0) return -c.errno()
  const pair: [number, number] = [bytes.readInt32LE(0), bytes.readInt32LE(4)]
  setFlags(pair[0], { closeOnExec: true })
  return pair
}

/** Takes one file descriptor out of a UNIX socket without waiting; a negative errno if there is none. */
export function receiveDescriptor(socket: number): number {
  const c = libc()
  // struct msghdr (56 bytes) | struct iovec (16) | one byte of data (8) | control: cmsghdr (16) + int, padded (24)
  const bytes = memory(128)
  const base = addressOf(bytes)
  bytes.writeBigUInt64LE(BigInt(base + 56), 16)
  bytes.writeBigUInt64LE(1n, 24)
  bytes.writeBigUInt64LE(BigInt(base + 80), 32)
  bytes.writeBigUInt64LE(24n, 40)
  bytes.writeBigUInt64LE(BigInt(base + 72), 56)
  bytes.writeBigUInt64LE(1n, 64)
  const MSG_DONTWAIT = 0x40
  const MSG_CMSG_CLOEXEC = 0x40000000
  const n = c.recvmsg(socket, base, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
  if (n < 0) return -c.errno()
  const SOL_SOCKET = 1
  const SCM_RIGHTS = 1
  const here = Number(bytes.readBigUInt64LE(40)) >= 20
  if (!here || bytes.readInt32LE(88) !== SOL_SOCKET || bytes.readInt32LE(92) !== SCM_RIGHTS) return -9
  return bytes.readInt32LE(96)
}

/** Sets FD_CLOEXEC and O_NONBLOCK where asked. Answers 0 or a negative errno. */
export function setFlags(fd: number, flags: { closeOnExec?: boolean; nonBlocking?: boolean }): number {
  const c = libc()
  const F_SETFD = 2
  const F_GETFL = 3
  const F_SETFL = 4
  const O_NONBLOCK = 0o4000
  if (flags.closeOnExec && c.fcntl(fd, F_SETFD, 1) < 0) return -c.errno()
  if (flags.nonBlocking) {
    const now = c.fcntl(fd, F_GETFL, 0)
    if (now < 0 || c.fcntl(fd, F_SETFL, now | O_NONBLOCK) < 0) return -c.errno()
  }
  return 0
}

const F_DUPFD_CLOEXEC = 1030

/** The same files by other descriptors, for another thread to close; undefined: there may not be as many. */
export function duplicates(fds: number[]): number[] | undefined {
  const { fcntl, close } = libc()
  const made: number[] = []
  for (const fd of fds) {
    const copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)
    if (copy < 0) {
      for (const other of made) close(other)
      return undefined
    }
    made.push(copy)
  }
  return made
}
