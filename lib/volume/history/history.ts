// History as a tree of nodes: what lies in `.versions` of a folder and in `.peerdrive/at`, and how it is named. Reads durable
// state, and what is live only for names that are too new to be sealed. Owns the nodes and what was worked out for some of them
// lately. Never writes. Throws what reading revisions and chunks throws.

import { ENOENT, ENOTDIR, ESTALE } from '../../fuse/errno.js'
import type { Errno } from '../../fuse/file-system.js'
import { equal, hex } from '../../model/bytes.js'
import { clockTime } from '../../model/clock.js'
import { decodeRevision } from '../../model/codec.js'
import { decodeFolder, lookupFolder } from '../../model/folder.js'
import { type Clock, type DId, type FolderEntry, PART_CONTENT, PART_ENTRIES, type RId } from '../../model/types.js'
import type { DeviceNames } from './devices.js'
import { FolderNames } from './folder-names.js'
import { keyOf, nameOf, VersionNames } from './names.js'
import { type HistoryNode, HistoryNodes, type Shown, type What } from './nodes.js'
import type { HistoryStore } from './ports.js'
import { Recent } from './recent.js'
import { headAt, newestFirst, revisionAt } from './timeline.js'
import { parseTime } from './times.js'

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const S_IFLNK = 0o120000
const WRITE = 0o222
const DT_DIR = 4
/** Folders with entries of more bytes are searched, not kept. */
const KEPT_BYTES = 1 << 20
/** What is kept: names and revisions of folders, versions, entries of past folders. */
const NAMES_KEPT = 500_000
const VERSIONS_KEPT = 100_000
const ENTRIES_KEPT = 100_000
const FOUND_KEPT = 2000

export const VERSIONS_NAME = '.versions'
export const GATE_NAME = '.peerdrive'
const TIMES_NAME = 'at'

/** A folder of the live tree. */
export interface LiveFolder {
  document: DId
  mode: number
  uid: number
  gid: number
  mtimeSec: number
  mtimeNsec: number
}

export interface LiveFolders {
  /** undefined: there is no such folder. */
  folder(ino: number): LiveFolder | undefined
  /** The document that has this name (a key) in it. */
  document(ino: number, name: string): DId | undefined
  /** Names (keys) in it. */
  names(ino: number): Iterable<string>
}

export interface HistoryComponents {
  store: HistoryStore
  live: LiveFolders
  devices: DeviceNames
}

export interface Listed {
  /** A key. */
  name: string
  type: number
}

interface Versions {
  /** What it was made of. */
  heads: string
  byName: Map<string, { rid: RId; clock: Clock; type: number }>
}

export class History {
  readonly nodes: HistoryNodes
  readonly #c: HistoryComponents
  readonly #names = new Recent<number, FolderNames>({ limit: NAMES_KEPT })
  readonly #versions = new Recent<number, Versions>({ limit: VERSIONS_KEPT })
  readonly #entries = new Recent<number, Map<string, FolderEntry>>({ limit: ENTRIES_KEPT })
  /** Revisions at a time that took a walk to find, by head and time: what is below a head does not change. */
  readonly #found = new Recent<string, RId>({ limit: FOUND_KEPT })

