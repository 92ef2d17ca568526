// The compliance suite on the kernel driver, with the file system in memory: with the defaults, and with every option the other way.

import { fileSystemSuite } from '../compliance/file-system.suite.js'
import { MemoryMount } from '../support/fuse-mount.js'

describe('kernel driver', () => {
  describe('default options', () => {
    fileSystemSuite({ mount: () => MemoryMount.create() })
  })
  describe('nothing cached, FLUSH wanted, writes through the page cache, O_TRUNC by the file system', () => {
    const nothing = { entryTimeout: 0, attributeTimeout: 0, negativeTimeout: 0 }
    const others = { wantsFlush: true, directWrites: false, atomicTruncate: true, pollMicroseconds: 0 }
    fileSystemSuite({ mount: () => MemoryMount.create({ ...nothing, ...others }) })
  })
})
