import { fileSystemSuite } from '../../compliance/file-system.suite.js'
import { cannotMount } from '../../support/fuse-mount.js'
import { MountedVolume } from './mounted.js'

describe('engine: POSIX on a real mount', () => {
  const why = cannotMount()
  if (why) {
    it.skip(`cannot mount here: ${why}`)
    return
  }
  fileSystemSuite({
    async mount() {
      const volume = await MountedVolume.create()
      // Gigabytes of holes: hashing them is not what is tested here.
      volume.hashes = false
      return { path: volume.mountPoint, unmount: () => volume.remove() }
    },
  })
})
