// Makes the revision that an inode's live state stands for, if it differs from the document's head. Owns the device's clock
// while a batch runs. Writes to the view and to packs only. Folders are made by sealer.ts, with `commit` of this file.

import { compare, equal, hex } from '../model/bytes.js'
import { tick } from '../model/clock.js'
import { decodeRevision, encodeRevision } from '../model/codec.js'
import { encodeContent, inlineContent, readContent, sameContent } from '../model/content-tree.js'
import { ridOf } from '../model/hash.js'
import {
  type Attributes,
  type Chunk,
  type ChunkId,
  type Content,
  type DId,
  FLAG_CONFLICT,
  FLAG_REMOVED,
  type Home,
  PART_CONTENT,
  PART_ENTRIES,
  type Revision,
  type RId,
  type Time,
  TYPE_FOLDER,
} from '../model/types.js'
import { DamagedVolumeError } from './errors.js'
import { typeOf } from './mime.js'
import type { PackWriter } from './pack-writer.js'
import type { PackReader } from './packs.js'
import type { InodeRecord } from './records.js'
import type { WorkingView } from './view.js'

export const S_IFMT = 0o170000
export const S_IFDIR = 0o040000
export const isFolder = (row: { mode: number }) => (row.mode & S_IFMT) === S_IFDIR

export interface HeadRevision {
  rid: RId
  revision: Revision
}

export interface RevisionInput {
  document: DId
  row: InodeRecord
  part: string
  /** Absent (devices, sockets): the revision has no such part. */
  content?: Content
  type: string
  flags: number
  modified: Time
  /** More parents, besides the head. */
  parents: RId[]
  /** Make one even if nothing differs. */
  force?: boolean
  /** Where the document is in the live tree; absent: where it was. */
  ino?: number
}

const PARENTS_LIMIT = 64

export class Reviser {
  readonly #view: WorkingView
  readonly #writer: PackWriter
  readonly #packs: PackReader
  readonly #now: () => number
  readonly #author: Uint8Array
  /** Called for the first head of a document. */
  onFirstHead: (document: DId) => void = () => {}

  constructor(
    components: { view: WorkingView; writer: PackWriter; packs: PackReader; now: () => number },
    init: { author: Uint8Array },
  ) {
    this.#view = components.view
    this.#writer = components.writer
    this.#packs = components.packs
    this.#now = components.now
    this.#author = init.author
  }

  /** The head of a document, decoded. Throws DamagedVolumeError if its revision is not there. */
  head(document: DId): HeadRevision | undefined {
    const row = this.#view.document(document)
    if (!row) return undefined
    return { rid: row.head, revision: this.revision(row.head) }
  }

  revision(rid: RId): Revision {
    const bytes = this.#view.revision(rid)
    if (!bytes) throw new DamagedVolumeError('Table revisions', `revision ${hex(rid)} is missing`)
    return decodeRevision(bytes)
  }

