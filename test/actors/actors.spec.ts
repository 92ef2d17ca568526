import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  type ActorNode,
  type ActorRef,
  ActorSystem,
  type Behaviour,
  type ChildSpec,
  type Reply,
  type Strategy,
  type SupervisorMessage,
  startChild,
  stopChild,
  supervisor,
} from '../../lib/actors/index.js'
import { ManualClock, settle } from '../support/manual-clock.js'

type Message =
  | { type: 'crash' }
  | { type: 'leave' }
  | { type: 'count'; reply: Reply<number> }
  | { type: 'never'; reply: Reply<number> }
  | { type: 'wait'; until: Promise<void> }

describe('Actors', () => {
  let clock: ManualClock
  let log: string[]
  let system: ActorSystem

  beforeEach(() => {
    clock = new ManualClock()
    log = []
    system = new ActorSystem({ clock })
  })

  afterEach(() => system.stop())

  const counter: Behaviour<number, Message, string> = {
    init: (_context, id) => {
      log.push(`init ${id}`)
      return 0
    },
    async handle(state, message, context) {
      if (message.type === 'crash') throw new Error('boom')
      if (message.type === 'leave') context.exit()
      if (message.type === 'count') message.reply(state + 1)
      if (message.type === 'wait') await message.until
      return state + 1
    },
    terminate: (_state, reason) => {
      log.push(`end`)
      void reason
    },
    summarize: (state) => ({ count: state }),
  }
  const worker = (id: string, more: Partial<ChildSpec<string>> = {}): ChildSpec<string> => ({
    id,
    name: id,
    behaviour: counter,
    args: id,
    ...more,
  })
  const of = (name: string) => system.whereis<Message>(name) as ActorRef<Message>
  const count = (name: string) => of(name).call<number>((reply) => ({ type: 'count', reply }))
  const root = (strategy: Strategy, children: ChildSpec<string>[], intensity = { restarts: 3, windowMs: 1000 }) =>
    supervisor({ id: 'root', name: 'root', strategy, intensity, children })

  it('handle messages in order, one at a time, also when a handler waits', async () => {
    await system.start(root('one_for_one', [worker('a')]))
    let release = () => {}
    of('a').cast({ type: 'wait', until: new Promise((resolve) => (release = resolve)) })
    const counted = count('a')
    await settle()
    assert.equal(system.inspect().children[0].mailbox, 1)
    release()
    assert.equal(await counted, 2)
  })

  it('fail a call at once when the callee dies', async () => {
    await system.start(root('one_for_one', [worker('a')]))
    const call = of('a').call<number>((reply) => ({ type: 'never', reply }), 1e9)
    of('a').cast({ type: 'crash' })
    await assert.rejects(call, { name: 'ActorDownError' })
  })

  it('fail a call in time', async () => {
    await system.start(root('one_for_one', [worker('a')]))
    const call = of('a').call<number>((reply) => ({ type: 'never', reply }), 500)
    const rejected = assert.rejects(call, { name: 'CallTimeoutError' })
    clock.advance(499)
    clock.advance(1)
    await rejected
  })

  it('are not reached by a reference to an earlier life', async () => {
    await system.start(root('one_for_one', [worker('a')]))
    const old = of('a')
    old.cast({ type: 'crash' })
    await settle()
    assert.equal(old.alive, false)
    assert.equal(old.cast({ type: 'crash' }), false)
    await assert.rejects(
      old.call((reply) => ({ type: 'never', reply })),
      { name: 'ActorDownError' },
    )
    assert.equal(await count('a'), 1)
  })

  it('refuse messages beyond the bound, or drop the oldest', async () => {
    await system.start(
      root('one_for_one', [
        worker('a', { mailbox: { limit: 2, overflow: 'reject' } }),
        worker('b', { mailbox: { limit: 2, overflow: 'drop-oldest' } }),
      ]),
    )
    for (const name of ['a', 'b']) {
      let release = () => {}
      of(name).cast({ type: 'wait', until: new Promise((resolve) => (release = resolve)) })
      await settle()
      const casts = [1, 2, 3].map(() => of(name).cast({ type: 'leave' }))
      assert.deepEqual(casts, name === 'a' ? [true, true, false] : [true, true, true])
      if (name === 'a') await assert.rejects(count('a'), { name: 'MailboxFullError' })
      release()
    }
  })

  it('hear of the end of what they monitor, also when it has ended already', async () => {
    const downs: string[] = []
    const watcher: Behaviour<null, ActorRef<never>> = {
      init: () => null,
      handle: (_state, ref, context) => void context.monitor(ref),
      onDown: (_state, down) => void downs.push(`${down.ref.path} ${down.reason.kind}`),
    }
    await system.start(
      supervisor({
        id: 'root',
        strategy: 'one_for_one',
        children: [worker('a'), { id: 'w', name: 'w', behaviour: watcher, args: undefined }],
      }),
    )
    const a = of('a')
    system.whereis<ActorRef<never>>('w')?.cast(a as unknown as ActorRef<never>)
    await settle()
    a.cast({ type: 'crash' })
    await settle()
    system.whereis<ActorRef<never>>('w')?.cast(a as unknown as ActorRef<never>)
    await settle()
    assert.deepEqual(downs, ['root/a crash', 'root/a crash'])
  })

  it('are stopped children first and in reverse order', async () => {
    await system.start(
      supervisor({
        id: 'root',
        strategy: 'one_for_one',
        children: [supervisor({ id: 's', strategy: 'one_for_one', children: [named('x'), named('y')] }), named('z')],
      }),
    )
    await system.stop()
    assert.deepEqual(log, ['start x', 'start y', 'start z', 'stop z', 'stop y', 'stop x'])
  })

  const named = (id: string): ChildSpec<string> => ({
    id,
    args: id,
    behaviour: {
      init: () => void log.push(`start ${id}`),
      handle: () => {},
      terminate: () => void log.push(`stop ${id}`),
    } as Behaviour<void, never, string>,
  })

  describe('under a supervisor', () => {
    const restarted: Record<Strategy, string[]> = {
      one_for_one: ['init b'],
      one_for_all: ['init a', 'init b', 'init c'],
      rest_for_one: ['init b', 'init c'],
    }
    for (const strategy of Object.keys(restarted) as Strategy[])
      it(`${strategy}: start again ${restarted[strategy].join(', ')} when b crashes`, async () => {
        await system.start(root(strategy, [worker('a'), worker('b'), worker('c')]))
        log.length = 0
        of('b').cast({ type: 'crash' })
        await settle(30)
        assert.deepEqual(
          log.filter((l) => l.startsWith('init')),
          restarted[strategy],
        )
        for (const name of ['a', 'b', 'c']) assert.equal(await count(name), 1)
      })

    for (const [restart, after] of [
      ['permanent', [true, true, true]],
      ['transient', [true, false, true]],
      ['temporary', [false, false, false]],
    ] as const)
      it(`${restart}: alive again after crash, normal end, kill: ${after.join(', ')}`, async () => {
        const alive: boolean[] = []
        for (const how of ['crash', 'leave', 'kill'] as const) {
          const own = new ActorSystem({ clock })
          await own.start(supervisor({ id: 'root', strategy: 'one_for_one', children: [worker('a', { restart })] }))
          if (how === 'kill') await own.kill('root/a')
          else own.whereis<Message>('a')?.cast({ type: how })
          await settle()
          alive.push(own.whereis('a')?.alive ?? false)
          await own.stop()
        }
        assert.deepEqual(alive, after)
      })

    it('the supervisor gives up beyond its intensity, and the root is started again', async () => {
      await system.start(root('one_for_one', [worker('a')], { restarts: 2, windowMs: 1000 }))
      for (let i = 0; i < 2; i++) {
        of('a').cast({ type: 'crash' })
        await settle()
      }
      assert.equal(system.inspect().restarts, 0)
      of('a').cast({ type: 'crash' })
      await settle(30)
      assert.equal(system.inspect().restarts, 1)
      assert.equal(await count('a'), 1)
    })

    it('restarts that lie further apart than the window are not too many', async () => {
      await system.start(root('one_for_one', [worker('a')], { restarts: 1, windowMs: 1000 }))
      for (let i = 0; i < 5; i++) {
        of('a').cast({ type: 'crash' })
        await settle()
        clock.advance(1001)
      }
      assert.equal(system.inspect().restarts, 0)
      assert.equal(system.inspect().children[0].restarts, 5)
    })

    it('back-off delays restarts, doubles, and starts anew after a long life', async () => {
      await system.start(root('one_for_one', [worker('a', { backoff: { minMs: 100, maxMs: 400 } })]))
      const waits: number[] = []
      const crashAndWait = async () => {
        of('a').cast({ type: 'crash' })
        await settle()
        assert.equal(system.inspect().children[0].status, 'backing off')
        let waited = 0
        while (!system.whereis('a')) {
          clock.advance(50)
          waited += 50
          await settle()
        }
        waits.push(waited)
      }
      for (let i = 0; i < 4; i++) await crashAndWait()
      clock.advance(1000)
      await crashAndWait()
      assert.deepEqual(waits, [100, 200, 400, 400, 100])
    })

    it('children may come and go', async () => {
      await system.start(root('one_for_one', []))
      const sup = system.whereis<SupervisorMessage>('root') as ActorRef<SupervisorMessage>
      for (let i = 0; i < 500; i++) await startChild(sup, worker(`k${i}`))
      assert.equal(system.inspect().children.length, 500)
      await assert.rejects(startChild(sup, worker('k1')), { name: 'ActorNameError' })
      assert.equal(await stopChild(sup, 'k1'), true)
      assert.equal(await stopChild(sup, 'k1'), false)
      assert.equal(system.whereis('k1'), undefined)
      of('k2').cast({ type: 'crash' })
      await settle()
      assert.equal(await count('k2'), 1)
    })

    it('an init that fails is told to whoever started the child', async () => {
      await system.start(root('one_for_one', []))
      const sup = system.whereis<SupervisorMessage>('root') as ActorRef<SupervisorMessage>
      const bad = {
        id: 'bad',
        behaviour: {
          init: () => {
            throw new Error('no luck')
          },
          handle: () => {},
        } as Behaviour<void, never>,
        args: undefined,
      }
      await assert.rejects(startChild(sup, bad), /no luck/)
      assert.equal(system.inspect().children.length, 0)
    })

    it('any actor may be killed, the root included', async () => {
      await system.start(
        supervisor({
          id: 'root',
          strategy: 'one_for_one',
          children: [supervisor({ id: 's', strategy: 'one_for_one', children: [worker('a')] })],
        }),
      )
      for (const path of ['root/s/a', 'root/s', 'root']) {
        await system.kill(path)
        await settle(30)
        assert.equal(await count('a'), 1, path)
      }
      await assert.rejects(system.kill('root/nobody'), { name: 'ActorNameError' })
    })

    it('crashes are remembered with the message that caused them', async () => {
      await system.start(root('one_for_one', [worker('a')]))
      of('a').cast({ type: 'crash' })
      await settle()
      const node = system.inspect().children[0]
      assert.equal(node.lastCrash?.reason, 'Error: boom')
      assert.equal(node.lastCrash?.message, 'crash')
      assert.equal(node.restarts, 1)
      assert.deepEqual(node.summary, { count: 0 })
    })
  })

  it('law: after any crashes within the intensity, exactly the children of the spec live', async () => {
    const children = ['a', 'b', 'c', 'd']
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Strategy>('one_for_one', 'one_for_all', 'rest_for_one'),
        fc.array(fc.tuple(fc.constantFrom(...children), fc.constantFrom('crash', 'leave', 'kill')), { maxLength: 8 }),
        async (strategy, ends) => {
          const own = new ActorSystem({ clock })
          await own.start(
            supervisor({
              id: 'root',
              strategy,
              intensity: { restarts: 100, windowMs: 1000 },
              children: children.map((id) => worker(id)),
            }),
          )
          for (const [id, how] of ends) {
            if (how === 'kill') await own.kill(`root/${id}`).catch(() => {})
            else own.whereis<Message>(id)?.cast({ type: how as 'crash' | 'leave' })
            if (ends.length % 2) await settle(3)
          }
          await settle(60)
          const node = own.inspect()
          const shape = node.children.map((c: ActorNode) => `${c.id} ${c.status}`).sort()
          await own.stop()
          assert.deepEqual(
            shape,
            children.map((id) => `${id} running`),
          )
        },
      ),
      { numRuns: 60 },
    )
  })
})
