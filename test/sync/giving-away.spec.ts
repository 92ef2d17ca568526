// Nothing is given away by everybody: several devices change what they hold, ask each other, give away, fetch again and crash, in any
// order that their steps and messages can have. The policy, the answer and the giving away are the real ones; storage, threads and
// network are steps of fast-check's scheduler. Rules that are wrong in one way have to be noticed.

import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { hex } from '../../lib/model/bytes.js'
import { decodeHolding, HOLDING_SETTING, keeps } from '../../lib/model/holding.js'
import type { ChunkId } from '../../lib/model/types.js'
import { kept } from '../../lib/sync/answers.js'
import { type GiveAwayComponents, giveAway } from '../../lib/volume/give-away.js'
import { VolumeHolding } from '../../lib/volume/holding.js'

const CHUNKS = [1].map((fill): ChunkId => new Uint8Array(33).fill(fill))

interface Rules {
  kept: typeof kept
  giveAway: typeof giveAway
}

class CrashedError extends Error {}

class Device {
  readonly chunks = new Set(CHUNKS.map(hex))
  readonly settings = new Map<string, Uint8Array>()
  holding!: VolumeHolding
  /** Of an earlier life nothing has any effect any more. */
  life = 0

  constructor(
    readonly world: World,
    readonly name: string,
  ) {
    this.start()
  }

  start(): void {
    const life = ++this.life
    this.holding = new VolumeHolding({
      setting: (key) => this.settings.get(key),
      setSetting: async (key, value) => {
        await this.step('setting', life)
        if (value) this.settings.set(key, value)
        else this.settings.delete(key)
      },
      tellEngine: () => this.step('engine', life),
    })
  }

  /** Something takes its time, and the device may crash meanwhile. */
  async step(what: string, life: number): Promise<void> {
    await this.world.step(`${this.name} ${what}`)
    if (life !== this.life) throw new CrashedError()
  }

  set(policy: { hold: 'everything' | 'on-demand'; retain?: number }): Promise<void> {
    return this.holding.set(policy)
  }

  /** `slow`: rounds that it takes from the answer to the disk. */
  giveAway(ids: ChunkId[], slow: number): Promise<number> {
    const { life, holding, world } = this
    const others = world.devices.filter((device) => device !== this)
    const components: GiveAwayComponents = {
      holding,
      suppliers: () => others.map((other) => ({ confirm: (asked) => this.ask(other, asked, life) })),
      drop: async (gone) => {
        for (let i = 0; i <= slow; i++) await this.step('drop', life)
        for (const id of gone) this.chunks.delete(hex(id))
        world.check(`${this.name} gave away`)
        return gone.length
      },
    }
    return world.rules.giveAway(components, ids)
  }

  async ask(other: Device, ids: ChunkId[], life: number): Promise<ChunkId[]> {
    await this.step(`asks ${other.name}`, life)
    const answer = await other.answer(ids)
    await this.step(`hears from ${other.name}`, life)
    return answer
  }

  async answer(ids: ChunkId[]): Promise<ChunkId[]> {
    const { life } = this
    const chunk = async (id: ChunkId) => {
      await this.step('reads', life)
      if (!this.chunks.has(hex(id))) throw new Error('it is gone')
      return id
    }
    return this.world.rules.kept({ holding: this.holding, hasChunk: (id) => this.chunks.has(hex(id)), chunk }, ids)
  }

  async fetch(id: ChunkId, other: Device): Promise<void> {
    const { life } = this
    if (!other.chunks.has(hex(id))) return
    await this.step('fetches', life)
    this.chunks.add(hex(id))
  }
}

class World {
  readonly devices: Device[]
  steps = 0

  constructor(
    readonly scheduler: fc.Scheduler,
    readonly rules: Rules,
    count: number,
  ) {
    this.devices = Array.from({ length: count }, (_, i) => new Device(this, `d${i}`))
  }

  step(what: string): Promise<void> {
    this.steps++
    return this.scheduler.schedule(Promise.resolve(), what)
  }

  check(what: string): void {
    for (const id of CHUNKS)
      if (!this.devices.some(({ chunks }) => chunks.has(hex(id)))) throw new Error(`${what}: ${hex(id)} is nowhere`)
  }
}

