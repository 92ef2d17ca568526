// The POSIX behaviour that every file system of ours has to show through a real mount, whatever driver carries it.
// Owns no tests of its own; each test works in a directory of its own on one mount.

import { attributesSuite } from './attributes.suite.js'
import { ALL_FEATURES, Context, type MountUnderTest, type SuiteOptions } from './context.js'
import { filesSuite } from './files.suite.js'
import { namesSuite } from './names.suite.js'

export type { Features, MountUnderTest, SuiteOptions } from './context.js'

/** Defines the suite: call it inside a `describe`. What `features` denies is skipped, saying so. */
export function fileSystemSuite(options: SuiteOptions): void {
  const context = new Context({ ...ALL_FEATURES, ...options.features })
  let mounted: MountUnderTest | undefined

  before('mount', async () => {
    mounted = await options.mount()
    context.root = mounted.path
  })
  after('unmount', () => mounted?.unmount())

  describe('files', () => filesSuite(context))
  namesSuite(context)
  attributesSuite(context)
}
