// The interface between a FUSE driver and whatever it shows: operations by inode number, as the kernel names them.
// Owns no state. The drivers (kernel, fuse-native) call it; the volume engine implements it; neither knows the other.
//
// Costs are the point of its shape: every operation is synchronous and answered in place, results are existing objects
// (an inode record is its own attribute structure), numbers are plain doubles (sizes up to 2^53), and times are pairs of
// seconds and nanoseconds, so that the byte path allocates next to nothing.

/** A time since the epoch: `sec` may be negative, `nsec` is 0…999,999,999. */
export interface Time {
  sec: number
  nsec: number
}

/** What stat(2) shows of an inode. The driver only reads it, and only during the call. */
export interface Attributes {
  /** Inode number, also FUSE's node id; the root of the mount is 1. */
  ino: number
  /** Type bits (S_IFMT) and permission bits. */
  mode: number
  nlink: number
  uid: number
  gid: number
  /** As Linux encodes it for FUSE (32 bit), 0 unless a device. */
  rdev: number
  /** Bytes. */
  size: number
  /** 512-byte units. */
  blocks: number
  atimeSec: number
  atimeNsec: number
  mtimeSec: number
  mtimeNsec: number
  ctimeSec: number
  ctimeNsec: number
}

/** Who asks: the ids of the calling process, as the kernel gives them. The object is used again: valid during the call only. */
export interface Caller {
  uid: number
  gid: number
  pid: number
  /** Of operations that make something, with the option `acls`: not applied to the mode yet. */
  umask?: number
}

/** Answered at once, or `PENDING`: the answer is given later through `Completion` (see `Request`). */
export const PENDING = Symbol('pending')

/**
 * Thrown by an operation that cannot be served yet, and has changed nothing: its bytes have to come from elsewhere first. The
 * request is put aside and served again, from its beginning, or answered with an errno, when the owner of the loop says so
 * (`KernelLoop.again`, `KernelLoop.giveUp`).
 */
export class NotYet extends Error {
  override name = 'NotYet'
}

/** A failed operation: a *negative* errno of Linux, e.g. `-2` for ENOENT. 0 is success of operations without a result. */
export type Errno = number

/** What setattr changes; absent fields stay. Times: `'now'` is the server's clock (UTIME_NOW). */
export interface Changes {
  mode?: number
  uid?: number
  gid?: number
  size?: number
  atime?: Time | 'now'
  mtime?: Time | 'now'
  /** Handle number when the kernel gave one (ftruncate, futimens). */
  handle?: number
  /**
   * Drop the set-id bits of anything but a folder (set-group-id of a file that the group may not execute only if the caller is not
   * in that group): somebody unprivileged truncates, or anybody changes owner or group.
   */
  killSetIds?: boolean
}

/** An open file or directory. */
export interface Opened {
  handle: number
  /** True: the kernel may keep the pages (or the listing) it has cached of this inode. */
  keepCache: boolean
  /** Back-end descriptor for kernel pass-through, where the driver said it can (`capabilities.passthrough`). */
  backing?: number
}

export interface Created extends Opened {
  attributes: Attributes
}

export interface DirectoryEntry {
  name: Buffer
  ino: number
  /** File type in the DT_* encoding (mode >> 12). */
  type: number
  /** Opaque position *after* this entry, > 0: reading from it continues with the next entry. */
  offset: number
}

export interface StatFs {
  blockSize: number
  blocks: number
  blocksFree: number
  blocksAvailable: number
  files: number
  filesFree: number
  nameMax: number
}

/** Completes a request whose operation answered `PENDING`. May be called from any thread that has the fuse descriptor. */
export interface Request {
  /** The kernel's number of the request being served now: valid during the call only, keep the value. */
  unique: bigint
}

/**
 * Names are raw bytes, never decoded: any byte but NUL and `/`, 1…255 of them. Buffers handed in are views of the
 * request and valid during the call only. Every method may answer a negative errno in place of its result.
 */
