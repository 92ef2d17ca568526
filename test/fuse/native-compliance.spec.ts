// The compliance suite on fuse-native, with the file system in memory, as far as that driver goes (docs/fuse.md).

import { mkdtempSync, rmdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { toAsync } from '../../lib/fuse/async-file-system.js'
import { nativeDriver } from '../../lib/fuse/native-driver.js'
import { fileSystemSuite } from '../compliance/file-system.suite.js'
import { MemoryFileSystem } from '../support/memory-file-system.js'

describe('fuse-native driver', () => {
  fileSystemSuite({
    async mount() {
      const directory = mkdtempSync(path.join(os.tmpdir(), 'fuse-native-test-'))
      const mounted = await nativeDriver.mount({
        mountPoint: directory,
        fileSystem: toAsync(new MemoryFileSystem()),
        serve() {},
      })
      return {
        path: directory,
        async unmount() {
          await mounted.unmount()
          rmdirSync(directory)
        },
      }
    },
    features: {
      renameFlags: false,
      nanoseconds: false,
      separateTimes: false,
      fallocate: false,
      seekHole: false,
      anyBytes: false,
      longPaths: false,
      callerIds: false,
      setIds: false,
      orphans: false,
      atomicReplace: false,
    },
  })
})
