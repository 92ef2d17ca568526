// Makes room: gives away contents that need not be here and that another device keeps, the ones not read for longest first, and
// has packs of many holes written anew. Owns how far it came in going round the versions. Decides what may go by
// lib/model/holding.ts; that it is kept elsewhere is the business of give-away.ts.

import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { hex } from '../model/bytes.js'
import { clockTime } from '../model/clock.js'
import { type Holding, keeps, mayGo } from '../model/holding.js'
import { IdFilter } from '../model/id-filter.js'
import type { ChunkId, RId } from '../model/types.js'
import type { VolumeLayout } from '../store/layout.js'
import type { StoreReader } from '../store/tables.js'
import type { CommitterClient } from './committer-client.js'
import type { EngineClient } from './engine-client.js'
import { giveAway } from './give-away.js'
import type { VolumeHolding } from './holding.js'
import { fileContent, type Survey } from './survey.js'
import type { VolumeReads } from './volume-reads.js'
import type { Wants } from './wants.js'

/** Chunks asked about together. */
const TOGETHER = 128
/** Of the budget: what is left of contents when room was made, so that it is not made all the time; the rest is for holes. */
const LIVE_SHARE = 0.75
/** A pack with a smaller share of holes is left as it is. */
const HOLES_MIN = 0.2
/** Bytes of chunks moved by one request. */
const MOVE_BYTES = 4 << 20
/** Milliseconds in which a content that was read counts as in use, and stays. */
const LATELY_MS = 20_000
/** Milliseconds until it is tried again where there is not enough that may go; and between two looks for old versions. */
const AGAIN_MS = 600_000
const RETAIN_MS = 3_600_000

export interface RoomComponents {
  layout: VolumeLayout
  reader: StoreReader
  reads: Pick<VolumeReads, 'hasChunk' | 'head' | 'revision'>
  committer: Pick<CommitterClient, 'dropChunks' | 'moveChunks' | 'removePacks'>
  engine: Pick<EngineClient, 'lately' | 'packsGone'>
  holding: VolumeHolding
  wants: Pick<Wants, 'suppliers'>
  packsGone(packs: number[]): void
  now(): number
}

/** Chunks that are given away, some at a time. */
class Going {
  bytes = 0
  #batch = new Map<string, ChunkId>()
  #waiting = 0

  constructor(
    private readonly c: RoomComponents,
    private readonly most: number,
  ) {}

  get enough(): boolean {
    return this.bytes >= this.most
  }

