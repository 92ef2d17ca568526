// Reading folders. A handle's entries are a snapshot made when it is read from the start, so that offsets (positions in it)
// stay what they are while entries come and go; reading from the start again makes a new one. Owns no state.

import type { Attributes, DirectoryEntry } from '../../fuse/file-system.js'
import type { Folders } from './folders.js'
import { nameOf } from './folders.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import { DT_DIR } from './modes.js'
import type { Handle } from './open-files.js'

type Emit = (entry: DirectoryEntry, attributes?: Attributes) => boolean

const DOT = Buffer.from('.')
const DOT_DOT = Buffer.from('..')

export class Directories {
  readonly #state: LiveState
  readonly #folders: Folders

  constructor(components: { state: LiveState }) {
    this.#state = components.state
    this.#folders = components.state.folders
  }

  read(handle: Handle, offset: number, plus: boolean, emit: Emit): void {
    const { inode } = handle
    const folder = this.#folders.of(inode.ino)
    if (offset === 0 || handle.listing === undefined) {
      // A folder that was removed while it was open is empty, `.` and `..` included.
      handle.listing = inode.nlink === 0 ? [] : this.#folders.list(folder)
      handle.version = folder.version
    }
    if (inode.nlink > 0 && !this.#dots(inode, offset, emit)) return
    const { listing } = handle
    const unchanged = handle.version === folder.version
    for (let i = Math.max(0, offset - 2); i < listing.length; i++) {
      const { key, ino, type } = listing[i]
      const name = nameOf(key)
      const shown = plus && (unchanged || this.#folders.find(folder, key, name)?.ino === ino)
      const found = shown ? this.#state.inode(ino) : undefined
      if (!emit({ name, ino, type, offset: i + 3 }, found)) return
      if (found) found.lookups++
    }
  }

  #dots(inode: Inode, offset: number, emit: Emit): boolean {
    if (offset < 1 && !emit({ name: DOT, ino: inode.ino, type: DT_DIR, offset: 1 })) return false
    return offset >= 2 || emit({ name: DOT_DOT, ino: inode.parent || 1, type: DT_DIR, offset: 2 })
  }
}
