// What settling a tree changes besides the steps (settle.ts): entries of folders, documents that come back, and which documents have to
// be moved together. Owns nothing else. Pure.

import { equal, hex, unhex } from './bytes.js'
import type { DId, FolderChange } from './types.js'

export interface Edit {
  document: DId
  changes: Map<string, FolderChange>
  revive: boolean
}

export class TreeEdits {
  readonly #edits = new Map<string, Edit>()
  readonly #together = new Map<string, DId>()

  all(): Edit[] {
    return [...this.#edits.values()]
  }

  /** How an entry of this name is changed, if it is. */
  change(folder: DId, name: Uint8Array): FolderChange | undefined {
    return this.#edits.get(hex(folder))?.changes.get(hex(name))
  }

  set(folder: DId, change: FolderChange): void {
    this.#edit(folder).changes.set(hex(change.name), change)
  }

  revive(document: DId): void {
    this.#edit(document).revive = true
  }

  isRevived(document: DId): boolean {
    return this.#edits.get(hex(document))?.revive ?? false
  }

  #edit(document: DId): Edit {
    const key = hex(document)
    let edit = this.#edits.get(key)
    if (!edit) this.#edits.set(key, (edit = { document, changes: new Map(), revive: false }))
    return edit
  }

  // Documents that belong together: a forest, each document knows one of its set, or itself

  #top(document: DId): DId {
    let at = document
    for (let up = this.#together.get(hex(at)); up && !equal(up, at); up = this.#together.get(hex(at))) at = up
    return at
  }

  /** They are moved together. */
  join(x: DId, y: DId): void {
    const [topX, topY] = [this.#top(x), this.#top(y)]
    this.#together.set(hex(topX), topX)
    this.#together.set(hex(topY), topX)
  }

  groups(): DId[][] {
    const groups = new Map<string, DId[]>()
    for (const [key, known] of this.#together) {
      const top = hex(this.#top(known))
      groups.set(top, [...(groups.get(top) ?? []), unhex(key)])
    }
    return [...groups.values()]
  }
}
