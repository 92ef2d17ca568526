// From head changes to what the volume thread is asked: revisions are read, folders compared, and states of documents that
// have no inode yet are given along, whole subtrees of them where a folder brings some. Reads only; decides nothing.

import { hex } from '../model/bytes.js'
import { inlineContent, readContent } from '../model/content-tree.js'
import { diffFolder } from '../model/folder.js'
import {
  type Content,
  type DId,
  PART_CONTENT,
  PART_ENTRIES,
  type Revision,
  type RId,
  TYPE_FOLDER,
  TYPE_SYMLINK,
} from '../model/types.js'
import type { HeadChange, LiveChange, LiveEntryChange, LiveRevision } from './contract.js'
import { UnknownRevisionError } from './errors.js'
import type { VolumeReads } from './volume-reads.js'

/** Contents up to this size are given as bytes where they have to be (the most that LiveContent takes). */
const BYTES_MAX = 4096
/** Entries that one request may bring: it is one frame of the journal. */
export const ENTRIES_MAX = 200_000

const EMPTY_FOLDER = inlineContent(new Uint8Array(0))

/** One change of the caller: what is asked for it, or why it cannot be asked. */
export type Planned = { kind: 'ask'; changes: LiveChange[] } | { kind: 'missing'; documents: DId[] }

/** More entries than one atomic change can hold. */
export class ChangeTooLargeError extends Error {
  override name = 'ChangeTooLargeError'
  readonly code = 'CHANGE_TOO_LARGE'
  constructor() {
    super(`The change brings more than ${ENTRIES_MAX} entries at once; apply the folders below first, one by one.`)
  }
}

export class ApplyPlan {
  readonly #reads: VolumeReads
  /** Heads as this request will have set them. */
  readonly #heads = new Map<string, RId>()
  /** Documents that are, or will be, in the live tree. */
  readonly #live = new Set<string>()
  #entries = 0

  constructor(components: { reads: VolumeReads; description: { root: DId } }) {
    this.#reads = components.reads
    // Also before it has a head: a volume that joins another one.
    this.#live.add(hex(components.description.root))
  }

  /** Throws UnknownRevisionError, ChangeTooLargeError. */
  plan(changes: HeadChange[]): Planned[] {
    for (const { document, head } of changes) this.#heads.set(hex(document), head)
    return changes.map((change) => this.#one(change))
  }

  #one(change: HeadChange): Planned {
    const { document, expected, head, group } = change
    const revision = this.#revision(head)
    const planned: LiveChange = { document, expected, live: this.#liveRevision(head, revision), group }
    if (revision.type !== TYPE_FOLDER || !this.#isLive(document)) return { kind: 'ask', changes: [planned] }
    const before = expected && this.#revision(expected).parts.get(PART_ENTRIES)
    const { entries, below, missing } = this.#difference(before, revision.parts.get(PART_ENTRIES))
    if (missing.length > 0) return { kind: 'missing', documents: missing }
    return { kind: 'ask', changes: [{ ...planned, entries }, ...below.map((one) => ({ ...one, group }))] }
  }

  /** How a folder's entries change, and one more change for each folder that comes into the tree by it. */
  #difference(before: Content = EMPTY_FOLDER, after: Content = EMPTY_FOLDER) {
    const entries: LiveEntryChange[] = []
    const below: LiveChange[] = []
    const missing: DId[] = []
    for (const change of diffFolder(before, after, this.#reads.source)) {
      if (++this.#entries > ENTRIES_MAX) throw new ChangeTooLargeError()
      const entry: LiveEntryChange = { name: change.name, before: change.before, after: change.after }
      entries.push(entry)
      const document = change.after?.document
      if (!document || this.#isLive(document)) continue
      const head = this.#headOf(document)
      const revision = head && this.#revision(head)
      if (!revision) {
        missing.push(document)
        continue
      }
      entry.child = this.#liveRevision(head, revision)
      this.#live.add(hex(document))
      if (revision.type === TYPE_FOLDER) missing.push(...this.#subtree(document, head, revision, entry.child, below))
    }
    return { entries, below, missing }
  }

  #subtree(document: DId, head: RId, revision: Revision, live: LiveRevision, below: LiveChange[]): DId[] {
    const inside = this.#difference(undefined, revision.parts.get(PART_ENTRIES))
    below.push({ document, expected: head, live, entries: inside.entries }, ...inside.below)
    return inside.missing
  }

  #isLive(document: DId): boolean {
    return this.#live.has(hex(document)) || (this.#reads.head(document)?.ino ?? 0) !== 0
  }

  #headOf(document: DId): RId | undefined {
    return this.#heads.get(hex(document)) ?? this.#reads.head(document)?.head
  }

  #revision(rid: RId): Revision {
    const revision = this.#reads.revision(rid)
    if (!revision) throw new UnknownRevisionError(hex(rid))
    return revision
  }

  #liveRevision(head: RId, revision: Revision): LiveRevision {
    return liveRevision(this.#reads, head, revision)
  }
}

/** The live state that a revision stands for. */
export function liveRevision(reads: VolumeReads, head: RId, revision: Revision): LiveRevision {
  const { attributes, modified, created } = revision
  const content = revision.parts.get(PART_CONTENT)
  const live: LiveRevision = { head, attributes, modified, created, content }
  if (!content) return live
  if (content.inline) live.inline = content.inline
  else if (revision.type === TYPE_SYMLINK && content.size <= BYTES_MAX) live.inline = readContent(content, reads.source)
  return live
}
