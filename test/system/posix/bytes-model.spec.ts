// Random operations on bytes against a model: reads, writes, cuts, mappings, holes, copies, while the volume commits.
// PEERDRIVE_POSIX_STEPS: how many; PEERDRIVE_POSIX_SEED: which.

import assert from 'node:assert/strict'
import { FileModel } from './support/file-model.js'
import { Places } from './support/places.js'
import { Random } from './support/random.js'

const STEPS = Number(process.env.PEERDRIVE_POSIX_STEPS ?? 400)
const SEED = Number(process.env.PEERDRIVE_POSIX_SEED ?? 1)

describe('POSIX: random operations on bytes, against a model', function () {
  this.timeout(0)
  const places = Places.use()

  for (const [title, limit] of [
    ['small files', 3000],
    ['files about the size that is kept in memory', 100_000],
    ['large files', 1_500_000],
  ] as const) {
    it(title, () => {
      for (const directory of places.directories()) {
        const random = new Random(SEED)
        const model = new FileModel({ files: 3, place: (i) => `${directory}/f${i}`, random, limit })
        try {
          for (let i = 0; i < STEPS; i++) model.step()
          model.check()
        } catch (error) {
          assert.ok(error instanceof Error)
          error.message = `seed ${SEED}, ${directory}: ${error.message}`
          throw error
        } finally {
          model.close()
        }
      }
    })
  }
})
