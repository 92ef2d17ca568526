// Spool files that are in use: open working copies, and closed contents that the hashers have not put into packs yet. Owns
// their descriptors. Which are needed is known here: a spool goes when its content is committed and no other lies on it.
// Never hashes, never removes a file that the journal names: the committer does, once it reads `spool-gone`.

import fs from 'node:fs'
import { EIO, ENXIO } from '../../fuse/errno.js'
import type { Content } from '../../model/types.js'
import type { LiveContent } from '../../store/records.js'
import { ErrnoError } from './errno.js'
import type { DurableState } from './ports.js'
import { RangeSet } from './range-set.js'

export interface Spool {
  readonly id: number
  readonly ino: number
  /** -1: committed before this thread had it. */
  readonly fd: number
  /** What it lies on; undefined: nothing, the file is the content as it is. */
  readonly base: LiveContent | undefined
  /** With a base: what is its own. */
  readonly ranges: RangeSet
  /** How many bytes of the base are seen. */
  baseSize: number
  state: 'open' | 'closed' | 'committed'
  content: Content | undefined
  /** Other spools that lie on it. */
  dependents: number
  /** Monotonic milliseconds at which it was opened. */
  since: number
}

export class SpoolFiles {
  readonly #durable: DurableState
  readonly #pathOf: (id: number) => string
  readonly #spools = new Map<number, Spool>()

  constructor(components: { durable: DurableState; pathOf: (id: number) => string }) {
    this.#durable = components.durable
    this.#pathOf = components.pathOf
  }

  all(): Iterable<Spool> {
    return this.#spools.values()
  }

  /** A new file. The caller journals it, or calls `discard`. */
  create(id: number, ino: number, base: LiveContent | undefined, baseSize: number, since: number): Spool {
    const fd = fs.openSync(this.#pathOf(id), 'wx+', 0o600)
    const spool: Spool = {
      ...{ id, ino, fd, base, ranges: new RangeSet(), baseSize },
      ...{ state: 'open', content: undefined, dependents: 0, since },
    }
    this.#spools.set(id, spool)
    const below = this.below(spool)
    if (below) below.dependents++
    return spool
  }

  /** A spool that was created but is not in the journal. */
  discard(spool: Spool): void {
    this.drop(spool)
    fs.rmSync(this.#pathOf(spool.id), { force: true })
  }

  /** A spool by number; from its row if this thread did not make it. Throws if there is none. */
  get(id: number): Spool {
    return this.#spools.get(id) ?? this.#load(id)
  }

  #load(id: number): Spool {
    this.#durable.refresh()
    const row = this.#durable.spool(id)
    if (!row) throw new ErrnoError(EIO, 'EIO', `Spool ${id} is not in the volume any more`)
    // Once it is committed its file may have become a pack; nobody reads it any more.
    const fd = row.content ? -1 : fs.openSync(this.#pathOf(id), row.state === 'open' ? 'r+' : 'r')
    const hasBase = row.base.kind !== 'committed' || row.base.content.size > 0
    const spool: Spool = {
      ...{ id, ino: row.ino, fd, base: hasBase ? row.base : undefined },
      ...{ ranges: new RangeSet(row.ranges), baseSize: row.baseSize, state: row.state, content: row.content },
      ...{ dependents: 0, since: 0 },
    }
    this.#spools.set(id, spool)
    const below = this.below(spool)
    if (below) below.dependents++
    return spool
  }

  /** If it is in use by this thread. */
  peek(id: number): Spool | undefined {
    return this.#spools.get(id)
  }

  /** The spool it lies on. */
  below(spool: Spool): Spool | undefined {
    return spool.base?.kind === 'spool' ? this.get(spool.base.spool) : undefined
  }

  /** Not used by this thread any more. Answers the one below, if it may be that nothing needs that one now. */
  drop(spool: Spool): Spool | undefined {
    if (!this.#spools.delete(spool.id)) return undefined
    if (spool.fd >= 0) fs.closeSync(spool.fd)
    const below = spool.base?.kind === 'spool' ? this.#spools.get(spool.base.spool) : undefined
    if (below) below.dependents--
    return below
  }

  close(): void {
    for (const { fd } of this.#spools.values()) if (fd >= 0) fs.closeSync(fd)
    this.#spools.clear()
  }
}

/** SEEK_DATA or SEEK_HOLE in a spool over a base; a negative errno (ENXIO) if there is none. */
export function seekOver(spool: Spool, offset: number, hole: boolean, size: number): number {
  for (let at = offset; at < size; ) {
    const piece = spool.ranges.piece(at, size)
    const data = piece.own || at < spool.baseSize
    const end = piece.own ? piece.end : Math.min(piece.end, data ? spool.baseSize : piece.end)
    if (data !== hole) return at
    at = end
  }
  return hole ? size : ENXIO
}
