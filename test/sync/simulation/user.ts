// A user who does anything: creates, writes, removes and moves files and folders of a volume, as a seed says. Test support only.

import { conflictSides } from '../../../lib/model/conflict.js'
import type { DId } from '../../../lib/model/types.js'
import { resolveConflict } from '../../../lib/sync/resolve.js'
import type { MemoryVolume } from './volume.js'

/** mulberry32: 0 ≤ x < 1. */
export function randomOf(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

interface Place {
  folder: DId
  name: string
  document: DId
}

/** Everything below the root, folders apart from files. */
function places(volume: MemoryVolume): { folders: DId[]; files: Place[]; inner: Place[] } {
  const found = { folders: [volume.root], files: [] as Place[], inner: [] as Place[] }
  for (let i = 0; i < found.folders.length && i < 200; i++) {
    const folder = found.folders[i]
    for (const [name, document] of volume.ls(folder)) {
      if (volume.isFolder(document)) {
        found.folders.push(document)
        found.inner.push({ folder, name, document })
      } else found.files.push({ folder, name, document })
    }
  }
  return found
}

export class RandomUser {
  #count = 0
  #random: () => number = Math.random

  constructor(
    private readonly device: { volume: MemoryVolume },
    private readonly who: string,
    /** Moves things more than anything else. */
    private readonly moves = false,
  ) {}

  /** One change, or none where there is nothing to change. */
  async act(random: () => number): Promise<void> {
    this.#random = random
    const { volume } = this.device
    const { folders, files, inner } = places(volume)
    const what = this.moves && random() < 0.8 ? 0.76 + random() * 0.18 : random()
    const file = files.length ? this.#of(files) : undefined
    const folder = inner.length ? this.#of(inner) : undefined
    if (what < 0.22 || !file) volume.create(this.#of(folders), this.#name(), this.#content())
    else if (what < 0.46) volume.write(file.document, this.#content())
    else if (what < 0.58 || !folder) volume.mkdir(this.#of(folders), this.#name())
    else if (what < 0.68) volume.unlink(file.folder, file.name)
    else if (what < 0.73) volume.unlink(folder.folder, folder.name)
    else if (what < 0.76) volume.hardLink(file.document, this.#of(folders), this.#name())
    else if (what < 0.85) volume.rename(file.folder, file.name, this.#of(folders), this.#name())
    else if (what < 0.94) volume.rename(folder.folder, folder.name, this.#of(folders), this.#name())
    else await this.#resolve()
  }

  /** Ends a conflict, if there is one. */
  async #resolve(): Promise<void> {
    const { volume } = this.device
    const conflicts = volume.conflicts(100)
    if (!conflicts.length) return
    const { document, head } = this.#of(conflicts)
    const sides = conflictSides(head, (rid) => volume.revision(rid))
    const keep = sides.length && this.#random() < 0.5 ? this.#of(sides) : undefined
    await resolveConflict(volume, { document, keep, both: this.#random() < 0.4 })
  }

  #of<T>(list: T[]): T {
    return list[Math.floor(this.#random() * list.length)]
  }

  /** Few names, so that different users take the same ones. */
  #name(): string {
    return `n${Math.floor(this.#random() * 12)}`
  }

  #content(): string {
    const line = `${this.who} ${++this.#count}\n`
    const kind = this.#random()
    if (kind < 0.7) return line
    return line.repeat(kind < 0.95 ? 300 : 20_000)
  }
}
