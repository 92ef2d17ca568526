// Numbers of the FUSE kernel protocol that the drivers use, from linux/fuse.h (protocol 7.45, Linux 6.18).
// Owns nothing. Only what is used is listed; anything else is answered ENOSYS.

export const FUSE_KERNEL_VERSION = 7
/** The minor version that we speak: 40 brought pass-through. The kernel talks the smaller one of both sides. */
export const FUSE_KERNEL_MINOR_VERSION = 41
/** setxattr_in with flags, killpriv v2 and init extensions are all there from 7.36 (Linux 5.17) on; 31 is the least we accept. */
export const FUSE_LEAST_MINOR_VERSION = 31

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SETUPMAPPING: 48,
  REMOVEMAPPING: 49,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const

/** Slots of the counters: opcodes at or above it are counted in slot 0. */
export const OPCODE_SLOTS = 64

export const OPCODE_NAMES: string[] = (() => {
  const names: string[] = new Array(OPCODE_SLOTS).fill('')
  for (const [name, code] of Object.entries(Opcode)) names[code] = name
  return names
})()

/** INIT flags, low 32 bits. */
export const Init = {
  ASYNC_READ: 1 << 0,
  ATOMIC_O_TRUNC: 1 << 3,
  EXPORT_SUPPORT: 1 << 4,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  PARALLEL_DIROPS: 1 << 18,
  POSIX_ACL: 1 << 20,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  EXPLICIT_INVAL_DATA: 1 << 25,
  HANDLE_KILLPRIV_V2: 1 << 28,
  SETXATTR_EXT: 1 << 29,
  INIT_EXT: 1 << 30,
} as const

/** INIT flags, high 32 bits (only with INIT_EXT). */
export const Init2 = { PASSTHROUGH: 1 << 5 } as const

/** Flags of the answer to OPEN, CREATE and OPENDIR. */
export const Fopen = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  CACHE_DIR: 1 << 3,
  NOFLUSH: 1 << 5,
  PARALLEL_DIRECT_WRITES: 1 << 6,
  PASSTHROUGH: 1 << 7,
} as const

export const Fattr = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  KILL_SUIDGID: 1 << 11,
} as const

export const GETATTR_FH = 1
export const OPEN_KILL_SUIDGID = 1
export const WRITE_KILL_SUIDGID = 1 << 2
export const FSYNC_FDATASYNC = 1
export const SETXATTR_ACL_KILL_SGID = 1

export const Notify = { INVAL_INODE: 2, INVAL_ENTRY: 3, DELETE: 6 } as const

/** ioctl(2) requests on /dev/fuse: _IOW(229, 1, struct fuse_backing_map) and _IOW(229, 2, uint32_t). */
export const FUSE_DEV_IOC_BACKING_OPEN = 0x4010e501
export const FUSE_DEV_IOC_BACKING_CLOSE = 0x4004e502

export const IN_HEADER = 40
export const OUT_HEADER = 16
/** Most bytes of one WRITE or READ: 256 pages. */
export const MAX_PAGES = 256
export const MAX_WRITE = MAX_PAGES * 4096
/** NAME_MAX: longer names are refused by the driver and never reach a file system. */
export const NAME_MAX = 255
/** XATTR_SIZE_MAX of Linux. */
export const XATTR_SIZE_MAX = 65536
