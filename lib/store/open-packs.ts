// Pack files that are open for reading. Owns their descriptors, a bounded number of them: who asks for one more closes the one that was
// used longest ago. A pack that was rewritten or removed keeps its bytes as long as it is open here.

import fs from 'node:fs'

export class OpenPacks {
  readonly #pathOf: (pack: number) => string
  readonly #max: number
  /** In order of last use. */
  readonly #open = new Map<number, number>()

  /** `max`: descriptors at most. */
  constructor(components: { pathOf: (pack: number) => string }, init: { max: number }) {
    this.#pathOf = components.pathOf
    this.#max = init.max
  }

  /** An open descriptor of a pack; valid until `max` other packs were asked for. Throws errors of the system. */
  descriptor(pack: number): number {
    let fd = this.#open.get(pack)
    if (fd === undefined) fd = fs.openSync(this.#pathOf(pack), 'r')
    else this.#open.delete(pack)
    this.#open.set(pack, fd)
    if (this.#open.size > this.#max) this.forget([this.#open.keys().next().value!])
    return fd
  }

  /** These are gone, or will be. */
  forget(packs: number[]): void {
    for (const pack of packs) {
      const fd = this.#open.get(pack)
      if (fd === undefined) continue
      this.#open.delete(pack)
      fs.closeSync(fd)
    }
  }

  close(): void {
    this.forget([...this.#open.keys()])
  }
}
