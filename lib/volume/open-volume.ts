// Opens a volume: takes its lock, holds what outlives its actors, mounts it. The work is done by the actors of
// `volumeSupervisor`, which whoever opened the volume starts and stops.

import { mkdirSync } from 'node:fs'
import type { AsyncFileSystem } from '../fuse/async-file-system.js'
import type { DriverName } from '../fuse/driver.js'
import { openVolume as takeVolume } from '../store/volume-store.js'
import type { HasherPool } from './hashing/pool.js'
import { MountPoint } from './mount-point.js'
import { VolumeResources } from './resources.js'
import { OpenedVolume } from './volume.js'

export interface OpenVolumeInit {
  directory: string
  /** This device, 32 bytes. */
  author: Uint8Array
  mountPoint?: string
  driver?: DriverName
  onReport?: (text: string) => void
}

export interface OpenedVolumeParts {
  volume: OpenedVolume
  resources: VolumeResources
}

/**
 * Opens and mounts; operations on the mount wait until the actors serve it.
 * Throws the errors of lib/store's `openVolume` and MountErrors; then nothing is left open or mounted.
 */
export async function openVolume(
  { hashers }: { hashers: HasherPool },
  init: OpenVolumeInit,
): Promise<OpenedVolumeParts> {
  const resources = new VolumeResources(
    { hashers },
    { ...takeVolume(init.directory), author: init.author, onReport: init.onReport },
  )
  const parts = { volume: new OpenedVolume({ resources }), resources }
  if (!init.mountPoint) return parts
  mkdirSync(init.mountPoint, { recursive: true })
  resources.mountPoint = new MountPoint(
    {
      serve: (session) => resources.engine.serve(session),
      fileSystem: remoteFileSystem(resources),
      report: resources.report,
    },
    { mountPoint: init.mountPoint, driver: init.driver },
  )
  try {
    await resources.mountPoint.mount()
  } catch (error) {
    await resources.close()
    throw error
  }
  return parts
}

/** Operations of the volume thread as calls, for drivers that run on this thread. */
function remoteFileSystem({ engine }: VolumeResources): AsyncFileSystem {
  const quiet = new Set(['forget', 'release', 'releasedir'])
  return new Proxy({} as AsyncFileSystem, {
    get(_target, name) {
      if (typeof name !== 'string' || name === 'then') return undefined
      return (...args: unknown[]) => {
        const answer = engine.link.request({ type: 'call', method: name, args })
        if (!quiet.has(name)) return answer
        answer.catch(() => {})
      }
    },
  })
}
