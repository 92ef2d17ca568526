// File types and permission bits of Linux, as mode words carry them.

export const S_IFMT = 0o170000
export const S_IFSOCK = 0o140000
export const S_IFLNK = 0o120000
export const S_IFREG = 0o100000
export const S_IFBLK = 0o060000
export const S_IFDIR = 0o040000
export const S_IFCHR = 0o020000
export const S_IFIFO = 0o010000
export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
export const S_IXGRP = 0o0010

export const DT_DIR = S_IFDIR >> 12
export const DT_REG = S_IFREG >> 12

/** File type in the DT_* encoding. */
export const typeOf = (mode: number) => (mode & S_IFMT) >> 12

/** Largest file: offsets are doubles, and LMDB rows keep 2^53. One TiB short of it, so that sums stay exact. */
export const SIZE_MAX = 2 ** 52
export const NAME_MAX = 255
export const LINK_MAX = 2 ** 31