export interface FileSystem {
  lookup(caller: Caller, parent: number, name: Buffer): Attributes | Errno
  /** The kernel drops `count` of the references that lookup, create, mkdir, mknod, symlink, link and readdirplus gave. */
  forget(ino: number, count: number): void
  getattr(caller: Caller, ino: number, handle?: number): Attributes | Errno
  setattr(caller: Caller, ino: number, changes: Changes): Attributes | Errno
  readlink(caller: Caller, ino: number): Buffer | Errno
  mknod(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number): Attributes | Errno
  mkdir(caller: Caller, parent: number, name: Buffer, mode: number): Attributes | Errno
  symlink(caller: Caller, parent: number, name: Buffer, target: Buffer): Attributes | Errno
  unlink(caller: Caller, parent: number, name: Buffer): Errno
  rmdir(caller: Caller, parent: number, name: Buffer): Errno
  /** `flags`: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2. */
  rename(caller: Caller, parent: number, name: Buffer, newParent: number, newName: Buffer, flags: number): Errno
  link(caller: Caller, ino: number, newParent: number, newName: Buffer): Attributes | Errno
  /**
   * `flags` as of open(2); O_TRUNC only reaches here with the option `atomicTruncate`, and then `killSetIds` tells that the one who
   * truncates may not keep set-id bits.
   */
  open(caller: Caller, ino: number, flags: number, killSetIds?: boolean): Opened | Errno
  create(caller: Caller, parent: number, name: Buffer, mode: number, flags: number): Created | Errno
  /** O_TMPFILE: a file without a name in the directory `parent`, open, which `link` may name. ENOSYS: not supported. */
  tmpfile(caller: Caller, parent: number, mode: number, flags: number): Created | Errno
  /** Fills `into` from its start, up to `into.length` bytes; answers the bytes read (short only at the end) or an errno. */
  read(caller: Caller, ino: number, handle: number, offset: number, into: Buffer): number
  /** Answers the bytes written (all) or an errno. `killSetIds`: FUSE_WRITE_KILL_SUIDGID. */
  write(caller: Caller, ino: number, handle: number, offset: number, data: Buffer, killSetIds: boolean): number
  /** Only with the option `wantsFlush`: after every close(2) of a descriptor; one `release` follows when the last descriptor of the handle is gone. */
  flush(caller: Caller, ino: number, handle: number): Errno | typeof PENDING
  release(ino: number, handle: number): void
  fsync(caller: Caller, ino: number, handle: number, dataOnly: boolean): Errno | typeof PENDING
  fallocate(caller: Caller, ino: number, handle: number, mode: number, offset: number, length: number): Errno
  /** `whence`: SEEK_DATA 3, SEEK_HOLE 4. Answers the offset or an errno. */
  lseek(caller: Caller, ino: number, handle: number, offset: number, whence: number): number
  /** Answers the bytes copied or an errno. */
  copyFileRange(
    caller: Caller,
    ino: number,
    handle: number,
    offset: number,
    inoOut: number,
    handleOut: number,
    offsetOut: number,
    length: number,
  ): number
  opendir(caller: Caller, ino: number): Opened | Errno
  /**
   * Calls `emit` for each entry after `offset` (0: from the start, `.` and `..` included) until it answers false (the
   * buffer is full: that entry was not taken) or there are no more. With `plus`, `attributes` of the entry are given and
   * count as one lookup each, except for `.` and `..`, which carry none.
   */
  readdir(
    caller: Caller,
    ino: number,
    handle: number,
    offset: number,
    plus: boolean,
    emit: (entry: DirectoryEntry, attributes?: Attributes) => boolean,
  ): Errno
  releasedir(ino: number, handle: number): void
  fsyncdir(caller: Caller, ino: number, handle: number): Errno | typeof PENDING
  statfs(caller: Caller, ino: number): StatFs | Errno
  /** `size` is what the caller has room for, 0 to ask for the length; ERANGE and ENODATA are errnos. Never longer than 64 KiB. */
  getxattr(caller: Caller, ino: number, name: Buffer): Buffer | Errno
  /** NUL-terminated names, one after another. */
  listxattr(caller: Caller, ino: number): Buffer | Errno
  /**
   * `flags`: XATTR_CREATE 1, XATTR_REPLACE 2. `killGroupId`: with an access control list is set by somebody who may not keep the
   * set-group-id bit.
   */
  setxattr(caller: Caller, ino: number, name: Buffer, value: Buffer, flags: number, killGroupId?: boolean): Errno
  removexattr(caller: Caller, ino: number, name: Buffer): Errno
}

/** What changed underneath (by sync or by an API), for the kernel to forget. */
export type Invalidation =
  | { kind: 'inode'; ino: number /** Also the cached pages, not only the attributes. */; data: boolean }
  | { kind: 'entry'; parent: number; name: Uint8Array }
  | { kind: 'delete'; parent: number; child: number; name: Uint8Array }
