// The live tree as the API and the console ask for it: walk, list, path. Reads only.

import { ENOENT, ENOTDIR } from '../../fuse/errno.js'
import type { WalkResult } from '../contract.js'
import { ErrnoError } from './errno.js'
import { keyOf, nameOf } from './folders.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'

const DEPTH_MAX = 4096

const failed = (errno: number, code: string, what: string) => new ErrnoError(errno, code, what)

export class TreeReads {
  readonly #state: LiveState

  constructor(components: { state: LiveState }) {
    this.#state = components.state
  }

  /** Throws ErrnoError ENOENT, ENOTDIR. */
  walk(names: Uint8Array[]): WalkResult {
    let inode = this.#require(1)
    for (const name of names) {
      if (!inode.isFolder) throw failed(ENOTDIR, 'ENOTDIR', `A file is on the way to ${JSON.stringify(textOf(name))}`)
      const { folders } = this.#state
      const entry = folders.find(folders.of(inode.ino), keyOf(name), name)
      if (!entry) throw failed(ENOENT, 'ENOENT', `There is no ${JSON.stringify(textOf(name))}`)
      inode = this.#require(entry.ino)
    }
    const { ino, document, mode, size, mtimeSec, mtimeNsec } = inode
    return { ino, document, mode, size, modified: { sec: mtimeSec, nsec: mtimeNsec } }
  }

  list(ino: number): { name: Uint8Array; ino: number; type: number }[] {
    const inode = this.#require(ino)
    if (!inode.isFolder) throw failed(ENOTDIR, 'ENOTDIR', `Inode ${ino} is not a folder`)
    const { folders } = this.#state
    return folders.list(folders.of(ino)).map(({ key, ino, type }) => ({ name: new Uint8Array(nameOf(key)), ino, type }))
  }

  /** Names from the root; undefined if it is not in the tree. Costs a look at each folder on the way. */
  path(ino: number): Uint8Array[] | undefined {
    const names: Uint8Array[] = []
    let inode = this.#state.inode(ino)
    for (let depth = 0; inode && inode.ino !== 1; depth++) {
      if (inode.parent === 0 || depth > DEPTH_MAX) return undefined
      const name = this.#nameIn(inode.parent, inode.ino)
      if (!name) return undefined
      names.push(name)
      inode = this.#state.inode(inode.parent)
    }
    return inode && names.reverse()
  }

  #nameIn(folder: number, ino: number): Uint8Array | undefined {
    const { folders } = this.#state
    const found = folders.list(folders.of(folder)).find((entry) => entry.ino === ino)
    return found && new Uint8Array(nameOf(found.key))
  }

  #require(ino: number): Inode {
    const inode = this.#state.inode(ino)
    if (!inode || inode.nlink === 0) throw failed(ENOENT, 'ENOENT', `There is no inode ${ino}`)
    return inode
  }
}

const textOf = (name: Uint8Array) => Buffer.from(name).toString()
