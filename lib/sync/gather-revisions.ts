// Finds the revisions that some heads need and the volume does not have: the heads and their ancestors, from what came along
// and by asking the peer, many generations at once. Stores nothing. Believes nothing: every revision is named by its hash,
// and one that nobody asked for or descends to is a breach.

import { hex } from '../model/bytes.js'
import { decodeRevision } from '../model/codec.js'
import { ridOf } from '../model/hash.js'
import type { Revision, RId } from '../model/types.js'
import { HistoryTooLongError, PeerLacksError, SyncProtocolError } from './errors.js'
import type { GatherComponents, Need } from './gather.js'
import { ASK_DEPTH, MAX_ASKED, MAX_HISTORY } from './limits.js'

export interface FoundRevision {
  bytes: Uint8Array
  revision: Revision
}

export class RevisionGather {
  constructor(private readonly components: Pick<GatherComponents, 'volume' | 'ask'>) {}

  /** By hex RId. Heads that the peer does not have are a PeerLacksError; older revisions that it does not have are left out. */
  async find(needs: Need[], offered: Map<string, Uint8Array>): Promise<Map<string, FoundRevision>> {
    const search = new Search(this.components, needs, offered)
    for (let missing = search.follow(); missing.length; missing = search.follow()) await search.ask(missing)
    return search.found
  }
}

class Search {
  readonly found = new Map<string, FoundRevision>()
  readonly #components: Pick<GatherComponents, 'volume' | 'ask'>
  readonly #heads: Set<string>
  readonly #have: RId[]
  /** Came and not reached yet. */
  readonly #came = new Map<string, FoundRevision>()
  readonly #offered: Map<string, Uint8Array>
  readonly #lacking = new Set<string>()
  #next: RId[]
  #bytes = 0

  constructor(components: Pick<GatherComponents, 'volume' | 'ask'>, needs: Need[], offered: Map<string, Uint8Array>) {
    this.#components = components
    this.#offered = offered
    this.#next = needs.map(({ head }) => head)
    this.#heads = new Set(this.#next.map(hex))
    this.#have = needs.flatMap(({ ours }) => (ours ? [ours] : []))
  }

  /** Goes up as far as revisions are there; answers those that have to be asked for. */
  follow(): RId[] {
    const missing = new Map<string, RId>()
    while (this.#next.length) {
      const parents: RId[] = []
      for (const rid of this.#next) {
        const key = hex(rid)
        if (this.found.has(key) || missing.has(key) || this.#lacking.has(key)) continue
        if (this.#components.volume.encoded(rid)) continue
        const here = this.#take(key)
        if (here) parents.push(...here.revision.parents)
        else missing.set(key, rid)
      }
      this.#next = parents
    }
    return [...missing.values()]
  }

  #take(key: string): FoundRevision | undefined {
    let here = this.#came.get(key)
    const bytes = this.#offered.get(key)
    if (!here && bytes) here = { bytes, revision: decodeRevision(bytes) }
    if (!here) return undefined
    this.#came.delete(key)
    this.found.set(key, here)
    if ((this.#bytes += here.bytes.length) > MAX_HISTORY) throw new HistoryTooLongError(this.found.size)
    return here
  }

  async ask(missing: RId[]): Promise<void> {
    for (let i = 0; i < missing.length; i += MAX_ASKED) {
      const part = missing.slice(i, i + MAX_ASKED)
      const { revisions } = await this.#components.ask({ revisions: part, depth: ASK_DEPTH, have: this.#have })
      const expected = new Set(part.map(hex))
      for (const bytes of revisions) {
        const key = hex(ridOf(bytes))
        if (!expected.has(key)) throw new SyncProtocolError('A revision came in that nobody asked for.')
        const revision = decodeRevision(bytes)
        for (const parent of revision.parents) expected.add(hex(parent))
        this.#came.set(key, { bytes, revision })
      }
      this.#noteLacking(part, revisions.length > 0)
    }
    this.#next = missing
  }

  /** An answer has a limit: only one that brings nothing at all says that there is no more. */
  #noteLacking(asked: RId[], progress: boolean): void {
    const lacking = asked.filter((rid) => !this.#came.has(hex(rid)))
    const head = lacking.find((rid) => this.#heads.has(hex(rid)))
    if (head && !progress) throw new PeerLacksError(`The device does not have revision ${hex(head)}, which it named.`)
    if (!progress) for (const rid of lacking) this.#lacking.add(hex(rid))
  }
}
