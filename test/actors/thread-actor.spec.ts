import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import {
  type ActorRef,
  type SupervisorMessage,
  startChild,
  stopChild,
  type ThreadInit,
  threadActor,
} from '../../lib/actors/index.js'
import { settle } from '../support/manual-clock.js'
import { Recorder } from './support.js'

/** Says it is ready, echoes, and ends as it is told. */
const CODE = `
const { parentPort } = require('node:worker_threads')
parentPort.on('message', (message) => {
  if (message === 'throw') throw new Error('boom in the thread')
  if (message === 'exit') process.exit(3)
  if (message === 'finish') return parentPort.close()
  parentPort.postMessage({ echo: message })
})
parentPort.postMessage('ready')
`

describe('A thread as an actor', () => {
  let recorder: Recorder
  let root: ActorRef<SupervisorMessage>
  let workers: Worker[]
  let ended: string[]

  beforeEach(async () => {
    recorder = new Recorder()
    root = await recorder.empty()
    workers = []
    ended = []
  })
  afterEach(() => recorder.system.stop())

  const threadInit = (more: Partial<ThreadInit> = {}): ThreadInit => ({
    spawn() {
      const worker = new Worker(CODE, { eval: true })
      workers.push(worker)
      return worker
    },
    started: async (worker) => void (await once(worker, 'message')),
    ended: (reason) => void ended.push(reason),
    ...more,
  })
  const start = (more: Partial<ThreadInit> = {}) =>
    startChild(root, { id: 't', name: 't', behaviour: threadActor, args: threadInit(more) })
  const again = async (count: number) => {
    while (
      workers.length < count ||
      !recorder.alive('t') ||
      recorder.system.inspect().children[0]?.status !== 'running'
    )
      await settle(1)
  }

  it('is started when the thread may be spoken to', async () => {
    await start()
    workers[0].postMessage('hello')
    assert.deepEqual(await once(workers[0], 'message'), [{ echo: 'hello' }])
    const [node] = recorder.system.inspect().children
    assert.equal(node.kind, 'thread')
    assert.equal(node.summary.thread, workers[0].threadId)
  })

  for (const [how, cause] of [
    ['throw', /boom in the thread/],
    ['exit', /exit code 3/],
  ] as const)
    it(`crashes when the thread does (${how}), and both start again`, async () => {
      await start()
      workers[0].postMessage(how)
      await again(2)
      const [node] = recorder.system.inspect().children
      assert.match(node.lastCrash?.reason ?? '', cause)
      assert.equal(node.restarts, 1)
      assert.deepEqual(ended, ['crash'])
      workers[1].postMessage('you?')
      assert.deepEqual(await once(workers[1], 'message'), [{ echo: 'you?' }])
    })

  it('takes the thread with it when it is killed, and both start again', async () => {
    await start()
    const gone = once(workers[0], 'exit')
    await recorder.system.kill('root/t')
    await gone
    await again(2)
    assert.deepEqual(ended, ['killed'])
  })

  it('lets the thread finish when it is stopped, once', async () => {
    await start({
      async finish(worker) {
        const gone = once(worker, 'exit')
        worker.postMessage('finish')
        ended.push(`exit ${(await gone)[0]}`)
      },
    })
    await stopChild(root, 't')
    assert.deepEqual(ended, ['exit 0', 'shutdown'])
    assert.equal(workers.length, 1)
  })

  it('fails to start when the thread cannot, and leaves no thread', async () => {
    let gone: Promise<unknown> | undefined
    const refuse = start({
      started(worker) {
        gone = once(worker, 'exit')
        return Promise.reject(new Error('unfit'))
      },
    })
    await assert.rejects(refuse, /unfit/)
    await gone
    assert.equal(ended.length, 1)
  })

  it('fails to start when the thread dies before it may be spoken to', async () => {
    const dying = start({
      started(worker) {
        worker.postMessage('exit')
        return new Promise<void>(() => {})
      },
    })
    await assert.rejects(dying, /exit code 3/)
  })
})
