// A volume's store from the outside: create one, open one. Owns the lock and the description; the committer (in its
// thread, or in-process) does the rest.
//
// A volume begins with its root, inode 1. A new volume's root has its first revision from the start, sticky. A volume that
// joins another one gets that one's root document: its inode is there at once, without a revision, and is not sealed until
// the head arrives from the other device, so that both do not begin with histories that have nothing in common.

import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { encodeFolder } from '../model/folder.js'
import { EVERYTHING, encodeHolding, HOLDING_SETTING, type Holding } from '../model/holding.js'
import { type DId, FLAG_STICKY, PART_ENTRIES, type SId, TYPE_FOLDER } from '../model/types.js'
import { Batch } from './batch.js'
import { EMPTY_LIVE } from './codec.js'
import { typedError } from './errors.js'
import {
  createDirectory,
  FORMAT_VERSION,
  lockVolume,
  readDescription,
  syncDirectory,
  type VolumeDescription,
  VolumeLayout,
  type VolumeLock,
  writeDescription,
} from './layout.js'
import type { InodeRecord } from './records.js'
import { openTables, StoreReader } from './tables.js'

export const ROOT_INO = 1

export interface CreateVolumeInit {
  directory: string
  label: string
  /** Device that makes the root's first revision: 32 bytes. */
  author: Uint8Array
  /** Join the volume of this root document; absent: a new root. */
  root?: DId
  uid?: number
  gid?: number
  /** Permission bits of the root; default 0755. */
  mode?: number
  /** What it holds here, if not everything. */
  holding?: Partial<Holding>
  /** Milliseconds since the epoch; default: now. */
  now?: () => number
}

/** Makes a volume. Throws VolumeExistsError, StorePermissionError, NoSpaceError; then there is no volume there. */
export async function createVolume(init: CreateVolumeInit): Promise<VolumeDescription> {
  const now = init.now ?? Date.now
  const layout = createDirectory(init.directory)
  const lock = lockVolume(layout)
  try {
    const sid: SId = new Uint8Array(randomBytes(16))
    const root: DId = init.root ?? new Uint8Array(randomBytes(16))
    const description = { format: FORMAT_VERSION, sid, label: init.label, root, created: now() }
    const reader = new StoreReader(openTables(layout.db, { create: true }))
    try {
      writeRoot(layout, reader, { ...init, root, now, joining: init.root !== undefined })
    } finally {
      await reader.close()
    }
    // The tables' names have to last before there is a description that calls them a volume.
    syncNew(layout)
    writeDescription(layout, description)
    return description
  } finally {
    lock.free()
  }
}

function syncNew(layout: VolumeLayout): void {
  try {
    syncDirectory(layout.db)
    syncDirectory(layout.directory)
    syncDirectory(path.dirname(path.resolve(layout.directory)))
  } catch (error) {
    throw typedError(layout.directory, error)
  }
}

function writeRoot(
  layout: VolumeLayout,
  reader: StoreReader,
  init: CreateVolumeInit & { root: DId; now: () => number; joining: boolean },
): void {
  const { now } = init
  const batch = new Batch({ layout, reader, now, monotonic: () => performance.now(), report: () => {} }, init)
  try {
    const row = rootRow(init)
    batch.view.putInode(row)
    if (init.holding)
      batch.view.putSetting(HOLDING_SETTING, encodeHolding({ ...EVERYTHING, ...init.holding, partial: true }))
    if (init.joining) batch.view.setJoining(true)
    else {
      const modified = { sec: row.mtimeSec, nsec: row.mtimeNsec }
      const { content } = encodeFolder([])
      const input = { document: init.root, row, part: PART_ENTRIES, content, type: TYPE_FOLDER, flags: FLAG_STICKY }
      batch.reviser.commit({ ...input, modified, parents: [], ino: ROOT_INO }, undefined)
    }
    batch.commit(false)
  } finally {
    batch.close()
  }
}

function rootRow(init: CreateVolumeInit & { root: DId; now: () => number }): InodeRecord {
  const ms = init.now()
  const sec = Math.floor(ms / 1000)
  const nsec = Math.floor((ms % 1000) * 1e6)
  return {
    ino: ROOT_INO,
    document: init.root,
    mode: 0o040000 | (init.mode ?? 0o755),
    uid: init.uid ?? process.getuid?.() ?? 0,
    gid: init.gid ?? process.getgid?.() ?? 0,
    rdev: 0,
    nlink: 2,
    size: 0,
    mtimeSec: sec,
    mtimeNsec: nsec,
    ctimeSec: sec,
    ctimeNsec: nsec,
    createdSec: sec,
    createdNsec: nsec,
    parent: 0,
    content: EMPTY_LIVE,
    xattrs: [],
  }
}

export interface OpenVolume {
  layout: VolumeLayout
  description: VolumeDescription
  lock: VolumeLock
}

/**
 * Takes the lock and reads the description; tables are opened, and recovered, by the committer. Throws NotAVolumeError,
 * NewerFormatError, DamagedVolumeError, VolumeLockedError, StorePermissionError. `lock.free()` when done.
 */
export function openVolume(directory: string): OpenVolume {
  const layout = new VolumeLayout(directory)
  readDescription(layout)
  const lock = lockVolume(layout)
  try {
    return { layout, description: readDescription(layout), lock }
  } catch (error) {
    lock.free()
    throw error
  }
}
