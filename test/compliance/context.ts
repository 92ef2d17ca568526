// What the compliance suites share: the mount under test, and system calls that Node lacks. Nothing here blocks the main thread,
// since a driver may be serving the mount from it.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import koffi from 'koffi'

/** What a driver or an engine can; everything is expected unless it is said to be false. */
export interface Features {
  /** renameat2 with RENAME_EXCHANGE and RENAME_NOREPLACE. */
  renameFlags: boolean
  nanoseconds: boolean
  /** utimensat with UTIME_OMIT for one of the times, and an mtime that differs from the atime. */
  separateTimes: boolean
  fallocate: boolean
  /** SEEK_DATA and SEEK_HOLE find holes. */
  seekHole: boolean
  /** st_blocks of a sparse file tells its holes. */
  sparseBlocks: boolean
  xattr: boolean
  /** Names that are not valid UTF-8. */
  anyBytes: boolean
  /** Paths longer than 1024 bytes. */
  longPaths: boolean
  /** The owner of what is made is the one who makes it. */
  callerIds: boolean
  /** FIFOs, sockets, devices. */
  specialFiles: boolean
  /** Set-id bits vanish on write by somebody else, and on chown. */
  setIds: boolean
  hardLinks: boolean
  sharedMmap: boolean
  /** Files beyond 4 GiB. */
  hugeFiles: boolean
  /** A file that was removed or replaced stays usable through its descriptors, and leaves nothing behind in the directory. */
  orphans: boolean
  /** A file that is renamed over another one: no reader ever misses the name. */
  atomicReplace: boolean
}

export const ALL_FEATURES: Features = {
  renameFlags: true,
  nanoseconds: true,
  separateTimes: true,
  fallocate: true,
  seekHole: true,
  sparseBlocks: true,
  xattr: true,
  anyBytes: true,
  longPaths: true,
  callerIds: true,
  specialFiles: true,
  setIds: true,
  hardLinks: true,
  sharedMmap: true,
  hugeFiles: true,
  orphans: true,
  atomicReplace: true,
}

export interface MountUnderTest {
  path: string
  unmount(): Promise<void>
}

export interface SuiteOptions {
  mount(): Promise<MountUnderTest>
  features?: Partial<Features>
}

/** A directory of its own on the mount for every test. */
export class Context {
  root = ''
  private counter = 0

  constructor(readonly features: Features) {}

  /** A new, empty directory. */
  async directory(): Promise<string> {
    const path = `${this.root}/t${++this.counter}`
    await mkdir(path)
    return path
  }
}

export type TestBody = (this: Mocha.Context, directory: string) => Promise<void>

/** Defines a test that runs in a directory of its own, or is skipped with its reason where the feature is missing. */
export function test(context: Context, title: string, feature: keyof Features | undefined, body: TestBody): void {
  if (feature && !context.features[feature]) it.skip(`${title} (not supported: ${feature})`)
  else
    it(title, async function () {
      await body.call(this, await context.directory())
    })
}

/** Skips the test aloud. */
export function skip(test: Mocha.Context, why: string): never {
  test.test!.title += ` (${why})`
  return test.skip()
}

type AsyncCall = { async(...args: unknown[]): void }

const bound = new Map<string, AsyncCall>()

/** A system call off the main thread: its result, or a negative errno. `signature` as koffi reads it. */
export function call(signature: string, ...args: unknown[]): Promise<number> {
  let fn = bound.get(signature)
  if (!fn) bound.set(signature, (fn = koffi.load(null).func(signature) as unknown as AsyncCall))
  return new Promise((resolve, reject) => {
    fn.async(...args, (error: Error | null, result: number) => {
      if (error) reject(error)
      else resolve(result < 0 ? -koffi.errno() : result)
    })
  })
}

export function cString(text: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(text as string), Buffer.alloc(1)])
}

const AT_FDCWD = -100

