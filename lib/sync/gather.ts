// Gets everything that a set of heads needs into the volume: the revisions themselves, all ancestors that the volume does not
// know (no version is lost), and every chunk of their contents. What is stored stays, so a cut costs at most the open questions.
// Invariants: a list is stored after all that is below it, a revision after its contents and its ancestors. So what the volume
// has need not be looked into again. The one exception: old versions that the peer itself has no more are left out, and the volume knows that
// it lacks something.

import { hex } from '../model/bytes.js'
import type { Revision, RId } from '../model/types.js'
import type { Volume } from '../volume/contract.js'
import { ChunkGather } from './gather-chunks.js'
import { RevisionGather } from './gather-revisions.js'
import type { Answer } from './messages.js'
import type { Question } from './questions.js'

export interface GatherComponents {
  volume: Volume
  ask(question: Question): Promise<Answer>
  /** Chunks that somebody is fetching for this volume already, by hex id: asked for only once among all peers. */
  inFlight: Map<string, Promise<void>>
}

/** What came along unasked, by hex id. */
export interface Offered {
  revisions: Map<string, Uint8Array>
  chunks: Map<string, Uint8Array>
}

export interface Need {
  head: RId
  /** Our head of the same document, if there is one. */
  ours?: RId
}

/** Revisions imported at once; bounds memory on long histories. */
const IMPORT_REVISIONS = 2000

export class Gather {
  /** Bytes of chunks stored so far. */
  get chunkBytes(): number {
    return this.#chunks.stored
  }

  readonly #volume: Volume
  readonly #revisions: RevisionGather
  readonly #chunks: ChunkGather

  constructor(components: GatherComponents) {
    this.#volume = components.volume
    this.#revisions = new RevisionGather(components)
    this.#chunks = new ChunkGather(components)
  }

  /**
   * After it, the volume has the heads and all they need.
   * @throws PeerLacksError, HistoryTooLongError, SyncInterruptedError, SyncProtocolError, the model's errors for revisions and
   *   lists that contradict themselves, and the volume's errors (a full disk)
   */
  async complete(needs: Need[], offered: Offered): Promise<void> {
    const found = await this.#revisions.find(needs, offered.revisions)
    if (!found.size) return
    const heads = new Set(needs.map(({ head }) => hex(head)))
    const of = (isHead: boolean): Revision[] =>
      [...found].filter(([rid]) => heads.has(rid) === isHead).map(([, { revision }]) => revision)
    const { partial, policy } = this.#volume.holding
    const options = { partial, bare: policy.hold === 'on-demand' }
    const newest = await this.#chunks.store(of(true), offered.chunks, { strict: true, ...options })
    // Old versions that the device does not have here may be asked for when somebody looks at them.
    const older = await this.#chunks.store(of(false), offered.chunks, { strict: false, ...options })
    const last = [...newest.chunks, ...older.chunks]
    const encoded = ancestorsFirst(found)
    const store = async () => {
      for (let i = 0; i < encoded.length; i += IMPORT_REVISIONS)
        await this.#volume.importRevisions(encoded.slice(i, i + IMPORT_REVISIONS), i === 0 ? last : [])
    }
    // Another device may have what this one does not, and this volume may be one that is to keep everything.
    if (older.leftOut) await this.#volume.holding.leavingOut(store)
    else await store()
  }
}

/** Each behind all of its parents. */
function ancestorsFirst(found: Map<string, { bytes: Uint8Array; revision: Revision }>): Uint8Array[] {
  const sorted: Uint8Array[] = []
  const entered = new Set<string>()
  const left = new Set<string>()
  const stack = [...found.keys()]
  for (let rid = stack.at(-1); rid !== undefined; rid = stack.at(-1)) {
    const node = found.get(rid)
    if (node && !entered.has(rid)) {
      entered.add(rid)
      for (const parent of node.revision.parents) stack.push(hex(parent))
      continue
    }
    stack.pop()
    if (!node || left.has(rid)) continue
    left.add(rid)
    sorted.push(node.bytes)
  }
  return sorted
}
