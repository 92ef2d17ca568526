// Gets what has to be here and is not: contents of pinned files, and everything else where a volume holds everything again. Owns
// what is known to lack. In the background: whoever reads comes first. Never rejects for what nobody has: it is tried again later.

import { hex } from '../model/bytes.js'
import { clockTime } from '../model/clock.js'
import { type Holding, keeps, mustBeHere } from '../model/holding.js'
import type { Content, DId } from '../model/types.js'
import type { VolumeHolding } from './holding.js'
import { fileContent, type Survey } from './survey.js'
import type { VolumeReads } from './volume-reads.js'
import type { Wants } from './wants.js'

/** Chunks asked for together. */
const TOGETHER = 128

export interface FillComponents {
  reads: Pick<VolumeReads, 'missingLeaves' | 'head' | 'revision'>
  wants: Pick<Wants, 'fetch'>
  holding: VolumeHolding
  now(): number
}

export class Fill {
  /** Files that lack something still, after the last look. */
  lacking = 0
  readonly #c: FillComponents

  constructor(components: FillComponents) {
    this.#c = components
  }

  /** The newest content of a document, if it has to be here. */
  async document(document: DId, survey: Survey): Promise<boolean> {
    const { holding, reads } = this.#c
    const head = reads.head(document)
    const revision = head && reads.revision(head.head)
    const content = revision && fileContent(revision)
    if (!content) return true
    const pinned = survey.isBelow(document, new Set(holding.pins.map(hex)))
    if (!mustBeHere(holding.policy, { newest: true, pinned, outdated: 0 })) return true
    return (await this.#fetch(content)) !== 'lacks'
  }

  /** Everything that has to be here. A volume that keeps, and turns out to have it all, is whole from then on. */
  async everything(survey: Survey): Promise<void> {
    const { holding, reads } = this.#c
    const { policy, leftOut } = holding
    if (!holding.partial) return
    const result = { fetched: 0, lacking: 0 }
    const count = async (content: Content | undefined) => {
      const how = content ? await this.#fetch(content) : 'whole'
      if (how === 'lacks') result.lacking++
      else if (how === 'fetched') result.fetched++
    }
    const newest = (document: DId) => {
      const head = reads.head(document)
      const revision = head && reads.revision(head.head)
      return revision && fileContent(revision)
    }
    for await (const document of survey.filesBelow(holding.pins)) await count(newest(document))
    if (policy.hold === 'everything') {
      for await (const { document } of survey.heads()) await count(newest(document))
      for await (const { revision, content } of survey.versions())
        if (this.#isKept(policy, clockTime(revision.clock))) await count(content)
    }
    this.lacking = result.lacking
    if (keeps(policy) && result.lacking + result.fetched === 0) await holding.filled(leftOut)
  }

  /** Old versions: all of them where nothing is ever given away, else those that are young themselves. */
  #isKept(policy: Holding, made: number): boolean {
    return mustBeHere(policy, { newest: false, pinned: false, outdated: this.#c.now() - made })
  }

  async #fetch(content: Content): Promise<'whole' | 'fetched' | 'lacks'> {
    try {
      const ids = this.#c.reads.missingLeaves(content)
      for (let i = 0; i < ids.length; i += TOGETHER) await this.#c.wants.fetch(ids.slice(i, i + TOGETHER))
      return ids.length ? 'fetched' : 'whole'
    } catch {
      return 'lacks'
    }
  }
}