export const renameat2 = (from: string, to: string, flags: number) =>
  call(
    'int renameat2(int, const void *, int, const void *, uint32_t)',
    AT_FDCWD,
    cString(from),
    AT_FDCWD,
    cString(to),
    flags,
  )

export const setxattr = (path: string, name: string, value: Buffer, flags = 0) =>
  call(
    'int setxattr(const void *, const void *, const void *, size_t, int)',
    cString(path),
    cString(name),
    value.length > 0 ? value : Buffer.alloc(1),
    value.length,
    flags,
  )

/** `room`: how much may be answered; 0 asks for the length. */
export async function getxattr(path: string, name: string, room = 65536): Promise<Buffer | number> {
  const into = Buffer.alloc(Math.max(1, room))
  const n = await call(
    'int64_t getxattr(const void *, const void *, void *, size_t)',
    cString(path),
    cString(name),
    into,
    room,
  )
  return n < 0 || room === 0 ? n : into.subarray(0, n)
}

export async function listxattr(path: string): Promise<string[]> {
  const into = Buffer.alloc(65536)
  const n = await call('int64_t listxattr(const void *, void *, size_t)', cString(path), into, into.length)
  assert.ok(n >= 0, `listxattr: errno ${-n}`)
  return into.toString('latin1', 0, n).split('\0').slice(0, -1)
}

export const removexattr = (path: string, name: string) =>
  call('int removexattr(const void *, const void *)', cString(path), cString(name))

export const UTIME_NOW = 0x3fffffff
export const UTIME_OMIT = 0x3ffffffe

/** utimensat(2) by path, or futimens(3) on a descriptor. Times as [seconds, nanoseconds]. */
export function utimens(target: string | number, atime: [number, number], mtime: [number, number]): Promise<number> {
  const times = Buffer.alloc(32)
  ;[...atime, ...mtime].forEach((n, i) => {
    times.writeBigInt64LE(BigInt(n), 8 * i)
  })
  if (typeof target === 'number') return call('int futimens(int, const void *)', target, times)
  return call('int utimensat(int, const void *, const void *, int)', AT_FDCWD, cString(target), times, 0)
}

export const fallocate = (fd: number, mode: number, offset: number, length: number) =>
  call('int fallocate64(int, int, int64_t, int64_t)', fd, mode, offset, length)

export const lseek = (fd: number, offset: number, whence: number) =>
  call('int64_t lseek64(int, int64_t, int)', fd, offset, whence)

export const mknod = (path: string, mode: number, device: number) =>
  call('int mknod(const void *, uint32_t, uint64_t)', cString(path), mode, device)

/** Rejects with this code. */
export function fails(promise: Promise<unknown>, code: string): Promise<void> {
  return assert.rejects(promise, (error: NodeJS.ErrnoException) => {
    assert.equal(error.code, code)
    return true
  })
}

/** Runs a program to its end; as another user if given. */
export function run(
  command: string,
  args: string[],
  options: { uid?: number; gid?: number; input?: string } = {},
): Promise<{ code: number | null; out: string; error: string }> {
  return new Promise((resolve, reject) => {
    const { input, ...how } = options
    const child = spawn(command, args, { ...how, stdio: ['pipe', 'pipe', 'pipe'], cwd: '/' })
    let out = ''
    let error = ''
    child.stdout.on('data', (d) => {
      out += d
    })
    child.stderr.on('data', (d) => {
      error += d
    })
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, out, error }))
    // It may end without reading what it is given.
    child.stdin.on('error', () => {})
    child.stdin.end(input ?? '')
  })
}

let python: string | undefined | null = null

/** A Python interpreter, for mmap(2); undefined if there is none. */
export function findPython(): string | undefined {
  if (python === null) {
    const found = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' })
    python = found.status === 0 ? found.stdout.trim() : undefined
  }
  return python
}

export const isRoot = process.geteuid?.() === 0
/** Somebody without rights, on any Linux. */
export const NOBODY = { uid: 65534, gid: 65534 }
