// Mounting and unmounting through the kernel, and finding out what lies at a mount point. Linux only.
// Owns no state. Whoever calls `attach` owns the descriptor that it answers.

import { execFile, spawn } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, statfs, statSync } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import {
  MountFailedError,
  MountPointInUseError,
  MountPointMissingError,
  MountPointNotDirectoryError,
  MountPointNotEmptyError,
  NoFuseDeviceError,
  NoFusermountError,
  StaleMountError,
  UnmountFailedError,
  UnsupportedPlatformError,
} from './errors.js'
import { libc, receiveDescriptor, setFlags, socketPair } from './syscalls.js'

export const FILE_SYSTEM_NAME = 'peerdrive'
const TYPE = `fuse.${FILE_SYSTEM_NAME}`

export interface AttachOptions {
  /** Other users may enter (permissions are checked by the kernel); default: as root, and where /etc/fuse.conf has user_allow_other. */
  allowOther?: boolean
  /** Honour set-id bits of files; default no. Root only. */
  suid?: boolean
  /** Honour device files; default no. Root only. */
  dev?: boolean
  /** Mount over a directory that is not empty. */
  allowNonEmpty?: boolean
  /** Shown as the source in mount tables; no commas. */
  source?: string
}

/** What lies at a path. `stale`: a FUSE mount whose process is gone. */
export type MountPointState = { state: 'free' } | { state: 'mounted' | 'stale'; type: string }

const MS_NOSUID = 2
const MS_NODEV = 4
const MNT_DETACH = 2

/**
 * Mounts on `mountPoint` (resolved, an empty directory; a stale mount of ours there is removed first) and answers the descriptor of
 * /dev/fuse, non-blocking. As root by mount(2), else through fusermount3. Rejects with a MountError.
 */
export async function attach(mountPoint: string, options: AttachOptions = {}): Promise<number> {
  if (process.platform !== 'linux') throw new UnsupportedPlatformError(mountPoint, process.platform)
  await prepare(mountPoint, options.allowNonEmpty ?? false)
  return process.geteuid!() === 0 ? attachAsRoot(mountPoint, options) : attachThroughHelper(mountPoint, options)
}

/** Checks the mount point, and recovers it from a dead mount of ours. Rejects with a MountError. */
export async function prepare(mountPoint: string, allowNonEmpty: boolean): Promise<void> {
  const found: MountPointState = process.platform === 'linux' ? await inspect(mountPoint) : { state: 'free' }
  if (found.state === 'stale') await recover(mountPoint, found.type)
  if (found.state === 'mounted') throw new MountPointInUseError(mountPoint, found.type)
  const info = await stat(mountPoint).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new MountPointMissingError(mountPoint)
    if (error.code === 'ENOTDIR') throw new MountPointNotDirectoryError(mountPoint)
    throw new MountFailedError(mountPoint, error.message, 'Check the path and the rights on it.')
  })
  if (!info.isDirectory()) throw new MountPointNotDirectoryError(mountPoint)
  if (!allowNonEmpty && (await readdir(mountPoint)).length > 0) throw new MountPointNotEmptyError(mountPoint)
}

/** Removes a dead mount of ours; a dead mount of somebody else is left alone. */
async function recover(mountPoint: string, type: string): Promise<void> {
  if (type !== TYPE) throw new StaleMountError(mountPoint, `it is of type ${type}, not ours`)
  try {
    await detach(mountPoint, { lazy: true })
  } catch (error) {
    throw new StaleMountError(mountPoint, (error as Error).message, { cause: error })
  }
}

/**
 * What lies at `mountPoint`. Only statfs(2) tells a dead mount reliably: stat(2) may be answered from the kernel's cache.
 * It is given 5 seconds: a mount whose process is stopped does not answer, and counts as mounted.
 */
export async function inspect(mountPoint: string): Promise<MountPointState> {
  const type = mountedType(await resolved(mountPoint))
  if (type === undefined) return { state: 'free' }
  const dead = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), 5000)
    statfs(mountPoint, (error) => {
      clearTimeout(timer)
      resolve(error?.code === 'ENOTCONN' || error?.code === 'ECONNABORTED')
    })
  })
  return { state: dead ? 'stale' : 'mounted', type }
}

/** The path with symbolic links followed as far as it can be: of a dead mount, the parent is resolved. */
async function resolved(mountPoint: string): Promise<string> {
  const absolute = path.resolve(mountPoint)
  try {
    const parent = await realpath(path.dirname(absolute))
    const whole = path.join(parent, path.basename(absolute))
    return mountedType(whole) === undefined ? await realpath(absolute) : whole
  } catch {
    return absolute
  }
}

/** The file system type of the topmost mount at exactly this path, from /proc/self/mountinfo. */
export function mountedType(absolute: string): string | undefined {
  let type: string | undefined
  for (const line of readFileSync('/proc/self/mountinfo', 'latin1').split('\n')) {
    const fields = line.split(' ')
    const dash = fields.indexOf('-', 6)
    if (dash < 0) continue
    const point = fields[4].replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
    if (Buffer.from(point, 'latin1').toString() === absolute) type = fields[dash + 1]
  }
  return type
}

