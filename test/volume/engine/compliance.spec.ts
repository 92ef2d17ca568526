import { fileSystemSuite } from '../../compliance/file-system.suite.js'
import { MountedVolume } from './mounted.js'

describe('engine: POSIX on a real mount', () => {
  if (process.platform !== 'linux') {
    it.skip('cannot mount here: not Linux')
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
