import assert from 'node:assert/strict'
import { type ActorRef, type Behaviour, type Reply, startChild } from '../../lib/actors/index.js'
import { settle } from '../support/manual-clock.js'
import { held, Recorder } from './support.js'

describe('What an actor is given', () => {
  let recorder: Recorder

  beforeEach(() => {
    recorder = new Recorder()
  })
  afterEach(() => recorder.system.stop())

  const started = async (id = 'a') => {
    const root = await recorder.empty()
    await startChild(root, recorder.worker(id))
    return recorder.of(id)
  }
  const advance = async (ms: number) => {
    recorder.clock.advance(ms)
    await settle()
  }

  it('a timer rings once, in time', async () => {
    const a = await started()
    a.cast({ type: 'after', ms: 100 })
    await settle()
    await advance(99)
    assert.equal(await recorder.ticks('a'), 0)
    await advance(1)
    await advance(1000)
    assert.equal(await recorder.ticks('a'), 1)
  })

  it('a repeated timer rings until it is cancelled', async () => {
    const a = await started()
    a.cast({ type: 'every', ms: 100 })
    await settle()
    await advance(350)
    assert.equal(await recorder.ticks('a'), 3)
    a.cast({ type: 'cancel' })
    await settle()
    await advance(1000)
    assert.equal(await recorder.ticks('a'), 3)
  })

  it('timers die with the actor: its next life does not hear them', async () => {
    const a = await started()
    a.cast({ type: 'every', ms: 100 })
    await settle()
    a.cast({ type: 'crash' })
    await settle()
    assert.notEqual(recorder.of('a'), a)
    await advance(1000)
    assert.equal(await recorder.ticks('a'), 0)
  })

  it('a signal that is aborted however the actor ends', async () => {
    const root = await recorder.empty()
    for (const end of ['crash', 'leave', 'kill', 'stop'] as const) {
      const { promise, resolve } = held()
      const behaviour: Behaviour<null, typeof end> = {
        init: ({ signal }) => {
          signal.addEventListener('abort', () => resolve())
          return null
        },
        handle: (_state, message, context) => context.exit(message === 'crash' ? new Error('boom') : undefined),
      }
      const spec = { id: end, behaviour, args: undefined, restart: 'temporary' as const }
      const ref = (await startChild<typeof end, undefined>(root, spec))!
      if (end === 'kill') await recorder.system.kill(ref.path)
      else if (end === 'stop') await recorder.system.stop()
      else ref.cast(end)
      await promise
      await settle()
      assert.equal(ref.alive, false)
    }
  })

  it('a kill does not wait for the handler in flight, and what that does later changes nothing', async () => {
    const root = await recorder.empty()
    const gate = held()
    const behaviour: Behaviour<number, Reply<number> | 'hold'> = {
      init: () => 0,
      async handle(state, message) {
        if (message !== 'hold') return message(state)
        await gate.promise
        throw new Error('too late')
      },
    }
    const spec = { id: 'h', name: 'h', behaviour, args: undefined }
    const first = (await startChild<Reply<number> | 'hold', undefined>(root, spec))!
    first.cast('hold')
    await settle()
    await recorder.system.kill('root/h')
    await settle()
    gate.resolve()
    await settle()
    const second = recorder.system.whereis<Reply<number> | 'hold'>('h')!
    assert.equal(await second.call<number>((reply) => reply), 0)
    assert.deepEqual(recorder.crashes, ['root/h'])
  })

  it('a stop waits for the handler in flight', async () => {
    const root = await recorder.empty()
    const gate = held()
    const order: string[] = []
    const behaviour: Behaviour<null, 'hold'> = {
      init: () => null,
      async handle() {
        await gate.promise
        order.push('handled')
      },
      terminate: () => void order.push('terminated'),
    }
    const ref = (await startChild<'hold', undefined>(root, { id: 'h', behaviour, args: undefined }))!
    ref.cast('hold')
    await settle()
    const stopped = recorder.system.stop()
    await settle()
    assert.deepEqual(order, [])
    gate.resolve()
    await stopped
    assert.deepEqual(order, ['handled', 'terminated'])
  })

  it('a way to fail a call without crashing', async () => {
    const root = await recorder.empty()
    const behaviour: Behaviour<null, Reply<never>> = {
      init: () => null,
      handle: (_state, reply) => reply.fail(new RangeError('not that')),
    }
    const ref = (await startChild<Reply<never>, undefined>(root, { id: 'f', behaviour, args: undefined }))!
    await assert.rejects(
      ref.call<never>((reply) => reply),
      RangeError,
    )
    assert.equal(ref.alive, true)
  })

  it('a name that is its own alone while it lives', async () => {
    const root = await recorder.empty()
    await startChild(root, recorder.worker('a'))
    await assert.rejects(startChild(root, recorder.worker('b', { name: 'a' })), { name: 'ActorNameError' })
    const first: ActorRef<never> = recorder.of('a')
    await recorder.system.kill(first.path)
    await settle()
    assert.notEqual(recorder.of('a'), first)
  })

  it('an error in terminate is noted, and ends nothing else', async () => {
    const root = await recorder.empty()
    const behaviour: Behaviour<null, never> = {
      init: () => null,
      handle: () => {},
      terminate: () => Promise.reject(new Error('cannot let go')),
    }
    await startChild(root, { id: 't', behaviour, args: undefined })
    await recorder.system.kill('root/t')
    await settle()
    assert.deepEqual(recorder.crashes, ['root/t', 'root/t'])
    assert.equal(recorder.system.inspect().children[0].status, 'running')
  })

  it('an inspection that is plain JSON, with the last sixteen messages and crashes of before', async () => {
    const a = await started()
    a.cast({ type: 'crash' })
    await settle()
    for (let i = 0; i < 40; i++) recorder.of('a').cast({ type: 'tick' })
    await settle(50)
    const tree = recorder.system.inspect()
    const [node] = tree.children
    assert.deepEqual(JSON.parse(JSON.stringify(tree)).children[0].path, 'root/a')
    assert.equal(node.messages, 40)
    assert.equal(node.recent.length, 16)
    assert.ok(node.recent.every(({ type }) => type === 'tick'))
    assert.equal(node.restarts, 1)
    assert.equal(node.lastCrash?.message, 'crash')
    assert.ok((node.lastCrash?.stack?.length ?? 0) <= 4000)
  })
})
