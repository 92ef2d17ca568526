// Stops a peer's changes before they remove most of what is here. Counts the documents that leave the live tree by folder
// changes (moves do not count, and what is below a removed folder does), over all changes of the last minute, since a large
// removal comes in many batches. Decides only whether to go on; somebody has to say so then.

import { equal, hex } from '../model/bytes.js'
import { diffFolder } from '../model/folder.js'
import { type Content, type DId, PART_ENTRIES, TYPE_FOLDER } from '../model/types.js'
import type { HeadChange, Volume } from '../volume/contract.js'
import { BRAKE_ENTRIES, BRAKE_SHARE } from './limits.js'

/** After so long without a removal, counting begins anew. */
const MEMORY_MS = 60_000

const EMPTY: Content = { size: 0, inline: new Uint8Array(0), levels: 0 }

export class Brake {
  #removed = 0
  #last = Number.NEGATIVE_INFINITY
  #allowed = false

  constructor(private readonly components: { volume: Volume; now(): number }) {}

  /** Somebody said that it is all right: what is removed until it is quiet for a minute is not counted. */
  allow(): void {
    this.#allowed = true
    this.#removed = 0
    this.#last = this.components.now()
  }

  /** Why these changes should not be made without asking; undefined if they may. Counts them if they may. */
  check(changes: HeadChange[]): string | undefined {
    const now = this.components.now()
    if (now - this.#last > MEMORY_MS) {
      this.#removed = 0
      this.#allowed = false
    }
    const removed = this.#removedBy(changes)
    if (removed === 0) return undefined
    if (this.#allowed) {
      this.#last = now
      return undefined
    }
    const sum = this.#removed + removed
    if (sum > BRAKE_ENTRIES) {
      const { documents } = this.components.volume.status()
      if (sum > documents * BRAKE_SHARE) return `it would remove ${sum} of ${documents} files and folders here`
    }
    this.#removed = sum
    this.#last = now
    return undefined
  }

  #removedBy(changes: HeadChange[]): number {
    const gone = new Map<string, DId>()
    const kept = new Set<string>()
    for (const change of changes) {
      for (const { before, after } of this.#entryChanges(change)) {
        if (after) kept.add(hex(after.document))
        if (before && !(after && equal(before.document, after.document)))
          gone.set(hex(before.document), before.document)
      }
    }
    const counted = new Set<string>()
    for (const [key, document] of gone) if (!kept.has(key)) this.#countBelow(document, counted)
    return counted.size
  }

  #entryChanges({ expected, head }: HeadChange) {
    const { volume } = this.components
    const after = expected && volume.revision(head)
    if (after?.type !== TYPE_FOLDER) return []
    const before = volume.revision(expected!)
    if (!before) return []
    return diffFolder(before.parts.get(PART_ENTRIES) ?? EMPTY, after.parts.get(PART_ENTRIES) ?? EMPTY, volume.source)
  }

  /** Adds the document and all below it, no further than it matters. */
  #countBelow(document: DId, seen: Set<string>): void {
    const { volume } = this.components
    const stack = [document]
    const enough = Math.max(BRAKE_ENTRIES + 1, 100_000)
    for (let next = stack.pop(); next && seen.size < enough; next = stack.pop()) {
      if (seen.has(hex(next))) continue
      seen.add(hex(next))
      const head = volume.head(next)
      const revision = head && volume.revision(head.head)
      if (revision?.type === TYPE_FOLDER) for (const entry of volume.entries(revision)) stack.push(entry.document)
    }
  }
}
