// A user who does anything: creates, writes, removes and moves files and folders of a volume, as a seed says. Test support only.

import type { DId } from '../../../lib/model/types.js'
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

  constructor(
    private readonly device: { volume: MemoryVolume },
    private readonly random: () => number,
    private readonly who: string,
  ) {}

  /** One change, or none where there is nothing to change. */
  act(): void {
    const { volume } = this.device
    const { folders, files, inner } = places(volume)
    const what = this.random()
    const file = files.length ? this.#of(files) : undefined
    const folder = inner.length ? this.#of(inner) : undefined
    if (what < 0.25 || !file) volume.create(this.#of(folders), this.#name(), this.#content())
    else if (what < 0.5) volume.write(file.document, this.#content())
    else if (what < 0.62 || !folder) volume.mkdir(this.#of(folders), this.#name())
    else if (what < 0.72) volume.unlink(file.folder, file.name)
    else if (what < 0.77) volume.unlink(folder.folder, folder.name)
    else if (what < 0.8) volume.hardLink(file.document, this.#of(folders), this.#name())
    else if (what < 0.9) volume.rename(file.folder, file.name, this.#of(folders), this.#name())
    else volume.rename(folder.folder, folder.name, this.#of(folders), this.#name())
  }

  #of<T>(list: T[]): T {
    return list[Math.floor(this.random() * list.length)]
  }

  /** Few names, so that different users take the same ones. */
  #name(): string {
    return `n${Math.floor(this.random() * 12)}`
  }

  #content(): string {
    const line = `${this.who} ${++this.#count}\n`
    const kind = this.random()
    if (kind < 0.7) return line
    return line.repeat(kind < 0.95 ? 300 : 20_000)
  }
}
