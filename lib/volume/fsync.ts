// fsync(2) of a file on the mount: the volume thread never waits for the disk, so it hands on which descriptors have to be
// synced; here libuv's pool waits for that, and the kernel gets its answer from the main thread.

import { fdatasync } from 'node:fs'
import { open } from 'node:fs/promises'
import { promisify } from 'node:util'
import { EIO } from '../fuse/errno.js'
import { complete } from '../fuse/session.js'
import type { VolumeResources } from './resources.js'

const sync = promisify(fdatasync)

export interface FsyncRequest {
  unique: bigint
  fds: number[]
  directory?: string
}

/** Never rejects: a disk that fails is the answer (EIO), and a report. */
export async function completeFsync(volume: VolumeResources, { unique, fds, directory }: FsyncRequest): Promise<void> {
  const { session } = volume.engine
  let errno = 0
  try {
    await Promise.all([...fds.map((fd) => sync(fd)), ...(directory ? [syncDirectory(directory)] : [])])
  } catch (error) {
    errno = EIO
    volume.report(`fsync failed: ${(error as Error).message}`)
  }
  // Of a mount that is gone meanwhile nobody waits for the answer, and its descriptor may be another one's.
  if (session && session === volume.engine.session) complete(session, unique, errno)
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