/** Bytes of a path for system calls, with the terminating NUL. */
function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`)
}

function openDevice(mountPoint: string): number {
  try {
    return openSync('/dev/fuse', constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    throw new NoFuseDeviceError(mountPoint, (error as NodeJS.ErrnoException).code ?? String(error))
  }
}

function attachAsRoot(mountPoint: string, options: AttachOptions): number {
  const fd = openDevice(mountPoint)
  const mode = statSync(mountPoint).mode.toString(8)
  const data = [`fd=${fd}`, `rootmode=${mode}`, 'user_id=0', 'group_id=0', 'default_permissions']
  if (options.allowOther ?? true) data.push('allow_other')
  const flags = (options.suid ? 0 : MS_NOSUID) | (options.dev ? 0 : MS_NODEV)
  const c = libc()
  if (c.mount(options.source ?? FILE_SYSTEM_NAME, cString(mountPoint), TYPE, flags, data.join(',')) === 0) return fd
  const errno = c.errno()
  closeSync(fd)
  const advice =
    errno === 1
      ? 'The right to mount is missing (in a container: --cap-add SYS_ADMIN).'
      : 'The kernel log (dmesg) may tell more.'
  throw new MountFailedError(mountPoint, `mount(2) answered errno ${errno}`, advice)
}

/** The set-uid helper mounts, and sends the descriptor through a socket that _FUSE_COMMFD names. */
async function attachThroughHelper(mountPoint: string, options: AttachOptions): Promise<number> {
  const pair = socketPair()
  if (typeof pair === 'number') throw new MountFailedError(mountPoint, `socketpair(2): errno ${-pair}`, 'Try again.')
  const [ours, theirs] = pair
  try {
    const wishes = [
      'default_permissions',
      `fsname=${options.source ?? FILE_SYSTEM_NAME}`,
      `subtype=${FILE_SYSTEM_NAME}`,
    ]
    if (options.allowOther ?? othersAllowed(fuseConfiguration())) wishes.push('allow_other')
    if (options.allowNonEmpty) wishes.push('nonempty')
    const said = await runHelper(mountPoint, ['-o', wishes.join(','), '--', mountPoint], theirs)
    if (said.text.includes('/dev/fuse')) throw new NoFuseDeviceError(mountPoint, said.text)
    const fd = said.code === 0 ? receiveDescriptor(ours) : -1
    if (fd < 0) throw new MountFailedError(mountPoint, said.text || 'fusermount3 gave no reason', HELPER_ADVICE)
    setFlags(fd, { closeOnExec: true, nonBlocking: true })
    return fd
  } finally {
    closeSync(ours)
    closeSync(theirs)
  }
}

function fuseConfiguration(): string {
  try {
    return readFileSync('/etc/fuse.conf', 'latin1')
  } catch {
    return ''
  }
}

/** Whether fuse.conf(5) lets ordinary users mount for others. Whether those may do something, modes say. */
export function othersAllowed(configuration: string): boolean {
  return configuration.split('\n').some((line) => line.trim() === 'user_allow_other')
}

const HELPER_ADVICE =
  'The mount point must belong to you; for allow_other, /etc/fuse.conf must contain user_allow_other.'

function runHelper(mountPoint: string, args: string[], socket: number): Promise<{ code: number | null; text: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('fusermount3', args, {
      env: { ...process.env, _FUSE_COMMFD: '3' },
      stdio: ['ignore', 'ignore', 'pipe', socket],
    })
    let text = ''
    child.stderr!.on('data', (data: Buffer) => {
      if (text.length < 4096) text += data
    })
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT'
          ? new NoFusermountError(mountPoint)
          : new MountFailedError(mountPoint, error.message, HELPER_ADVICE),
      ),
    )
    child.once('close', (code) => resolve({ code, text: text.trim() }))
  })
}

/**
 * Unmounts. A mount that is in use is detached lazily: it vanishes from the tree at once, and ends when the last file on it
 * is closed. Resolves as well when nothing was mounted there. Rejects with UnmountFailedError.
 */
export async function detach(mountPoint: string, options: { lazy?: boolean } = {}): Promise<void> {
  if (process.geteuid!() !== 0) return detachThroughHelper(mountPoint, options.lazy ?? false)
  const EBUSY = 16
  const EINVAL = 22
  const ENOENT = 2
  let errno = options.lazy ? EBUSY : await umount2(mountPoint, 0)
  if (errno === EBUSY) errno = await umount2(mountPoint, MNT_DETACH)
  if (errno === 0 || errno === EINVAL || errno === ENOENT) return
  throw new UnmountFailedError(mountPoint, `umount(2) answered errno ${errno}`)
}

/** In another thread: the kernel may wait for the file system that this process serves. Answers the errno. */
function umount2(mountPoint: string, flags: number): Promise<number> {
  const { umount2: call, errno } = libc()
  return new Promise((resolve, reject) => {
    call.async(cString(mountPoint), flags, (error, result) => {
      if (error) reject(error)
      else resolve(result === 0 ? 0 : errno())
    })
  })
}

async function detachThroughHelper(mountPoint: string, lazy: boolean): Promise<void> {
  const flags = lazy ? ['-u', '-z'] : ['-u']
  const said = await new Promise<string>((resolve) => {
    execFile('fusermount3', [...flags, '--', mountPoint], (error, _out, text) => {
      if (!error) resolve('')
      else resolve(error.code === 'ENOENT' ? 'fusermount3 is not installed' : text.trim() || error.message)
    })
  })
  if (said === '') return
  if (mountedType(await resolved(mountPoint)) === undefined) return
  if (!lazy) return detachThroughHelper(mountPoint, true)
  throw new UnmountFailedError(mountPoint, said)
}