  constructor(components: HistoryComponents, init: { nodesMax?: number } = {}) {
    this.#c = components
    const onDrop = (ino: number) => {
      for (const kept of [this.#names, this.#versions, this.#entries]) kept.delete(ino)
    }
    this.nodes = new HistoryNodes({ onDrop }, init)
  }

  /** How many names, versions and entries are kept at the moment. */
  get kept(): number {
    return this.#names.weight + this.#versions.weight + this.#entries.weight
  }

  /** `.versions` of a folder of the live tree. */
  versionsOf(folder: number): HistoryNode | Errno {
    return this.#live(folder, folder, VERSIONS_NAME, { kind: 'names', folder })
  }

  /** `.peerdrive` of the root. */
  gate(): HistoryNode | Errno {
    return this.#live(1, 1, GATE_NAME, { kind: 'gate' })
  }

  child(node: HistoryNode, name: Buffer): HistoryNode | Errno {
    const key = keyOf(name)
    const { what } = node
    switch (what.kind) {
      case 'names':
        if (this.#documents(node, what.folder, key).length === 0) return ENOENT
        return this.#live(what.folder, node.ino, key, { kind: 'name', folder: what.folder, name: key })
      case 'name': {
        const version = this.#versionsOf(node, what.folder, what.name).byName.get(key)
        return version ? this.#revision(node.ino, key, version.rid, version.clock) : ENOENT
      }
      case 'folder': {
        const entry = this.#entry(node, what, key)
        const rid = entry && this.#at(entry.document, what.at, revisionAt)
        return rid ? this.#revision(node.ino, key, rid, what.at) : ENOENT
      }
      case 'gate':
        return key === TIMES_NAME ? this.#live(1, node.ino, key, { kind: 'times' }) : ENOENT
      case 'times':
        return this.#treeAt(node, key)
      case 'file':
        return ENOTDIR
    }
  }

  list(node: HistoryNode): Listed[] | Errno {
    const { what } = node
    switch (what.kind) {
      case 'names': {
        const names = new Set(this.#c.live.names(what.folder))
        for (const name of this.#indexOf(node.ino, what.folder)?.lasting() ?? []) names.add(name)
        return [...names].sort().map((name) => ({ name, type: DT_DIR }))
      }
      case 'name': {
        const { byName } = this.#versionsOf(node, what.folder, what.name)
        return [...byName].map(([name, { type }]) => ({ name, type }))
      }
      case 'folder': {
        if (!what.entries) return []
        const { store } = this.#c
        return decodeFolder(what.entries, store.source)
          .filter(({ document }) => store.head(document) !== undefined)
          .map(({ name, type }) => ({ name: keyOf(name), type }))
      }
      case 'gate':
        return [{ name: TIMES_NAME, type: DT_DIR }]
      case 'times':
        return []
      case 'file':
        return ENOTDIR
    }
  }

  /** Brings up to date what changes with a live folder. Answers whether the node is still there. */
  refresh(node: HistoryNode): boolean {
    const { what } = node
    if (what.kind === 'folder' || what.kind === 'file') return true
    const shown = this.#shownLike('folder' in what ? what.folder : 1)
    if (shown) node.show(shown)
    return shown !== undefined
  }

  /** A folder that shows something of a live one: whoever may read that one may read it. */
  #live(folder: number, parent: number, name: string, what: What): HistoryNode | Errno {
    const shown = this.#shownLike(folder)
    if (!shown) return folder === parent ? ENOENT : ESTALE
    const node = this.nodes.enter(parent, name, what.kind, () => ({ what, shown }))
    node.show(shown)
    return node
  }

  #shownLike(folder: number): Shown | undefined {
    const found = this.#c.live.folder(folder)
    if (!found) return undefined
    const { mode, uid, gid, mtimeSec, mtimeNsec } = found
    return {
      ...{ mode: mode & ~WRITE, uid, gid, rdev: 0, size: 0, xattrs: [] },
      ...{ mtimeSec, mtimeNsec, ctimeSec: mtimeSec, ctimeNsec: mtimeNsec },
    }
  }

  #treeAt(node: HistoryNode, name: string): HistoryNode | Errno {
    const at = parseTime(name)
    const root = this.#c.live.folder(1)
    if (!at || !root) return ENOENT
    const rid = this.#at(root.document, at, headAt)
    return rid ? this.#revision(node.ino, name, rid, at) : ENOENT
  }

  #at(document: DId, at: Clock, find: typeof headAt): RId | undefined {
    const { store } = this.#c
    const head = store.head(document)
    if (!head) return undefined
    const key = `${find.name} ${hex(head)} ${hex(at)}`
    const known = this.#found.get(key)
    if (known) return known
    const rid = find(store, document, at)
    if (rid && !equal(rid, head)) this.#found.set(key, rid, 1)
    return rid
  }

  /** `at`: the time of what is in it, if it is a folder. */
  #revision(parent: number, name: string, rid: RId, at: Clock): HistoryNode | Errno {
    const bytes = this.#c.store.encoded(rid)
    if (!bytes) return ENOENT
    return this.nodes.enter(parent, name, `${hex(rid)} ${hex(at)}`, () => {
      const { attributes, modified, clock, parts } = decodeRevision(bytes)
      const { mode, uid, gid, rdev, xattrs } = attributes
      const isFolder = (mode & S_IFMT) === S_IFDIR
      const content = parts.get(isFolder ? PART_ENTRIES : PART_CONTENT)
      const ms = clockTime(clock)
      const shown: Shown = {
        ...{ mode: (mode & S_IFMT) === S_IFLNK ? mode : mode & ~WRITE, uid, gid, rdev, xattrs },
        ...{ size: isFolder ? 0 : (content?.size ?? 0), mtimeSec: modified.sec, mtimeNsec: modified.nsec },
        ...{ ctimeSec: Math.floor(ms / 1000), ctimeNsec: (ms % 1000) * 1e6 },
      }
      return { what: isFolder ? { kind: 'folder', entries: content, at } : { kind: 'file', content }, shown }
    })
  }

