// That the simulation can fail: it notices each of the wrong rules of broken-merges.ts.

import assert from 'node:assert/strict'
import { BROKEN, withBroken } from './broken-merges.js'
import { planOf, runPlan, simulate } from './run.js'

/** Histories tried for each, at the most. */
const TRIES = 60
/** What does not come to rest in this time is noticed, too. Seconds. */
const REST = 1.5

describe('The simulation', () => {
  for (const [what, broken] of Object.entries(BROKEN))
    it(`notices when ${what}`, async function () {
      this.timeout(120_000)
      for (let seed = 1; seed <= TRIES; seed++) {
        const noticed = await withBroken(broken, () =>
          runPlan(planOf(seed * 10 + 3, 3), REST).then(
            () => false,
            () => true,
          ),
        )
        if (noticed) return
      }
      assert.fail(`in ${TRIES} histories nothing was noticed`)
    })

  it('shows the seed and a short history when it fails', async function () {
    this.timeout(60_000)
    const error = await withBroken(BROKEN['the tree is not settled'], async () => {
      for (let seed = 1; seed <= TRIES; seed++) {
        const failed = await simulate(seed * 10 + 2, 2, { shrink: 30 }).catch((e) => e as Error)
        if (failed) return failed
      }
    })
    assert.match(error?.message ?? '', /^seed \d+, 2 devices: .*/)
    assert.match(error?.message ?? '', /shortest history found that fails:\n( {2}[ab] \w+ \d+\n?)+$/)
  })
})
