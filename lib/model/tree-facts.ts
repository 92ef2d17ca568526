// What is asked of a tree, and said of changes to it, where heads are settled (settle.ts). Types only, and the entries of a folder.

import {
  type ChunkSource,
  type Content,
  type DId,
  type FolderEntry,
  PART_ENTRIES,
  type Revision,
  type RId,
  TYPE_FOLDER,
} from './types.js'

/** A head that is going to be set. `before` equals `after`: one that is there and of which something may be left to do. */
export interface HeadStep {
  document: DId
  before?: RId
  after: RId
}

/** An entry of a folder. */
export interface Claim {
  folder: DId
  entry: FolderEntry
}

/** Where a document is in the tree as it is now. */
export interface Whereabouts {
  /** How many entries of folders in the tree name it. */
  names: number
  /** A folder that does. */
  parent?: DId
}

/** The tree before the steps. */
export interface TreeFacts {
  readonly root: DId
  head(document: DId): RId | undefined
  revision(rid: RId): Revision | undefined
  readonly source: ChunkSource
  whereabouts(documents: DId[]): Promise<Whereabouts[]>
  /** The entries of folders in the tree that name a document. Of one with several names it may be some of them. */
  claims(document: DId): Promise<Claim[]>
}

export const NO_ENTRIES: Content = { size: 0, inline: new Uint8Array(0), levels: 0 }

/** The entries of a folder; none for what is no folder. */
export function entriesOf(revision: Revision | undefined): Content {
  return (revision?.type === TYPE_FOLDER && revision.parts.get(PART_ENTRIES)) || NO_ENTRIES
}
