// A limit is obeyed: never more than it allows, besides one message; in turn; and nobody waits for ever.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Throttle } from '../../lib/sync/throttle.js'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('A limit', () => {
  it('lets no more go than it says, in turn, and all in the end', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 8192, max: 500_000 }), async (messages, limit) => {
        let now = 1_000_000
        const throttle = new Throttle({ now: () => now })
        throttle.limit = limit
        const gone: number[] = []
        for (const [i, bytes] of messages.entries()) void throttle.take(bytes).then(() => gone.push(i))
        const largest = Math.max(...messages)
        const total = messages.reduce((sum, bytes) => sum + bytes, 0)
        for (let seconds = 0; ; seconds++) {
          await turn()
          const sent = gone.reduce((sum, i) => sum + messages[i], 0)
          assert.ok(sent <= limit * (seconds + 1) + largest)
          if (gone.length === messages.length) break
          assert.ok(seconds <= total / limit + 2, 'as fast as it may')
          now += 1000
          throttle.tick()
        }
        assert.deepEqual(gone, [...messages.keys()])
      }),
      { numRuns: 50 },
    )
  })

  it('tells those who wait long every now and then, and ends with it', async () => {
    let now = 0
    const throttle = new Throttle({ now: () => now })
    throttle.limit = 8192
    await Promise.race([throttle.take(1_000_000), turn()])
    let told = 0
    let gone = false
    void throttle.take(1, () => told++).then(() => (gone = true))
    for (let seconds = 0; seconds < 60; seconds++) {
      now += 1000
      throttle.tick()
    }
    assert.equal(told, 6)
    throttle.limit = undefined
    await turn()
    assert.ok(gone)
    await throttle.take(1e9)
  })
})
