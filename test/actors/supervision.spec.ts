import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  type ChildSpec,
  type Restart,
  type Strategy,
  startChild,
  stopChild,
  supervisor,
} from '../../lib/actors/index.js'
import { settle } from '../support/manual-clock.js'
import { Recorder } from './support.js'

const STRATEGIES: Strategy[] = ['one_for_one', 'one_for_all', 'rest_for_one']
const RESTARTS: Restart[] = ['permanent', 'transient', 'temporary']
const ENDS = ['crash', 'leave', 'kill'] as const
type End = (typeof ENDS)[number]
const MANY = { restarts: 1000, windowMs: 1000 }

/** What the rules say of an end: which children end with it, and which start. In the order of the list. */
function affected(strategy: Strategy, ids: string[], id: string): string[] {
  if (strategy === 'one_for_one') return [id]
  return strategy === 'one_for_all' ? ids : ids.slice(ids.indexOf(id))
}

function isStartedAgain(restart: Restart, end: End): boolean {
  return restart === 'permanent' || (restart === 'transient' && end !== 'leave')
}

async function finish(recorder: Recorder, id: string, end: End): Promise<void> {
  if (end === 'kill') await recorder.system.kill(`root/${id}`)
  else recorder.of(id).cast({ type: end })
  await settle(40)
}