  async add(id: ChunkId): Promise<void> {
    const key = hex(id)
    const location = this.c.reader.chunk(id)
    if (this.enough || !location || this.#batch.has(key)) return
    this.#batch.set(key, id)
    this.#waiting += location.length
    if (this.#batch.size >= TOGETHER || this.bytes + this.#waiting >= this.most) await this.finish()
  }

  async finish(): Promise<void> {
    const ids = [...this.#batch.values()]
    this.#batch = new Map()
    this.#waiting = 0
    if (ids.length === 0 || this.enough) return
    const { holding, wants, committer, reader } = this.c
    const c = { holding, suppliers: () => keepersOf(wants), drop: (gone: ChunkId[]) => committer.dropChunks(gone) }
    this.bytes += await giveAway(c, ids)
    reader.refresh()
  }
}

export class Room {
  /** Bytes that packs took when it was looked last, and bytes given away so far. */
  bytes = 0
  givenAway = 0
  readonly #c: RoomComponents
  /** When room was made and it was not enough, milliseconds since the epoch. */
  #madeAt = Number.NEGATIVE_INFINITY
  /** What is being read was left out. */
  #heldBack = false
  /** The version up to which it came. */
  #hand: RId | undefined

  constructor(components: RoomComponents) {
    this.#c = components
  }

  /**
   * Until the volume is within its budget, or nothing more may go. `again`: also if it found nothing that may go before. Rejects with
   * errors of the committer (a full disk).
   */
  async make(survey: Survey, again: boolean): Promise<void> {
    const { policy } = this.#c.holding
    this.bytes = await this.#packBytes()
    if (keeps(policy)) return
    const onDemand = policy.hold === 'on-demand'
    const budget = onDemand ? policy.budget : 0
    if (this.bytes <= budget || (!again && this.#c.now() - this.#madeAt < (onDemand ? AGAIN_MS : RETAIN_MS))) return
    const live = sum((await survey.packs()).values())
    const most = onDemand ? live - LIVE_SHARE * budget : Number.POSITIVE_INFINITY
    if (most > 0 && keepersOf(this.#c.wants).length > 0) await this.#giveAway(survey, policy, most)
    await this.#compact(survey, (1 - LIVE_SHARE) * budget)
    this.bytes = await this.#packBytes()
    // Within its budget it costs nothing to look again.
    if (this.bytes <= budget) this.#madeAt = Number.NEGATIVE_INFINITY
    else this.#madeAt = this.#c.now() - (this.#heldBack ? AGAIN_MS - LATELY_MS : 0)
  }

  async #packBytes(): Promise<number> {
    const { layout } = this.#c
    const names = await readdir(layout.packs)
    const sizes = names.map((name) =>
      stat(path.join(layout.packs, name)).then(
        ({ blocks }) => blocks * 512,
        () => 0,
      ),
    )
    return sum(await Promise.all(sizes))
  }

  async #giveAway(survey: Survey, policy: Holding, most: number): Promise<void> {
    const stays = await this.#stays(survey, policy)
    const heads = policy.hold === 'on-demand' ? undefined : await this.#heads(survey)
    const lately = policy.hold === 'on-demand' ? await this.#c.engine.lately() : []
    const warm = new IdFilter(this.#c.reader.chunkCount)
    for (const { content } of lately) for (const id of survey.leaves(content)) warm.add(id)
    const going = new Going(this.#c, most)
    const free = (id: ChunkId) => this.#c.reads.hasChunk(id) && !stays.has(id)
    // From where it came the last time, around all versions; what was read lately goes last, and what is being read not at all.
    for (const after of this.#hand ? [this.#hand, undefined] : [undefined]) {
      for await (const { rid, content } of survey.versions(after)) {
        if (going.enough) break
        this.#hand = rid
        if (heads?.has(rid)) continue
        for (const id of survey.leaves(content)) if (free(id) && !warm.has(id)) await going.add(id)
      }
    }
    this.#heldBack = false
    for (const { content, ago } of lately) {
      if (going.enough) break
      if (ago < LATELY_MS) {
        this.#heldBack = true
        break
      }
      for (const id of survey.leaves(content)) if (free(id)) await going.add(id)
    }
    await going.finish()
    this.givenAway += going.bytes
  }

  /** Ids of all heads. */
  async #heads(survey: Survey): Promise<IdFilter> {
    const filter = new IdFilter(this.#c.reader.meta('documents'))
    for await (const { head } of survey.heads()) filter.add(head)
    return filter
  }

  /** Chunks of contents that may not go, whichever other contents they are part of. */
  async #stays(survey: Survey, policy: Holding): Promise<IdFilter> {
    const filter = new IdFilter(this.#c.reader.chunkCount)
    const add = (rid: RId | undefined) => {
      const revision = rid && this.#c.reads.revision(rid)
      const content = revision && fileContent(revision)
      if (content) for (const id of survey.leaves(content)) filter.add(id)
    }
    for await (const document of survey.filesBelow(this.#c.holding.pins)) add(this.#c.reads.head(document)?.head)
    if (policy.hold === 'on-demand') return filter
    const newest = { newest: true, pinned: false, outdated: 0 }
    for await (const { head } of survey.heads()) if (!mayGo(policy, newest)) add(head)
    // What a version replaced was the newest until then.
    for await (const { rid, revision } of survey.versions()) {
      const outdated = this.#c.now() - clockTime(revision.clock)
      if (mayGo(policy, { newest: false, pinned: false, outdated })) continue
      add(rid)
      for (const parent of revision.parents) add(parent)
    }
    return filter
  }

  /** Packs with the most holes first, until there are no more than `holes` bytes of them. */
  async #compact(survey: Survey, holes: number): Promise<void> {
    const live = await survey.packs()
    const packs = await this.#holes(live)
    let left = sum(packs.map(({ holes }) => holes))
    const chosen = new Map<number, ChunkId[]>()
    // Those in which nothing is left come first.
    for (const { pack, size, holes: inPack } of packs) {
      if (live.has(pack) && (left <= holes || inPack < HOLES_MIN * size)) continue
      chosen.set(pack, [])
      left -= inPack
    }
    if (chosen.size === 0) return
    const lengths = new Map<ChunkId, number>()
    for await (const { id, location } of survey.chunks()) {
      const list = chosen.get(location.pack)
      if (list) lengths.set(id, location.length)
      list?.push(id)
    }
    for (const [pack, ids] of chosen) await this.#move(pack, ids, lengths)
    const gone = await this.#c.committer.removePacks([...chosen.keys()])
    this.#c.reader.refresh()
    this.#c.packsGone(gone)
    await this.#c.engine.packsGone(gone)
  }

  async #move(pack: number, ids: ChunkId[], lengths: Map<ChunkId, number>): Promise<void> {
    let part: ChunkId[] = []
    let bytes = 0
    for (const id of ids) {
      part.push(id)
      if ((bytes += lengths.get(id)!) < MOVE_BYTES) continue
      await this.#c.committer.moveChunks(pack, part)
      part = []
      bytes = 0
    }
    await this.#c.committer.moveChunks(pack, part)
  }

  async #holes(live: Map<number, number>): Promise<{ pack: number; size: number; holes: number }[]> {
    const { layout } = this.#c
    const found: { pack: number; size: number; holes: number }[] = []
    for (const name of await readdir(layout.packs)) {
      const pack = Number.parseInt(name, 16)
      const size = await stat(path.join(layout.packs, name)).then(
        ({ blocks }) => blocks * 512,
        () => 0,
      )
      found.push({ pack, size, holes: Math.max(0, size - (live.get(pack) ?? 0)) })
    }
    return found.sort((a, b) => b.holes / (b.size || 1) - a.holes / (a.size || 1))
  }
}

const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, n) => total + n, 0)

/** Devices that say that they keep everything: others would say no. */
const keepersOf = ({ suppliers }: Pick<Wants, 'suppliers'>) => suppliers.filter(({ keeps }) => keeps)
