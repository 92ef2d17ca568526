// Two volumes in this thread, and what sync does between them without a network: revisions and chunks are copied, heads that
// only move forward are applied. Not a spec.

import { equal } from '../../../lib/model/bytes.js'
import { decodeRevision } from '../../../lib/model/codec.js'
import { allChunks } from '../../../lib/model/content-tree.js'
import { type RId, TYPE_FOLDER } from '../../../lib/model/types.js'
import { PackReader } from '../../../lib/store/packs.js'
import { ApplyPlan } from '../../../lib/volume/apply-plan.js'
import type { ChunkFiles } from '../../../lib/volume/chunk-files.js'
import type { HeadChange } from '../../../lib/volume/contract.js'
import { DamagedChunks } from '../../../lib/volume/damaged-chunks.js'
import type { ApplyAnswer } from '../../../lib/volume/engine/messages.js'
import { VolumeReads } from '../../../lib/volume/volume-reads.js'
import type { TestVolume } from './support.js'

export class Replica {
  #anchor = 0

  constructor(
    readonly from: TestVolume,
    readonly to: TestVolume,
  ) {}

  /** Everything that changed in `from` since the last time, as one request. */
  plan(): { changes: HeadChange[]; request: Parameters<TestVolume['engine']['applier']['apply']>[0] } {
    this.from.seal()
    this.from.fold(true)
    this.to.seal()
    this.to.fold(true)
    this.from.reader.refresh()
    const changes: HeadChange[] = []
    const packs = new PackReader({ reader: this.from.reader, layout: this.from.layout })
    for (const { document } of this.from.reader.changes(this.#anchor, 10_000)) {
      const { head } = this.from.reader.document(document)!
      const expected = this.to.reader.document(document)?.head
      this.#copy(head, packs)
      if (!expected || !equal(expected, head)) changes.push({ document, expected, head })
    }
    this.#anchor = this.from.reader.lastSeq
    packs.close()
    this.to.batch.commit(false)
    this.to.reader.refresh()
    const isFolder = ({ head }: HeadChange) =>
      Number(decodeRevision(this.from.reader.revision(head)!).type === TYPE_FOLDER)
    // A folder may have been sealed before one that is in it; what is within goes first.
    changes.sort((a, b) => isFolder(a) - isFolder(b) || this.#depth(b) - this.#depth(a))
    const target = new PackReader({ reader: this.to.reader, layout: this.to.layout })
    const reads = new VolumeReads({
      reader: this.to.reader,
      packs: target,
      chunkFiles: undefined as unknown as ChunkFiles,
      damaged: new DamagedChunks(),
    })
    const planned = new ApplyPlan({ reads, description: { root: this.to.root } }).plan(changes)
    target.close()
    const asked = planned.flatMap((plan) => (plan.kind === 'ask' ? plan.changes : []))
    if (planned.some(({ kind }) => kind === 'missing')) throw new Error('documents are missing')
    return { changes, request: { changes: asked } }
  }

  #depth({ document }: HeadChange): number {
    let depth = 0
    let { ino } = this.from.reader.document(document)!
    for (; ino > 1; depth++) ino = this.from.engine.state.inode(ino)?.parent ?? 0
    return depth
  }

  sync(): ApplyAnswer {
    return this.to.engine.applier.apply(this.plan().request)
  }

  #copy(rid: RId, packs: PackReader): void {
    const { view, reviser } = this.to.batch
    if (view.revision(rid)) return
    const bytes = this.from.reader.revision(rid)!
    view.putRevision(rid, bytes)
    const { parts, parents } = decodeRevision(bytes)
    for (const content of parts.values()) {
      const chunks = [...allChunks(content, packs.source)]
      reviser.store(chunks.map(({ id }) => ({ id, bytes: packs.chunk(id) })))
    }
    for (const parent of parents) this.#copy(parent, packs)
  }
}
