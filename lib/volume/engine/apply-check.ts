// Whether what sync asks can be applied: compare-and-set on heads, and no change here that nobody has made a revision of yet.
// Reads only. A change that is refused leaves the others of its request as they are.

import { equal } from '../../model/bytes.js'
import type { RId } from '../../model/types.js'
import type { LiveChange, LiveEntryChange } from '../contract.js'
import type { Contents } from './contents.js'
import { keyOf } from './folders.js'
import type { AppliedHeads } from './heads.js'
import { type Identity, placeKey, sameDocument } from './identity.js'
import type { Inode } from './inode.js'
import type { LiveState } from './live-state.js'
import type { DurableState } from './ports.js'

export type ApplyResult = 'applied' | 'busy' | 'stale'

export interface ApplyCheckComponents {
  state: LiveState
  durable: DurableState
  identity: Identity
  heads: AppliedHeads
  contents: Contents
}

export class ApplyCheck {
  readonly #c: ApplyCheckComponents
  /** Heads as the changes accepted so far will have set them. */
  readonly #heads = new Map<string, RId>()
  /** Documents that get an inode by a change accepted so far. */
  readonly #made = new Set<string>()
  #dirty: Inode[] | undefined

  constructor(components: ApplyCheckComponents) {
    this.#c = components
    components.state.refresh()
  }

  check(change: LiveChange): ApplyResult {
    const { document, expected } = change
    const head = this.#heads.get(placeKey(document)) ?? this.#c.heads.get(document)
    if (head === undefined ? expected !== undefined : expected === undefined || !equal(head, expected)) return 'stale'
    const inode = this.#c.identity.carrier(document)
    if (inode && this.#isBusy(inode)) return 'busy'
    if (change.entries && !inode && !this.#made.has(placeKey(document))) return 'busy'
    for (const entry of change.entries ?? []) if (this.#isEntryBusy(inode, entry)) return 'busy'
    this.#accept(change)
    return 'applied'
  }

  #accept(change: LiveChange): void {
    this.#heads.set(placeKey(change.document), change.live.head)
    for (const { after, child } of change.entries ?? []) {
      if (!after || !child) continue
      const key = placeKey(after.document)
      this.#made.add(key)
      if (!this.#heads.has(key)) this.#heads.set(key, child.head)
    }
  }

  /** Local changes that are not committed, bytes that are not closed or not in packs, entries that are not sealed. */
  #isBusy(inode: Inode): boolean {
    if (inode.working !== undefined || !this.#c.state.isCommitted(inode.localLsn)) return true
    if (inode.isFolder) return this.#c.durable.isUnsealed(inode.ino)
    return this.#c.contents.locate(inode).kind === 'spool'
  }

  #isEntryBusy(folder: Inode | undefined, entry: LiveEntryChange): boolean {
    const { before, after, child } = entry
    if (after && !child && !this.#made.has(placeKey(after.document)) && !this.#c.identity.carrier(after.document))
      return true
    if (!folder || !before || (after && sameDocument(after.document, before.document))) return false
    const { state } = this.#c
    const found = state.folders.find(state.folders.of(folder.ino), keyOf(entry.name), entry.name)
    const inode = found && state.inode(found.ino)
    if (!inode || !sameDocument(inode.document, before.document)) return false
    return this.#isBusy(inode) || (inode.isFolder && this.#isBusyBelow(inode))
  }

  /** What is not committed is in memory, so only that is looked at. */
  #isBusyBelow(folder: Inode): boolean {
    const { state, durable } = this.#c
    this.#dirty ??= [
      ...[...state.open()].filter((inode) => inode.working !== undefined || !state.isCommitted(inode.localLsn)),
      ...durable.unsealed().flatMap((ino) => state.inode(ino) ?? []),
    ]
    return this.#dirty.some((inode) => state.isWithin(inode, folder))
  }
}
