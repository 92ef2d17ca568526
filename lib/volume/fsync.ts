// fsync(2) of a file on the mount: the volume thread never waits for the disk, so it hands on which descriptors have to be
// synced; here libuv's pool waits for that, and the kernel gets its answer from the main thread.
//
// The descriptors are duplicates, ours to close: the thread may close its own meanwhile (the journal goes on in a new segment, a
// spool becomes a pack). What an fsync under way covers is not handed on again, so that a later one is answered after it, and
// fails with it.

import { closeSync, fdatasync } from 'node:fs'
import { open } from 'node:fs/promises'
import { promisify } from 'node:util'
import { EIO } from '../fuse/errno.js'
import { complete } from '../fuse/session.js'
import type { VolumeResources } from './resources.js'

const sync = promisify(fdatasync)

export interface FsyncRequest {
  unique: bigint
  /** Closed when they are synced. */
  fds: number[]
  /** Names in them are new. */
  directories: string[]
}

/** Never rejects: a disk that fails is the answer (EIO), and a report. */
export async function completeFsync(
  volume: VolumeResources,
  { unique, fds, directories }: FsyncRequest,
): Promise<void> {
  const { session } = volume.engine
  let errno = 0
  try {
    await after(volume, [
      ...fds.map((fd) => syncAndClose(fd)),
      ...directories.map((directory) => syncDirectory(directory)),
    ])
  } catch (error) {
    errno = EIO
    volume.report(`fsync failed: ${(error as Error).message}`)
  }
  // Of a mount that is gone meanwhile nobody waits for the answer, and its descriptor may be another one's.
  if (session && session === volume.engine.session) complete(session, unique, errno)
}

/** What is being synced, for each volume. */
const underWay = new WeakMap<VolumeResources, Set<Promise<unknown>>>()

async function after(volume: VolumeResources, ours: Promise<unknown>[]): Promise<void> {
  const earlier = underWay.get(volume) ?? new Set()
  underWay.set(volume, earlier)
  const before = [...earlier]
  const all = Promise.all(ours)
  earlier.add(all)
  try {
    await Promise.all([all, ...before])
  } finally {
    // Not before it is settled, whatever else failed.
    await all.catch(() => {})
    earlier.delete(all)
  }
}

async function syncAndClose(fd: number): Promise<void> {
  try {
    await sync(fd)
  } finally {
    closeSync(fd)
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
