// A fixed load on a volume whose disk fails somewhere: what is done, step by step, with a model that knows what was acknowledged. Not a
// spec.

import assert from 'node:assert/strict'
import { Model } from '../engine/model.js'
import { Shell, type TestVolume } from '../engine/support.js'
import { applyOp, cloneModel, doOp, nextOp, type Op, Random, treeOfModel } from './load.js'

export type Step = Op | 'fold' | 'seal' | 'idle'

const OPS = 40
const ENOSPC = -28

/** Always the same: only where it fails is another place each time. */
export function steps(): Step[] {
  const random = new Random(4711)
  const model = new Model()
  const made: Step[] = []
  for (let i = 0; i < OPS; i++) {
    const op = nextOp(model, random)
    applyOp(model, op)
    made.push(op)
    const roll = random.below(10)
    if (roll < 2) made.push('fold')
    else if (roll === 2) made.push('seal')
    else if (roll === 3) made.push('idle')
  }
  return [...made, 'seal', 'fold']
}

export class FaultLoad {
  model = new Model()
  readonly #volume: TestVolume
  readonly #shell: Shell
  readonly #errno: number | undefined
  #broken = false
  /** LMDB does nothing any more in this process. */
  ended = false

  /** `errno`: what a step that fails has to answer; absent: none may fail. */
  constructor(components: { volume: TestVolume }, init: { errno?: number }) {
    this.#volume = components.volume
    this.#shell = new Shell(components.volume)
    this.#errno = init.errno
  }

  /** Does a step. Answers whether the model has it now: it was acknowledged. */
  take(step: Step): boolean {
    if (typeof step === 'string') {
      this.#housekeeping(step)
      return false
    }
    if (step.op === 'fsync' && !treeOfModel(this.model).has(step.path)) return false
    const changed = cloneModel(this.model)
    let want: number
    try {
      want = applyOp(changed, step)
    } catch {
      return false // What it needs was not made, because that failed.
    }
    const done = doOp(this.#shell, step)
    if (done !== want) {
      assert.equal(done, this.#errno, JSON.stringify(step))
      return false
    }
    this.model = changed
    return true
  }

  #housekeeping(step: Step): void {
    const volume = this.#volume
    try {
      // As the committer does: what failed is taken back, as soon as the disk lets it.
      if (this.#broken) volume.batch.abort()
      this.#broken = false
      if (step === 'fold') volume.fold(true)
      else if (step === 'seal') volume.seal()
      else volume.engine.idle()
      volume.engine.tidy()
    } catch (error) {
      const { code } = error as { code?: string }
      assert.equal(code, this.#errno === ENOSPC ? 'ENOSPC' : 'EIO', (error as Error).stack)
      this.#broken = true
      this.ended = /database could not be written/.test((error as Error).message)
    }
  }
}