describe('Supervision', () => {
  let recorder: Recorder

  beforeEach(() => {
    recorder = new Recorder()
  })
  afterEach(() => recorder.system.stop())

  const root = (strategy: Strategy, children: ChildSpec<string>[], intensity = MANY) =>
    recorder.system.start(supervisor({ id: 'root', name: 'root', strategy, intensity, children }))

  for (const strategy of STRATEGIES)
    for (const restart of RESTARTS)
      for (const end of ENDS) {
        const again = isStartedAgain(restart, end)
        const who = again ? affected(strategy, ['a', 'b', 'c'], 'b').join(', ') : 'nobody'
        it(`${strategy}, ${restart}, ${end} of b: starts ${who} again`, async () => {
          await root(strategy, [recorder.worker('a'), recorder.worker('b', { restart }), recorder.worker('c')])
          recorder.log = []
          await finish(recorder, 'b', end)
          const starts = recorder.log.filter((line) => line.startsWith('+'))
          const stops = recorder.log.filter((line) => line.startsWith('-'))
          const expected = again ? affected(strategy, ['a', 'b', 'c'], 'b') : []
          assert.deepEqual(
            starts,
            expected.map((id) => `+${id}`),
          )
          const others = expected.filter((id) => id !== 'b').reverse()
          assert.deepEqual(stops, ['-b', ...others.map((id) => `-${id}`)])
          assert.equal(recorder.alive('b'), again)
          assert.ok(recorder.alive('a') && recorder.alive('c'))
        })
      }

  it('gives up through the levels: supervisors of supervisors see it as a crash', async () => {
    const inner = supervisor({
      ...{ id: 's', strategy: 'one_for_one', intensity: { restarts: 0, windowMs: 1000 } },
      children: [recorder.worker('x'), recorder.worker('y')],
    })
    await recorder.system.start(
      supervisor({ id: 'root', strategy: 'one_for_one', intensity: MANY, children: [recorder.worker('a'), inner] }),
    )
    recorder.log = []
    recorder.of('x').cast({ type: 'crash' })
    await settle(40)
    assert.deepEqual(recorder.log, ['-x', '-y', '+x', '+y'])
    assert.deepEqual(recorder.crashes, ['root/s/x', 'root/s'])
    const [, s] = recorder.system.inspect().children
    assert.equal(s.restarts, 1)
    assert.match(s.lastCrash?.reason ?? '', /RestartIntensityError/)
  })

  it('ends for good when the root gives up again and again, and says so', async () => {
    const own = new Recorder()
    const intensity = { restarts: 0, windowMs: 1000 }
    await own.system.start(supervisor({ id: 'root', strategy: 'one_for_one', intensity, children: [own.worker('a')] }))
    for (let i = 0; i < 6; i++) {
      own.of('a').cast({ type: 'crash' })
      await settle(40)
    }
    assert.ok((await own.system.ended) instanceof Error)
  })

  it('fails to start as a whole, and stops what had started, when one child cannot', async () => {
    const bad: ChildSpec<undefined> = {
      ...{ id: 'bad', args: undefined },
      behaviour: { init: () => Promise.reject(new Error('no luck')), handle: () => {} },
    }
    const tree = supervisor({ id: 'root', strategy: 'one_for_one', children: [recorder.worker('a'), bad] })
    await assert.rejects(recorder.system.start(tree), /no luck/)
    assert.deepEqual(recorder.log, ['+a', '-a'])
  })

  it('stops a tree from its last leaf to its root', async () => {
    const branch = (id: string, children: ChildSpec<never>[]) =>
      supervisor({ id, strategy: 'one_for_all', children }) as ChildSpec<never>
    const leaf = (id: string) => recorder.worker(id) as unknown as ChildSpec<never>
    await recorder.system.start(
      branch('root', [branch('s', [leaf('a'), branch('t', [leaf('b'), leaf('c')])]), leaf('d')]),
    )
    await recorder.system.stop()
    assert.deepEqual(recorder.log, ['+a', '+b', '+c', '+d', '-d', '-c', '-b', '-a'])
  })

  it('does not wait longer than it must for who does not stop', async () => {
    let begun = () => {}
    const inTerminate = new Promise<void>((resolve) => (begun = resolve))
    const stuck: ChildSpec<undefined> = {
      ...{ id: 'stuck', args: undefined, shutdownMs: 700 },
      behaviour: {
        init: () => null,
        handle: () => {},
        terminate: () => {
          begun()
          return new Promise<void>(() => {})
        },
      },
    }
    await recorder.system.start(
      supervisor({ id: 'root', strategy: 'one_for_one', children: [recorder.worker('a'), stuck] }),
    )
    const stopped = recorder.system.stop()
    await inTerminate
    await settle()
    assert.deepEqual(recorder.log, ['+a'])
    recorder.clock.advance(700)
    await stopped
    assert.deepEqual(recorder.log, ['+a', '-a'])
  })

  it('asks anew for a list of children whenever it is started', async () => {
    const ids = ['a']
    const children = () => ids.map((id) => recorder.worker(id))
    await recorder.system.start(supervisor({ id: 'root', strategy: 'one_for_one', children }))
    ids.push('b')
    await recorder.system.kill('root')
    await settle(40)
    assert.ok(recorder.alive('a') && recorder.alive('b'))
  })

  it('keeps thousands of children of one kind, and restarts one of them alone', async () => {
    const supervisorRef = await recorder.empty()
    for (let i = 0; i < 3000; i++) await startChild(supervisorRef, recorder.worker(`k${i}`))
    recorder.log = []
    recorder.of('k1500').cast({ type: 'crash' })
    await settle()
    assert.deepEqual(recorder.log, ['-k1500', '+k1500'])
    assert.ok(await stopChild(supervisorRef, 'k2999'))
    assert.equal(recorder.system.inspect().children.length, 2999)
  })

  it('does not start a child again that is stopped while it backs off', async () => {
    const supervisorRef = await recorder.empty()
    await startChild(supervisorRef, recorder.worker('a', { backoff: { minMs: 100, maxMs: 100 } }))
    recorder.of('a').cast({ type: 'crash' })
    await settle()
    assert.ok(await stopChild(supervisorRef, 'a'))
    recorder.clock.advance(1000)
    await settle()
    assert.deepEqual(recorder.log, ['+a', '-a'])
    assert.deepEqual(recorder.system.inspect().children, [])
  })

  it('law: any sequence of ends starts and stops exactly what a small model says, in its order', async () => {
    // Temporary children stand under one_for_one only: what becomes of them in a group is a law of its own.
    const child = (restarts: Restart[]) => fc.constantFrom(...restarts)
    const tree = fc.constantFrom(...STRATEGIES).chain((strategy) =>
      fc.record({
        strategy: fc.constant(strategy),
        restarts: fc.array(child(strategy === 'one_for_one' ? RESTARTS : ['permanent', 'transient']), {
          minLength: 1,
          maxLength: 5,
        }),
      }),
    )
    const ends = fc.array(fc.tuple(fc.nat(4), fc.constantFrom(...ENDS)), { maxLength: 10 })
    await fc.assert(
      fc.asyncProperty(tree, ends, async ({ strategy, restarts }, sequence) => {
        const own = new Recorder()
        let ids = restarts.map((_restart, i) => `c${i}`)
        const kinds = new Map(ids.map((id, i) => [id, restarts[i]]))
        const children = ids.map((id) => own.worker(id, { restart: kinds.get(id) }))
        await own.system.start(supervisor({ id: 'root', strategy, intensity: MANY, children }))
        const expected = ids.map((id) => `+${id}`)
        for (const [index, end] of sequence) {
          const id = `c${index % restarts.length}`
          if (!ids.includes(id)) continue
          await finish(own, id, end)
          const group = affected(strategy, ids, id)
          expected.push(`-${id}`)
          if (isStartedAgain(kinds.get(id)!, end)) {
            expected.push(
              ...group
                .filter((other) => other !== id)
                .reverse()
                .map((other) => `-${other}`),
            )
            expected.push(...group.map((other) => `+${other}`))
          } else ids = ids.filter((other) => other !== id)
        }
        const alive = own.system.inspect().children.map(({ id, status }) => `${id} ${status}`)
        const { log } = own
        await own.system.stop()
        assert.deepEqual(log.slice(0, expected.length), expected)
        assert.equal(log.length, expected.length + ids.length)
        assert.deepEqual(
          alive.sort(),
          ids.map((id) => `${id} running`),
        )
      }),
      { numRuns: 60 },
    )
  })
})
