import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { checkVolume } from '../../../lib/store/check.js'
import { createVolume, openVolume } from '../../../lib/store/volume-store.js'
import { Model } from '../engine/model.js'
import { AUTHOR, Shell, TestVolume } from '../engine/support.js'
import type { Plan } from './killed-child.js'
import { applyOp, cloneModel, difference, halfDone, type Op, plan, Random, treeOfModel, treeOfVolume } from './load.js'

/** How many processes are killed: some in the suite, thousands when asked for (docs/recovery.md). */
const KILLS = Number(process.env.PEERDRIVE_KILLS ?? 30)
const SEED = Number(process.env.PEERDRIVE_SEED ?? Date.now() % 1_000_000)
const OPS = 150
/** Kills of one volume. */
const AGE = 60
/** A kill in this many happens while the volume is opened, and is followed by another child that recovers. */
const OPENING = 4

/** A child that waits for its plan. The next one is started while one works, since that takes longest. */
class Child {
  readonly #process: ChildProcess
  readonly #ready: Promise<unknown>
  /** Operations that it said were done. */
  acknowledged = 0
  said = new Set<string>()
  #onSaid = () => {}
  failed: string | undefined

  constructor() {
    this.#process = fork(path.join(import.meta.dirname, 'killed-child.js'), {
      execArgv: [],
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    this.#ready = once(this.#process, 'message')
    createInterface({ input: this.#process.stdout! }).on('line', (line) => {
      if (/^\d+$/.test(line)) this.acknowledged = Number(line) + 1
      else this.said.add(line)
      if (line.startsWith('failed')) this.failed = line
      this.#onSaid()
    })
    this.#process.on('exit', () => this.#onSaid())
  }

  async begin(plan: Plan): Promise<void> {
    await this.#ready
    this.#process.send(plan)
  }

  /** Resolves when it has said what is waited for, or is over. */
  until(check: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#onSaid = () => {
        if (check() || this.failed || this.#process.exitCode !== null) resolve()
      }
      this.#onSaid()
    })
  }

  /** All that it said was heard then. */
  async kill(): Promise<void> {
    const closed = once(this.#process, 'close')
    this.#process.kill('SIGKILL')
    await closed
    assert.equal(this.failed, undefined)
  }
}

describe('durability: kill -9 of a volume under random load', () => {
  let directory: string
  let model: Model
  let volume: TestVolume
  let next: Child

  before(async () => {
    await make()
    next = new Child()
  })

  async function make(): Promise<void> {
    directory = mkdtempSync(path.join(os.tmpdir(), 'peerdrive-kill-'))
    const { root } = await createVolume({ directory, label: 'test', author: AUTHOR, uid: 0, gid: 0 })
    model = new Model()
    volume = new TestVolume(directory, root, {})
  }

  after(async function () {
    await next.kill()
    if (this.test?.parent?.tests.some(({ state }) => state === 'failed'))
      console.log(`left to be looked at: ${directory}`)
    else volume.remove()
  })

  async function killOne(random: Random, ops: Op[], answers: number[]): Promise<number> {
    const child = next
    await child.begin({ directory, ops, answers })
    next = new Child()
    if (ops.length === 0) {
      await child.until(() => child.said.has('opening'))
      await new Promise((resolve) => setTimeout(resolve, random.below(60)))
    } else {
      const enough = random.below(ops.length + 10)
      await child.until(() => child.acknowledged >= enough || child.said.has('done'))
      // Now and then in the committer's work afterwards.
      if (random.below(3) === 0) await new Promise((resolve) => setTimeout(resolve, random.below(30)))
    }
    await child.kill()
    return child.acknowledged
  }

  /** What was acknowledged is there, and nothing else but perhaps the one operation that was under way. */
  function verify(planned: { ops: Op[]; acknowledged: number; seed: number }): void {
    const { ops, acknowledged } = planned
    for (const op of ops.slice(0, acknowledged)) applyOp(model, op)
    const under = ops[acknowledged]
    const seen = treeOfVolume(new Shell(volume))
    const before = treeOfModel(model)
    const lost = difference(seen, before)
    if (lost === undefined) return
    const told = `seed ${planned.seed}, after ${acknowledged} operations, ${JSON.stringify(under)} under way`
    assert.ok(under, `${told}: ${lost}`)
    const changed = cloneModel(model)
    applyOp(changed, under)
    const after = treeOfModel(changed)
    const other = difference(seen, after)
    if (other === undefined) {
      applyOp(model, under)
      return
    }
    assert.equal(under.op, 'write', `${told}: ${lost}; or ${other}`)
    const written = after.get(under.path)!
    const half = difference(seen, after, halfDone(before.get(under.path), written))
    assert.equal(half, undefined, `${told}: ${lost}; or ${other}; or ${half}`)
    applyOp(model, under)
    // It goes on with what is there.
    for (const [at, { id }] of treeOfModel(model)) {
      if (at !== under.path) continue
      ;(id as { bytes: Buffer }).bytes = seen.get(at)!.bytes
    }
  }

  it(`loses nothing that was acknowledged: ${KILLS} kills`, async function () {
    this.timeout(60_000 + KILLS * 3000)
    let done = 0
    let begun = 0
    for (let kill = 0; kill < KILLS; ) {
      if (kill - begun >= AGE) {
        // Checks look at the whole history.
        volume.remove()
        await make()
        begun = kill
      }
      const seed = SEED + kill
      if (KILLS > 100 && kill % 100 < 2) console.log(`${kill} kills, seed ${seed}`)
      const random = new Random(seed)
      const { ops, answers } = plan(cloneModel(model), random, OPS)
      if (random.below(OPENING) === 0) {
        await killOne(random, [], [])
        kill++
      }
      const acknowledged = await killOne(random, ops, answers)
      kill++
      done += acknowledged
      openVolume(directory).lock.free()
      const opening = performance.now()
      volume.open()
      const took = performance.now() - opening
      verify({ ops, acknowledged, seed })
      if (kill % 5 === 0) volume.seal()
      volume.fold(true)
      assert.deepEqual(checkVolume({ reader: volume.reader, layout: volume.layout }), [], `seed ${seed}`)
      assert.ok(took < 10_000, `opening took ${took} ms`)
      const bad = volume.reports.splice(0).filter((text) => !/was being written|Cut|Removed/.test(text))
      assert.deepEqual(bad, [], `seed ${seed}`)
      await volume.leave()
    }
    assert.ok(done > KILLS, `only ${done} operations were acknowledged (seed ${SEED})`)
  })
})
