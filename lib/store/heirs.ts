// Places of files that have further names. A file is where its place is, the one entry that is not marked as a further name (docs/sync.md
// "Places"); somebody who removes just that one leaves no removal, since the file goes on. So one of the other names becomes the place,
// with a later stamp: whoever removed that name at the same time, and knew the place, finds it changed, and it stays.
// Owns which files lost their place in this batch. Changes entries of the view only.

import { compare } from '../model/bytes.js'
import { successor } from '../model/clock.js'
import { type Clock, TYPE_LINK } from '../model/types.js'
import type { EntryRecord } from './records.js'
import { isFolder } from './revise.js'
import type { Sealer } from './sealer.js'
import { nameKey, type WorkingView } from './view.js'

/** A name of an inode. */
export interface NameAt {
  folder: number
  key: string
}

export interface HeirsComponents {
  view: WorkingView
  sealer: Sealer
  /** A name that the inode has, if one is known without a search. */
  nameOf: (ino: number) => NameAt | undefined
}

const isPlace = ({ type }: EntryRecord): boolean => (type & TYPE_LINK) === 0
const later = (x: Clock | undefined, y: Clock): Clock => (x && compare(x, y) > 0 ? x : y)

export class Heirs {
  readonly #c: HeirsComponents
  /** By inode, the latest stamps of places that it lost, and got. */
  readonly #lost = new Map<number, Clock>()
  readonly #placed = new Map<number, Clock>()

  constructor(components: HeirsComponents) {
    this.#c = components
  }

  clear(): void {
    this.#lost.clear()
    this.#placed.clear()
  }

  /** An entry changes here; not by what sync applies, which brings the place along. */
  changes(before: EntryRecord | undefined, after: EntryRecord | undefined): void {
    if (before && isPlace(before)) this.#lost.set(before.ino, later(this.#lost.get(before.ino), before.stamp))
    if (after && isPlace(after)) this.#placed.set(after.ino, later(this.#placed.get(after.ino), after.stamp))
  }

  /** Every file that lost its place and has a name has a place again. Searches through all entries once, if it has to at all. */
  finish(): void {
    const homeless = new Map<number, Clock>()
    for (const [ino, lost] of this.#lost) {
      const placed = this.#placed.get(ino)
      const row = this.#c.view.inode(ino)
      if (row && row.nlink > 0 && !isFolder(row) && !(placed && compare(placed, lost) > 0)) homeless.set(ino, lost)
    }
    this.clear()
    for (const [ino, lost] of homeless) {
      const known = this.#c.nameOf(ino)
      if (known && this.#put(known, ino, lost)) homeless.delete(ino)
    }
    if (homeless.size === 0) return
    for (const [ino, { folder, name }] of this.#c.view.someNames(homeless))
      this.#put({ folder, key: nameKey(name) }, ino, homeless.get(ino)!)
  }

  #put({ folder, key }: NameAt, ino: number, lost: Clock): boolean {
    const { view, sealer } = this.#c
    const entry = view.entry(folder, key)
    if (entry?.ino !== ino) return false
    const stamp = successor(later(lost, entry.stamp))
    view.setEntry(folder, key, { ...entry, type: entry.type & ~TYPE_LINK, stamp })
    sealer.touch(folder, { name: key })
    return true
  }
}
