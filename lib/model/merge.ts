// Deterministic merge of two diverged heads (ARCHITECTURE "Sync"). The merge revision has no author and no time of its own: two
// devices that merge the same heads make the same revision, byte for byte. Pure: revisions and chunks come through callbacks,
// new chunks are handed back to be stored.
//
// Symmetric by construction: the head with the smaller id is always taken as `a`.

import { compare, equal, hex } from './bytes.js'
import { maxClock } from './clock.js'
import { encodeRevision } from './codec.js'
import { allChunks, encodeContent, readContent, sameContent } from './content-tree.js'
import { InvalidValueError } from './errors.js'
import { ridOf } from './hash.js'
import { type HistoryOptions, mergeBases } from './history.js'
import { mergeFolder } from './merge-folder.js'
import { mergeText, TEXT_MAX } from './merge-text.js'
import {
  changedSide,
  compareTimes,
  mergeAttributes,
  mergeField,
  mergeMaps,
  mergeMetadata,
  mergeOptional,
  type Sides,
  sameTime,
} from './merge-values.js'
import {
  type Chunk,
  type ChunkSource,
  type Content,
  FLAG_CONFLICT,
  FLAG_REMOVED,
  type Home,
  PART_ENTRIES,
  type Revision,
  type RId,
  type Time,
  TYPE_FOLDER,
  TYPE_SYMLINK,
} from './types.js'

export interface MergeInput {
  a: Revision
  b: Revision
  /** Their merge base; absent if they are unrelated. */
  base?: Revision
  /** Lists and folder chunks of all three, and data of texts up to 1 MiB. */
  source: ChunkSource
}

export interface MergeResult {
  revision: Revision
  /** To be stored with it; some may be there already. */
  chunks: Chunk[]
  /** Content that both sides changed so that only one of them could stay (FLAG_CONFLICT is set too). */
  conflict: boolean
}

const EMPTY: Content = { size: 0, inline: new Uint8Array(0), levels: 0 }

/** What unrelated heads have in common. Never encoded. */
const NOTHING: Revision = {
  parents: [],
  type: '',
  flags: 0,
  created: { sec: 0, nsec: 0 },
  modified: { sec: 0, nsec: 0 },
  author: new Uint8Array(0),
  clock: new Uint8Array(8),
  comment: '',
  attributes: { mode: 0, uid: 0, gid: 0, rdev: 0, xattrs: [] },
  metadata: new Map(),
  parts: new Map(),
}

class Merge {
  readonly chunks: Chunk[] = []
  conflict = false
  readonly #source: ChunkSource
  readonly #sides: Sides<Revision>
  readonly #hasBase: boolean

  /** `a` is the head with the smaller id. */
  constructor(a: Revision, b: Revision, base: Revision | undefined, source: ChunkSource) {
    // The same clock: the larger id wins.
    const winner = compare(a.clock, b.clock) > 0 ? 'a' : 'b'
    this.#sides = { a, b, base: base ?? NOTHING, winner }
    this.#hasBase = base !== undefined
    this.#source = source
  }

  run(parents: RId[]): Revision {
    const { a, b } = this.#sides
    const edited = this.#editedAgainstRemoval()
    const { type, attributes, parts } = edited ?? this.#body()
    const flags = edited?.flags ?? (this.#hasBase ? mergeFlags(this.#of('flags')) : a.flags | b.flags)
    const removed = !edited && this.#isRemoved(parts) ? FLAG_REMOVED : 0
    return {
      parents,
      type,
      flags: (((this.conflict ? flags | FLAG_CONFLICT : flags) & ~FLAG_REMOVED) | removed) >>> 0,
      created: compareTimes(a.created, b.created) < 0 ? a.created : b.created,
      modified: edited?.modified ?? this.#modified(),
      author: new Uint8Array(0),
      // A removal says nothing about content, so its clock does not count for the content that stays.
      clock: edited?.clock ?? maxClock(a.clock, b.clock),
      comment: '',
      attributes,
      metadata: edited?.metadata ?? mergeMetadata(this.#of('metadata')),
      parts,
      ...homeOf(a, b),
    }
  }

  #of<K extends keyof Revision>(key: K): Sides<Revision[K]> {
    const { a, b, base, winner } = this.#sides
    return { a: a[key], b: b[key], base: base[key], winner }
  }

  /** The side that changed a file which the other one removed: it stands as it is, so that what was edited before the removal is no conflict. */
  #editedAgainstRemoval(): Revision | undefined {
    const { a, b, base } = this.#sides
    if (isRemoved(a) === isRemoved(b)) return
    const other = isRemoved(a) ? b : a
    if (kindOf(other) === TYPE_FOLDER) return
    return this.#hasBase && !isRemoved(base) && saysTheSame(other, base) ? undefined : other
  }

