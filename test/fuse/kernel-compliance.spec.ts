// The compliance suite on the kernel driver, with the file system in memory: with the defaults, with nothing cached, and with
// the optional ways of opening.

import { fileSystemSuite } from '../compliance/file-system.suite.js'
import { MemoryMount } from '../support/fuse-mount.js'

describe('kernel driver', () => {
  describe('default options', () => {
    fileSystemSuite({ mount: () => MemoryMount.create() })
  })
  describe('nothing cached, FLUSH wanted, writes through the page cache', () => {
    const nothing = { entryTimeout: 0, attributeTimeout: 0, negativeTimeout: 0 }
    fileSystemSuite({ mount: () => MemoryMount.create({ ...nothing, wantsFlush: true, directWrites: false }) })
  })
  describe('O_TRUNC by the file system', () => {
    fileSystemSuite({ mount: () => MemoryMount.create({ atomicTruncate: true }) })
  })
})