const device = fc.nat(2)
const policy = fc.constantFrom(
  { hold: 'everything' as const, retain: undefined },
  { hold: 'on-demand' as const },
  { hold: 'everything' as const, retain: 1 },
)
const doing = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('set' as const), device, policy }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('give' as const), device, slow: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), device }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fetch' as const), device, from: device }) },
)

type Doing = typeof doing extends fc.Arbitrary<infer T> ? T : never
/** What is done, and after how many steps of all the next thing is. */
type Todo = [Doing, number][]

/** How much was given away in all runs: a law about nothing would always hold. */
let given = 0

async function run(scheduler: fc.Scheduler, todo: Todo, rules: Rules, count: number): Promise<void> {
  const world = new World(scheduler, rules, count)
  let broken: Error | undefined
  const guard = (work: Promise<unknown>) =>
    work.catch((error) => {
      if (/is nowhere/.test(error.message)) broken ??= error
      else if (!(error instanceof CrashedError)) throw error
    })
  const all: Promise<unknown>[] = []
  for (const [one, steps] of todo) {
    const at = world.devices[one.device % count]
    const begin = async () => {
      if (one.do === 'set') return at.set(one.policy)
      if (one.do === 'crash') return at.start()
      if (one.do === 'fetch') return at.fetch(CHUNKS[0], world.devices[one.from % count])
      given += await at.giveAway(CHUNKS, one.slow)
    }
    all.push(guard(begin()))
    for (let i = 0; i < steps; i++) {
      if (scheduler.count() > 0) await scheduler.waitOne()
      // Whoever was waited for takes its next step.
      await turn()
    }
  }
  await scheduler.waitFor(Promise.all(all))
  if (broken) throw broken
  // What a device confirms and what it gives away rest on what is durable.
  for (const { holding, settings } of world.devices)
    assert.equal(keeps(holding.policy), keeps(decodeHolding(settings.get(HOLDING_SETTING))))
}

const law = (rules: Rules, numRuns: number, seed?: number) =>
  fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.tuple(doing, fc.nat(8)), { minLength: 6, maxLength: 24 }),
      fc.constantFrom(2, 3),
      (scheduler, todo, count) => run(scheduler, todo, rules, count),
    ),
    { numRuns, endOnFailure: true, ...(seed !== undefined && { seed }) },
  )

const RIGHT: Rules = { kept, giveAway }

const BROKEN: Record<string, Rules> = {
  'whoever has a chunk confirms it, whatever it holds': {
    ...RIGHT,
    kept: (volume, ids) => kept({ ...volume, holding: { keeps: true } }, ids),
  },
  'the policy may change between question and giving away': {
    ...RIGHT,
    giveAway: ({ holding, ...rest }, ids) =>
      giveAway({ ...rest, holding: { policy: holding.policy, exclusively: (work) => work() } }, ids),
  },
  'a promise counts for ever': {
    ...RIGHT,
    giveAway: (c, ids) => {
      const suppliers = c.suppliers().map(({ confirm }, i) => ({
        confirm: async (asked: ChunkId[]) => {
          const key = promiseKey(c, i)
          if (!promises.has(key)) promises.set(key, await confirm(asked))
          return promises.get(key)!
        },
      }))
      return giveAway({ ...c, suppliers: () => suppliers }, ids)
    },
  },
}

let promises = new Map<string, ChunkId[]>()
const worlds = new WeakMap<object, number>()
let lastWorld = 0
/** By the one who asks (its policy object is its own) and whom it asks. */
function promiseKey({ holding }: GiveAwayComponents, i: number): string {
  if (!worlds.has(holding)) worlds.set(holding, ++lastWorld)
  return `${worlds.get(holding)} ${i}`
}

describe('Giving contents away', function () {
  this.timeout(120_000)

  const runs = Number(process.env.PEERDRIVE_RUNS ?? 1500)

  it(`never loses a chunk everywhere (${runs} histories)`, async () => {
    given = 0
    await law(RIGHT, runs, process.env.PEERDRIVE_SEED ? Number(process.env.PEERDRIVE_SEED) : undefined)
    assert.ok(given > runs / 10, `${given} chunks were given away`)
  })

  for (const [what, rules] of Object.entries(BROKEN))
    it(`notices when ${what}`, async () => {
      promises = new Map()
      await assert.rejects(law(rules, 30_000, 4), ({ cause }: Error) => /is nowhere/.test((cause as Error)?.message))
    })
})