  /** undefined: the folder is gone. */
  #indexOf(ino: number, folder: number): FolderNames | undefined {
    const found = this.#c.live.folder(folder)
    if (!found) return undefined
    const index = this.#names.get(ino) ?? new FolderNames(this.#c)
    index.update(this.#c.store.head(found.document))
    this.#names.set(ino, index, index.weight)
    return index
  }

  /** Documents that had this name, the latest first. */
  #documents(node: { ino: number }, folder: number, name: string): DId[] {
    const documents = this.#indexOf(node.ino, folder)?.documents(name) ?? []
    const live = this.#c.live.document(folder, name)
    if (!live || documents.some((document) => hex(document) === hex(live))) return documents
    return [live, ...documents]
  }

  #versionsOf(node: HistoryNode, folder: number, name: string): Versions {
    const { store } = this.#c
    // By the number of the folder's `.versions`, which is the parent: all its names share the index.
    const documents = this.#documents({ ino: node.parent }, folder, name)
    const heads = documents.map((document) => store.head(document)).filter((head) => head !== undefined)
    const key = heads.map(hex).join()
    const known = this.#versions.get(node.ino)
    if (known?.heads === key) return known
    const versions: Versions = { heads: key, byName: new Map() }
    for (const head of heads) this.#addVersions(versions, head, name)
    this.#versions.set(node.ino, versions, versions.byName.size + 1)
    return versions
  }

  #addVersions({ byName }: Versions, head: RId, name: string): void {
    const { store, devices } = this.#c
    const bytes = store.encoded(head)
    if (!bytes) return
    const { mode } = decodeRevision(bytes).attributes
    const type = (mode & S_IFMT) >> 12
    const names = new VersionNames({ devices, taken: byName }, { name, isFolder: type === DT_DIR })
    for (const entry of newestFirst(store, head)) {
      byName.set(names.next(entry), { rid: entry.rid, clock: entry.clock, type })
      if (byName.size >= VERSIONS_KEPT) return
    }
  }

  #entry(node: HistoryNode, { entries }: What & { kind: 'folder' }, name: string): FolderEntry | undefined {
    if (!entries) return undefined
    const { source } = this.#c.store
    if (entries.size > KEPT_BYTES) return lookupFolder(entries, nameOf(name), source)
    let byName = this.#entries.get(node.ino)
    if (!byName) {
      byName = new Map(decodeFolder(entries, source).map((entry) => [keyOf(entry.name), entry]))
      this.#entries.set(node.ino, byName, byName.size + 1)
    }
    return byName.get(name)
  }
}
