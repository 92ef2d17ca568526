// Brings back what was deleted: a file at a path where there is none now, with the content of one of its versions and going on
// with its document; folders that are missing on the way are made. Owns no state.

import { EEXIST, ENOTDIR } from '../../fuse/errno.js'
import type { Invalidation } from '../../fuse/file-system.js'
import type { Attributes, DId } from '../../model/types.js'
import type { LiveContent } from '../../store/records.js'
import type { LiveRevision } from '../contract.js'
import { ErrnoError } from './errno.js'
import { keyOf } from './folders.js'
import type { Identity } from './identity.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import { S_IFDIR, S_IFMT } from './modes.js'
import type { Namespace } from './namespace.js'
import type { Transaction } from './transaction.js'
import type { WallClock } from './wall-clock.js'

export interface ReviveRequest {
  /** From the root; the last one is the file's. */
  names: Uint8Array[]
  document: DId
  live: LiveRevision
}

export interface ReviverComponents {
  state: LiveState
  namespace: Namespace
  identity: Identity
  transaction: Transaction
  clock: WallClock
}

export class Reviver {
  readonly #c: ReviverComponents

  constructor(components: ReviverComponents) {
    this.#c = components
  }

  /** Throws ErrnoError (EEXIST, ENOTDIR …) and what the journal throws. Folders made until then stay. */
  revive({ names, document, live }: ReviveRequest): Invalidation[] {
    const invalidations: Invalidation[] = []
    let folder = this.#c.state.inode(1)!
    try {
      for (const name of names.slice(0, -1)) folder = this.#folder(folder, Buffer.from(name), invalidations)
      const name = Buffer.from(names[names.length - 1])
      if ((live.attributes.mode & S_IFMT) === S_IFDIR) this.#empty(folder, name, live.attributes, invalidations)
      else this.#file(folder, name, document, live, invalidations)
    } catch (error) {
      this.#c.transaction.rollback()
      throw error
    }
    return invalidations
  }

  #folder(parent: Inode, name: Buffer, invalidations: Invalidation[]): Inode {
    const found = this.#c.namespace.lookup(parent.ino, name)
    if (typeof found !== 'number') {
      if (found.isFolder) return found
      throw new ErrnoError(ENOTDIR, 'ENOTDIR', `A file is in the way: ${name}`)
    }
    // As whoever has the folder above would make it.
    return this.#made(parent, name, S_IFDIR | (parent.mode & 0o777), parent, undefined, invalidations)
  }

  /** A new folder with the attributes that one had. */
  #empty(parent: Inode, name: Buffer, attributes: Attributes, invalidations: Invalidation[]): void {
    this.#refuseTaken(parent, name)
    const inode = this.#made(parent, name, attributes.mode, attributes, undefined, invalidations)
    this.#attribute(inode, attributes)
  }

  #refuseTaken(parent: Inode, name: Buffer): void {
    if (typeof this.#c.namespace.lookup(parent.ino, name) === 'number') return
    throw new ErrnoError(EEXIST, 'EEXIST', `There is something at this path again: ${name}`)
  }

  /** What `#made` does not set. */
  #attribute(inode: Inode, { mode, gid, xattrs }: Attributes): void {
    // A set-group-id folder gives its own group, and its bit to folders.
    if (xattrs.length === 0 && inode.gid === gid && inode.mode === mode) return
    this.#c.transaction.touch(inode)
    inode.xattrs = xattrs
    inode.gid = gid
    inode.mode = mode
    this.#c.transaction.commit()
  }

  #file(parent: Inode, name: Buffer, document: DId, live: LiveRevision, invalidations: Invalidation[]): void {
    const { identity, clock } = this.#c
    const { mode, rdev } = live.attributes
    this.#refuseTaken(parent, name)
    clock.read()
    // As if it had been removed just now. If the document lives elsewhere (it was moved), that inode keeps it, and this becomes a
    // new one.
    const { sec, nsec } = live.created
    const ino = identity.carrier(document)?.nlink ? 0 : identity.placeOf(document)
    identity.left(parent.ino, keyOf(name), { mode, document, ino, createdSec: sec, createdNsec: nsec }, clock.span)
    const inode = this.#made(parent, name, mode, live.attributes, contentOf(live), invalidations, rdev)
    this.#attribute(inode, live.attributes)
  }

  #made(
    parent: Inode,
    name: Buffer,
    mode: number,
    owner: { uid: number; gid: number },
    content: LiveContent | undefined,
    invalidations: Invalidation[],
    rdev = 0,
  ): Inode {
    const caller = { uid: owner.uid, gid: owner.gid, pid: 0 }
    const made = this.#c.namespace.make(caller, parent.ino, name, mode, rdev, content)
    if (typeof made === 'number') throw new ErrnoError(made, 'EIO', `${name} cannot be made (errno ${-made})`)
    parent.epoch++
    invalidations.push({ kind: 'entry', parent: parent.ino, name: new Uint8Array(name) })
    invalidations.push({ kind: 'inode', ino: parent.ino, data: true })
    return made
  }
}

function contentOf({ content, inline }: LiveRevision): LiveContent | undefined {
  if (content) return { kind: 'committed', content }
  return inline && { kind: 'bytes', bytes: inline }
}
