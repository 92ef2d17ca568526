// The target of a mirror looks after what changes here: every document whose head the peer does not know is compared with the
// peer's, and what differs gives way to it (lib/model/overrule.ts), by the same way as changes that the peer tells of. Owns the
// position in this volume's own changes up to which that was done; durable, so that what changed while the source was away is seen.

import { equal, hex } from '../model/bytes.js'
import type { DId, SId } from '../model/types.js'
import type { Head, Volume } from '../volume/contract.js'
import type { Change } from './messages.js'
import type { Question } from './questions.js'

export interface MirrorComponents {
  volume: Volume
  ask(question: Question): Promise<{ documents: Change[] }>
  /** Brings these heads of the peer here. */
  take(changes: Change[]): Promise<void>
  /** The peer knows this head. */
  isTold(head: Head): boolean
  failed(error: Error): void
}

const TOGETHER = 512

export class Mirror {
  readonly #c: MirrorComponents
  readonly #key: string
  readonly #except: DId
  #active = false
  #running = false
  #again = false

  /** `except`: the document of rules, which goes both ways. */
  constructor(components: MirrorComponents, init: { peerVolume: SId; except: DId }) {
    this.#c = components
    this.#key = `sync/mirror/${hex(init.peerVolume)}`
    this.#except = init.except
  }

  set active(active: boolean) {
    if (active === this.#active) return
    this.#active = active
    this.wake()
  }

  get busy(): boolean {
    return this.#running
  }

  wake(): void {
    this.#again = true
    if (this.#running || !this.#active) return
    this.#running = true
    this.#run()
      .catch((error) => this.#c.failed(error as Error))
      .finally(() => {
        this.#running = false
      })
  }

  async #run(): Promise<void> {
    const { volume, ask, take, isTold } = this.#c
    const bytes = volume.setting(this.#key)
    let done = bytes?.length === 8 ? Number(Buffer.from(bytes).readBigUInt64BE()) : 0
    const before = done
    while (this.#again && this.#active) {
      this.#again = false
      for (;;) {
        const heads = this.#active ? volume.changes(done, TOGETHER) : []
        if (!heads.length) break
        const ours = heads.filter((head) => !isTold(head) && !equal(head.document, this.#except))
        if (ours.length) {
          const { documents } = await ask({ documents: ours.map(({ document }) => document) })
          if (documents.length) await take(documents)
        }
        done = heads[heads.length - 1].seq
      }
    }
    if (done === before) return
    const position = Buffer.alloc(8)
    position.writeBigUInt64BE(BigInt(done))
    await volume.setSetting(this.#key, position)
  }
}