  /** Stores chunks that are not there yet. */
  store(chunks: readonly Chunk[]): void {
    for (const { id, bytes } of chunks) {
      if (!this.#view.chunk(id)) this.#view.putChunk(id, this.#writer.append(bytes))
    }
  }

  /** Stores those anew that cannot be read back. What is damaged stays where it is, and nothing refers to it any more. */
  repair(chunks: readonly Chunk[]): void {
    this.#writer.flush()
    for (const { id, bytes } of chunks) if (!this.#isWhole(id)) this.#view.putChunk(id, this.#writer.append(bytes))
  }

  #isWhole(id: ChunkId): boolean {
    try {
      this.#packs.chunk(id)
      return true
    } catch {
      return false
    }
  }

  /** The content of these bytes, stored. */
  content(bytes: Uint8Array): Content {
    const { content, chunks } = encodeContent(bytes)
    this.store(chunks)
    return content
  }

  /** First bytes of a content, for its type. */
  sample(content: Content): Uint8Array | undefined {
    if (content.size > 64 * 1024) return undefined
    try {
      this.#writer.flush()
      return readContent(content, this.#packs.source)
    } catch {
      return undefined
    }
  }

  /** A document that was removed is in the tree again: removed and made again here, or changed before the removal had come to its folder. */
  #isBack(head: HeadRevision | undefined, closed: boolean): boolean {
    if (!head || (head.revision.flags & FLAG_REMOVED) === 0) return false
    return closed || equal(head.revision.author, this.#author)
  }

  /**
   * Makes a revision of a file, symlink or device from its row (content committed), if there is anything to tell.
   * `sample`: bytes to guess the type from. `latest`: the row is the live one, so the document is where it says.
   */
  revise(row: InodeRecord, more: { parents: RId[]; dismiss: boolean; sample?: Uint8Array; latest?: boolean }): void {
    if (row.content.kind !== 'committed') return
    const head = this.head(row.document)
    const hasContent = (row.mode & S_IFMT) === 0o100000 || (row.mode & S_IFMT) === 0o120000
    const content = hasContent ? row.content.content : undefined
    const before = head?.revision.parts.get(PART_CONTENT)
    const same = before !== undefined && content !== undefined && sameContent(before, content)
    const sample = more.sample ?? (content && !same ? (content.inline ?? this.sample(content)) : undefined)
    const conflict = ((head?.revision.flags ?? 0) & FLAG_CONFLICT) !== 0
    this.commit(
      {
        document: row.document,
        row,
        part: PART_CONTENT,
        content,
        type: typeOf(row.mode, head?.revision.type, same ? undefined : sample),
        flags: (head?.revision.flags ?? 0) & ~(more.dismiss ? FLAG_CONFLICT : 0),
        modified: { sec: row.mtimeSec, nsec: row.mtimeNsec },
        parents: more.parents,
        force: (more.dismiss && conflict) || this.#isBack(head, more.dismiss),
        ino: more.latest ? row.ino : undefined,
      },
      head,
    )
  }

  /** The document was removed here: its head says so from now on, and where it was. What it had stays in its history. */
  bury(document: DId, home: Home): void {
    const head = this.head(document)
    if (!head) return
    const { revision } = head
    this.#view.clock = tick(this.#view.clock, this.#now())
    const parts = new Map(revision.parts)
    if (revision.type === TYPE_FOLDER) parts.set(PART_ENTRIES, inlineContent(new Uint8Array(0)))
    const bytes = encodeRevision({
      ...revision,
      ...{ parents: [head.rid], author: this.#author, clock: this.#view.clock, comment: '', parts, home },
      flags: (revision.flags & ~FLAG_CONFLICT) | FLAG_REMOVED,
    })
    const rid = ridOf(bytes)
    this.#view.putRevision(rid, bytes)
    this.#view.setHead(document, rid, false, 0)
  }

  /** Makes and stores the revision, and moves the head, unless it would say what the head says. */
  commit(input: RevisionInput, head: HeadRevision | undefined): RId | undefined {
    const { document, row } = input
    const attributes: Attributes = { mode: row.mode, uid: row.uid, gid: row.gid, rdev: row.rdev, xattrs: row.xattrs }
    const parents = uniqueParents(
      head ? [head.rid, ...input.parents.filter((parent) => !this.#addsNothing(parent, input))] : input.parents,
    )
    if (head && !input.force && parents.length === 1 && says(head.revision, input, attributes)) {
      if (input.ino) this.#view.setDocumentIno(document, input.ino)
      return undefined
    }
    this.#view.clock = tick(this.#view.clock, this.#now())
    const parts = new Map(head?.revision.parts)
    if (input.content) parts.set(input.part, input.content)
    else parts.delete(input.part)
    const bytes = encodeRevision({
      parents,
      type: input.type,
      flags: input.flags & ~FLAG_REMOVED,
      created: head?.revision.created ?? { sec: row.createdSec, nsec: row.createdNsec },
      modified: input.modified,
      author: this.#author,
      clock: this.#view.clock,
      comment: '',
      attributes,
      metadata: head?.revision.metadata ?? new Map(),
      parts,
      ...(head?.revision.home && { home: head.revision.home }),
    })
    const rid = ridOf(bytes)
    this.#view.putRevision(rid, bytes)
    this.#view.setHead(document, rid, (input.flags & FLAG_CONFLICT) !== 0, input.ino)
    if (!head) this.onFirstHead(document)
    return rid
  }

  /**
   * A temporary that was renamed over the file, and had been made a version before that: nothing is behind it but that it was empty, and it
   * has the bytes that this version has, or none. What its mode and times were is not of this document.
   */
  #addsNothing(parent: RId, input: RevisionInput): boolean {
    const revision = this.revision(parent)
    return (
      (isEmptyFile(revision) || hasContent(revision, input)) &&
      revision.parents.every((older) => this.#isNothing(older))
    )
  }

  #isNothing(rid: RId): boolean {
    const bytes = this.#view.revision(rid)
    const revision = bytes && decodeRevision(bytes)
    return revision !== undefined && isEmptyFile(revision) && revision.parents.length === 0
  }
}

const isEmptyFile = ({ attributes, parts }: Revision): boolean =>
  (attributes.mode & S_IFMT) === 0o100000 && (parts.get(PART_CONTENT)?.size ?? 0) === 0

function uniqueParents(rids: RId[]): RId[] {
  const unique = new Map(rids.slice(0, PARENTS_LIMIT).map((rid) => [hex(rid), rid]))
  return [...unique.values()].sort(compare)
}

/** Whether the revision says just this already. */
function says(head: Revision, input: RevisionInput, attributes: Attributes): boolean {
  const { modified } = input
  if (head.modified.sec !== modified.sec || head.modified.nsec !== modified.nsec) return false
  return hasContent(head, input) && sameAttributes(head.attributes, attributes)
}

function hasContent(revision: Revision, { part, content }: RevisionInput): boolean {
  const has = revision.parts.get(part)
  return has && content ? sameContent(has, content) : has === content
}

function sameAttributes(a: Attributes, b: Attributes): boolean {
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid || a.rdev !== b.rdev) return false
  if (a.xattrs.length !== b.xattrs.length) return false
  return a.xattrs.every(({ name, value }, i) => equal(name, b.xattrs[i].name) && equal(value, b.xattrs[i].value))
}
