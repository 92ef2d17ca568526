// Opens a volume: takes its lock, holds what outlives its actors, mounts it. The work is done by the actors of
// `volumeSupervisor`, which whoever opened the volume starts and stops. Owns the order of opening and of leaving:
// `openVolume`, start the supervisor, `resources.opened` … `leaveVolume`, stop the supervisor, `resources.close()`.

import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import type { DriverName } from '../fuse/driver.js'
import type { AttachOptions } from '../fuse/mount.js'
import { openVolume as takeVolume } from '../store/volume-store.js'
import type { HasherPool } from './hashing/pool.js'
import type { NamedDevice } from './history/devices.js'
import { MountPoint } from './mount-point.js'
import { VolumeResources } from './resources.js'
import { OpenedVolume } from './volume.js'

export interface OpenVolumeInit {
  directory: string
  /** This device, 32 bytes: the author of revisions. */
  author: Uint8Array
  /** Absent: the volume is not mounted. The directory is made if it is not there. */
  mountPoint?: string
  driver?: DriverName
  mountOptions?: AttachOptions
  /** What devices are called in names of versions; later changes by `VolumeResources.nameDevices`. */
  devices?: NamedDevice[]
  /** Hears of what recovery, scrub and mount have to say. */
  onReport?: (text: string) => void
}

export interface OpenedVolumeParts {
  volume: OpenedVolume
  resources: VolumeResources
}

/**
 * Opens and mounts; operations on the mount wait until the actors serve it.
 * Rejects with the errors of lib/store's `openVolume` and MountErrors; then nothing is left open or mounted.
 */
export async function openVolume(
  { hashers }: { hashers: HasherPool },
  init: OpenVolumeInit,
): Promise<OpenedVolumeParts> {
  const taken = takeVolume(init.directory)
  let resources: VolumeResources
  try {
    const { author, devices, onReport } = init
    resources = new VolumeResources({ hashers }, { ...taken, author, devices, onReport })
  } catch (error) {
    taken.lock.free()
    throw error
  }
  const parts = { volume: new OpenedVolume({ resources }), resources }
  if (!init.mountPoint) return parts
  try {
    await mount(resources, init.mountPoint, init)
  } catch (error) {
    await resources.close()
    throw error
  }
  return parts
}

/** As `mkdir -p`. Node's own never ends where a file system has no room for directories and says ENOENT, as /proc does. */
async function makeDirectories(directory: string): Promise<void> {
  const parent = path.dirname(directory)
  if (parent !== directory && (await isMissing(parent))) await makeDirectories(parent)
  await mkdir(directory)
}

const isMissing = (file: string) =>
  stat(file).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  )

async function mount(resources: VolumeResources, mountPoint: string, init: OpenVolumeInit): Promise<void> {
  // A stale mount cannot be looked at; the driver clears it away, or says what is wrong.
  await makeDirectories(mountPoint).catch(() => {})
  resources.mountPoint = new MountPoint(
    {
      serve: (session) => resources.engine.serve(session),
      fileSystem: resources.engine.fileSystem,
      report: resources.report,
    },
    { mountPoint, driver: init.driver, options: init.mountOptions },
  )
  await resources.mountPoint.mount()
}

/**
 * Before the actors are stopped: the mount goes, so that nobody writes any more (one in use vanishes from the tree at once
 * and ends with its last file), and what was acknowledged is committed while all threads still run. Large contents that are
 * still to be hashed are not waited for: they are on disk, and go on when the volume is opened again. Never rejects: what
 * cannot be written now (a disk that is full) is in the journal, and folded then; it is reported.
 */
export async function leaveVolume({ resources }: Pick<OpenedVolumeParts, 'resources'>): Promise<void> {
  // Before as well: the kernel drops what it has not told of closed files yet when it unmounts.
  await commitAll(resources)
  try {
    await resources.mountPoint?.unmount()
  } catch (error) {
    resources.report(`${resources.mountPoint?.mountPoint} could not be unmounted: ${(error as Error).message}`)
  }
  await commitAll(resources)
}

async function commitAll({ mountPoint, engine, committer, report }: VolumeResources): Promise<void> {
  // Never started, or not any more: what there is is in the journal.
  if (!engine.link.attached || !committer.link.attached) return
  try {
    await mountPoint?.served()
    await engine.flush()
    await committer.flush()
  } catch (error) {
    report(`Not everything could be committed, the next start does it: ${(error as Error).message}`)
  }
}
