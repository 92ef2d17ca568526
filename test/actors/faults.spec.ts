import assert from 'node:assert/strict'
import {
  type ActorRef,
  ActorSystem,
  type Behaviour,
  type ChildSpec,
  type SupervisorMessage,
  startChild,
  supervisor,
  whenDown,
} from '../../lib/actors/index.js'
import { ManualClock, settle } from '../support/manual-clock.js'

type Message = { type: 'crash' } | { type: 'wait'; until: Promise<void> } | { type: 'watch'; ref: ActorRef<never> }

describe('Actors in trouble', () => {
  let clock: ManualClock
  let system: ActorSystem
  let started: string[]
  const downs: string[] = []

  beforeEach(() => {
    clock = new ManualClock()
    system = new ActorSystem({ clock })
    started = []
    downs.length = 0
  })
  afterEach(() => system.stop())

  const plain: Behaviour<null, Message, string> = {
    init: (_context, id) => {
      started.push(id)
      return null
    },
    async handle(_state, message, context) {
      if (message.type === 'crash') throw new Error('boom')
      if (message.type === 'wait') await message.until
      if (message.type === 'watch') context.monitor(message.ref)
    },
    onDown: (_state, { ref }) => void downs.push(ref.path),
  }
  const child = (id: string, more: Partial<ChildSpec<string>> = {}): ChildSpec<string> => ({
    ...{ id, name: id, behaviour: plain, args: id },
    ...more,
  })
  const of = (name: string) => system.whereis<Message>(name) as ActorRef<Message>

  for (const overflow of ['reject', 'drop-oldest'] as const)
    it(`hear of an end although their mailbox is full (${overflow})`, async () => {
      const watcher = child('w', { mailbox: { limit: 1, overflow } })
      await system.start(supervisor({ id: 'root', strategy: 'one_for_one', children: [child('a'), watcher] }))
      of('w').cast({ type: 'watch', ref: of('a') })
      await settle()
      let release = () => {}
      const until = new Promise<void>((resolve) => (release = resolve))
      of('w').cast({ type: 'wait', until })
      await settle()
      of('w').cast({ type: 'wait', until })
      of('a').cast({ type: 'crash' })
      await settle()
      of('w').cast({ type: 'wait', until })
      release()
      await settle()
      assert.deepEqual(downs, ['root/a'])
    })

  it('that hang in init do not hold up their supervisor for ever once killed', async () => {
    const hanging: Behaviour<null, never> = { init: () => new Promise<null>(() => {}), handle: () => {} }
    await system.start(supervisor({ id: 'root', name: 'root', strategy: 'one_for_one', children: [child('a')] }))
    const root = system.whereis<SupervisorMessage>('root') as ActorRef<SupervisorMessage>
    const start = startChild(root, { id: 'h', behaviour: hanging, args: undefined })
    const refused = assert.rejects(start, { name: 'ActorDownError' })
    await settle()
    await system.kill('root/h')
    await refused
    of('a').cast({ type: 'crash' })
    await settle()
    assert.ok(of('a').alive)
  })

  it('that are temporary are not started again with their siblings', async () => {
    const children = [child('a'), child('b', { restart: 'temporary' }), child('c')]
    await system.start(supervisor({ id: 'root', strategy: 'one_for_all', children }))
    of('a').cast({ type: 'crash' })
    await settle(30)
    assert.deepEqual(started, ['a', 'b', 'c', 'a', 'c'])
  })

  it('with back-off that fail to start among siblings wait, and do not count as intensity', async () => {
    let fails = false
    const moody: Behaviour<null, Message> = {
      init: () => {
        if (fails) throw new Error('not yet')
        return null
      },
      handle: () => {},
    }
    const waiting = { id: 'm', name: 'm', behaviour: moody, args: undefined, backoff: { minMs: 100, maxMs: 100 } }
    const children = [child('a'), waiting, child('z')]
    await system.start(
      supervisor({ id: 'root', strategy: 'one_for_all', intensity: { restarts: 2, windowMs: 1e6 }, children }),
    )
    fails = true
    of('a').cast({ type: 'crash' })
    await settle(40)
    assert.equal(system.inspect().restarts, 0)
    assert.ok(of('a').alive)
    fails = false
    clock.advance(100)
    await settle(40)
    for (const name of ['a', 'm', 'z']) assert.ok(of(name)?.alive, name)
  })

  it('are ended and restarted although a listener throws', async () => {
    const careless = new ActorSystem(
      { clock },
      {
        onCrash() {
          throw new Error('careless log')
        },
      },
    )
    careless.onChange(() => {
      throw new Error('careless listener')
    })
    await careless.start(supervisor({ id: 'root', strategy: 'one_for_one', children: [child('a')] }))
    const first = careless.whereis<Message>('a') as ActorRef<Message>
    whenDown(first, () => {
      throw new Error('careless watcher')
    })
    const unhandled: unknown[] = []
    const note = (error: unknown) => void unhandled.push(error)
    const before = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', note)
    first.cast({ type: 'crash' })
    await settle()
    process.removeAllListeners('unhandledRejection')
    for (const listener of before) process.on('unhandledRejection', listener)
    assert.deepEqual(unhandled, [])
    assert.ok(careless.whereis('a')?.alive)
    await careless.stop()
  })
})