  /** A folder that one side removed stays removed unless there is something in it. */
  #isRemoved(parts: Map<string, Content>): boolean {
    const { a, b, base } = this.#sides
    if (isRemoved(a) && isRemoved(b)) return true
    if (!isRemoved(a) && !isRemoved(b)) return false
    // Whoever removed it knew that removal and made it anew; the other side says nothing new.
    if (this.#hasBase && isRemoved(base)) return false
    return kindOf(a) !== TYPE_FOLDER || (parts.get(PART_ENTRIES)?.size ?? 0) === 0
  }

  #body(): Pick<Revision, 'type' | 'attributes' | 'parts'> {
    const { a, b, winner } = this.#sides
    if (kindOf(a) !== kindOf(b)) {
      // A folder here, a file there: one of them as a whole.
      const side = changedSide(this.#sides, sameBody)
      if (!side) this.conflict = true
      return this.#sides[side ?? winner]
    }
    return {
      type: mergeField(this.#of('type')),
      attributes: mergeAttributes(this.#of('attributes')),
      parts: mergeMaps(this.#of('parts'), (content, name) => this.#part(content, name)),
    }
  }

  /** Of the side whose content it is; the later one where it is of both. */
  #modified(): Time {
    const times = this.#of('modified')
    const { a, b, winner } = times
    if (this.conflict) return times[winner]
    const later = compareTimes(a, b) > 0 ? a : b
    const bodies = this.#sides
    if (!sameBody(bodies.a, bodies.b)) {
      const side = changedSide(bodies, sameBody)
      return side ? times[side] : later
    }
    const side = changedSide(times, sameTime)
    return side ? times[side] : later
  }

  #part(content: Sides<Content | undefined>, name: string): Content | undefined {
    const { a, b, base, winner } = content
    const decided = !a || !b || sameContent(a, b) || (base && (sameContent(a, base) || sameContent(b, base)))
    if (decided) return mergeOptional(content, sameContent)
    if (name === PART_ENTRIES && this.#sides.a.type === TYPE_FOLDER) {
      const folder = mergeFolder(a, b, base ?? EMPTY, this.#source)
      this.chunks.push(...folder.chunks)
      return folder.content
    }
    const merged = base && kindOf(this.#sides.a) === 'file' ? this.#text(a, base, b) : undefined
    if (merged) return merged
    this.conflict = true
    return winner === 'a' ? a : b
  }

  #text(...contents: [Content, Content, Content]): Content | undefined {
    if (contents.some(({ size }) => size > TEXT_MAX)) return
    const [a, base, b] = contents.map((content) => readContent(content, this.#source))
    const text = mergeText(a, base, b)
    if (!text) return
    const { content, chunks } = encodeContent(text)
    this.chunks.push(...chunks)
    return content
  }
}

export const isRemoved = ({ flags }: Revision): boolean => (flags & FLAG_REMOVED) !== 0

/** Same kind, parts, attributes and metadata; times, parents, flags and so on do not count. */
function saysTheSame(x: Revision, y: Revision): boolean {
  const plain = (revision: Revision): Uint8Array =>
    encodeRevision({ ...NOTHING, type: x.type, attributes: revision.attributes, metadata: revision.metadata })
  return x.type === y.type && sameBody(x, y) && equal(plain(x), plain(y))
}

/** The later home of two: of the last removal there was. */
function homeOf({ home: a }: Revision, { home: b }: Revision): { home?: Home } {
  if (!a || !b) return a || b ? { home: a ?? b } : {}
  const order = compare(a.stamp, b.stamp) || compare(a.folder, b.folder) || compare(a.name, b.name)
  return { home: order >= 0 ? a : b }
}

function kindOf({ type }: Revision): string {
  return type === TYPE_FOLDER || type === TYPE_SYMLINK ? type : 'file'
}

/** Same kind and same parts. */
function sameBody(x: Revision, y: Revision): boolean {
  if (kindOf(x) !== kindOf(y) || x.parts.size !== y.parts.size) return false
  return [...x.parts].every(([name, content]) => {
    const other = y.parts.get(name)
    return other !== undefined && sameContent(content, other)
  })
}

/** Bit by bit: a flag that one side changed is as that side has it. */
function mergeFlags({ a, b, base }: Sides<number>): number {
  return ((a & b) | ((a | b) & ~base)) >>> 0
}

/**
 * Merges two heads, given their merge base. mergeRevisions(a, b) encodes equal to mergeRevisions(b, a); a head and itself
 * are that head. Throws what the codec, the folder functions and the source throw; nothing for conflicts.
 */
export function mergeRevisions({ a, b, base, source }: MergeInput): MergeResult {
  const [ridA, ridB] = [a, b].map((revision) => ridOf(encodeRevision(revision)))
  const order = compare(ridA, ridB)
  if (order === 0) return { revision: a, chunks: [], conflict: false }
  const merge = order < 0 ? new Merge(a, b, base, source) : new Merge(b, a, base, source)
  const revision = merge.run(order < 0 ? [ridA, ridB] : [ridB, ridA])
  return { revision, chunks: merge.chunks, conflict: merge.conflict }
}

export interface MergeComponents extends HistoryOptions {
  revision(rid: RId): Revision | undefined
  source: ChunkSource
}

/** How often merge bases of merge bases are merged; deeper down the first of them stands for all. */
const VIRTUAL_DEPTH_MAX = 8

/** Merge bases may be several (criss-cross): they are merged into one, in the order of their ids, as git's "recursive" does. */
class VirtualBases {
  readonly #components: MergeComponents
  readonly #revisions = new Map<string, Revision>()
  readonly #chunks = new Map<string, Uint8Array>()

  constructor(components: MergeComponents) {
    this.#components = components
  }

  readonly revision = (rid: RId): Revision | undefined =>
    this.#revisions.get(hex(rid)) ?? this.#components.revision(rid)

  readonly source: ChunkSource = (id) => this.#chunks.get(hex(id)) ?? this.#components.source(id)

  add(chunks: Chunk[]): void {
    for (const { id, bytes } of chunks) this.#chunks.set(hex(id), bytes)
  }

  base(a: RId, b: RId, depth = 0): Revision | undefined {
    const all = mergeBases(a, b, (rid) => this.revision(rid)?.parents, this.#components)
    const known = all.filter((rid) => this.revision(rid) !== undefined)
    const used = depth < VIRTUAL_DEPTH_MAX ? known : known.slice(0, 1)
    const rid = used.length > 1 ? used.reduce((one, other) => this.#join(one, other, depth)) : used[0]
    return rid && this.revision(rid)
  }

  /** What of these contents was made here and is nowhere else yet. */
  chunksOf(contents: Iterable<Content>): Chunk[] {
    if (this.#chunks.size === 0) return []
    const chunks: Chunk[] = []
    for (const content of contents) {
      for (const { id } of allChunks(content, this.source)) {
        const bytes = this.#chunks.get(hex(id))
        if (bytes) chunks.push({ id, bytes })
      }
    }
    return chunks
  }

  #join(one: RId, other: RId, depth: number): RId {
    const base = this.base(one, other, depth + 1)
    const merged = mergeRevisions({ a: this.revision(one)!, b: this.revision(other)!, base, source: this.source })
    this.add(merged.chunks)
    const rid = ridOf(encodeRevision(merged.revision))
    this.#revisions.set(hex(rid), merged.revision)
    return rid
  }
}

/**
 * Merges two heads that have diverged or are unrelated (callers fast-forward the others, `relationOf`): finds their merge
 * bases, merges those if there are several. Throws InvalidValueError if one of the two is not known, HistoryLimitError, and
 * what `mergeRevisions` throws.
 */
export function mergeHeads(a: RId, b: RId, components: MergeComponents): MergeResult {
  const [revisionA, revisionB] = [components.revision(a), components.revision(b)]
  if (!revisionA || !revisionB) throw new InvalidValueError('two known revisions', 'one of them is not there')
  const bases = new VirtualBases(components)
  const merged = mergeRevisions({ a: revisionA, b: revisionB, base: bases.base(a, b), source: bases.source })
  bases.add(merged.chunks)
  const known = new Set(merged.chunks.map(({ id }) => hex(id)))
  const inherited = bases.chunksOf(merged.revision.parts.values()).filter(({ id }) => !known.has(hex(id)))
  return { ...merged, chunks: [...merged.chunks, ...inherited] }
}
