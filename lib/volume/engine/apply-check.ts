// Whether what sync asks can be applied: compare-and-set on heads, and no change here that nobody has made a revision of yet.
// Reads only. A change that is refused leaves the others of its request as they are.

import { equal } from '../../model/bytes.js'
import type { DId, RId } from '../../model/types.js'
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
  #heads = new Map<string, RId>()
  /** Documents that get an inode by a change that is not refused, of the whole request. */
  #offered = new Set<string>()
  #dirty: Inode[] | undefined

  constructor(components: ApplyCheckComponents) {
    this.#c = components
    components.state.refresh()
  }

  /** A change may rest on what another one brings, before it or after it: one that is refused may make others be. */
  check(changes: LiveChange[]): ApplyResult[] {
    const results: ApplyResult[] = changes.map(() => 'applied')
    for (let again = true; again; ) {
      again = false
      this.#heads = new Map()
      this.#offered = offeredBy(changes.filter((_, i) => results[i] === 'applied'))
      for (const [i, change] of changes.entries()) {
        if (results[i] !== 'applied') continue
        results[i] = this.#checkOne(change)
        if (results[i] !== 'applied') again = true
      }
      if (!again) again = this.#refuseGroups(changes, results)
    }
    return results
  }

  /** One of a group that is refused refuses the others. Answers whether it did. */
  #refuseGroups(changes: LiveChange[], results: ApplyResult[]): boolean {
    const refused = new Set(changes.filter((_, i) => results[i] !== 'applied').map(({ group }) => group))
    let found = false
    for (const [i, { group }] of changes.entries()) {
      if (group === undefined || results[i] !== 'applied' || !refused.has(group)) continue
      results[i] = 'busy'
      found = true
    }
    return found
  }

  #checkOne(change: LiveChange): ApplyResult {
    const { document, expected } = change
    const head = this.#heads.get(placeKey(document)) ?? this.#c.heads.get(document)
    if (head === undefined ? expected !== undefined : expected === undefined || !equal(head, expected)) return 'stale'
    const inode = this.#c.identity.carrier(document)
    if (inode ? this.#isBusy(inode) : this.#c.identity.isLeaving(document)) return 'busy'
    if (change.entries && !inode && !this.#offered.has(placeKey(document))) return 'busy'
    for (const entry of change.entries ?? []) if (this.#isEntryBusy(inode, entry)) return 'busy'
    this.#accept(change)
    return 'applied'
  }

  #accept(change: LiveChange): void {
    this.#heads.set(placeKey(change.document), change.live.head)
    for (const { after, child } of change.entries ?? []) {
      if (!after || !child) continue
      const key = placeKey(after.document)
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
    if (after && !child && !this.#offered.has(placeKey(after.document)) && !this.#c.identity.carrier(after.document))
      return true
    if (after && this.#isMovedHere(after.document)) return true
    if (!folder || !before || (after && sameDocument(after.document, before.document))) return false
    const { state } = this.#c
    const found = state.folders.find(state.folders.of(folder.ino), keyOf(entry.name), entry.name)
    const inode = found && state.inode(found.ino)
    if (!inode || !sameDocument(inode.document, before.document)) return false
    return this.#isBusy(inode) || (inode.isFolder && this.#isBusyBelow(inode))
  }

  /** A document that somebody moves here, too: sync has to see that first. */
  #isMovedHere(document: DId): boolean {
    const inode = this.#c.identity.carrier(document)
    if (!inode) return false
    return !this.#c.state.isCommitted(inode.localLsn) || (inode.parent > 0 && this.#c.durable.isUnsealed(inode.parent))
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

function offeredBy(changes: LiveChange[]): Set<string> {
  const offered = new Set<string>()
  for (const { entries = [] } of changes) {
    for (const { after, child } of entries) if (after && child) offered.add(placeKey(after.document))
  }
  return offered
}
