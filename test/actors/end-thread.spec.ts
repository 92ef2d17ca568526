import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { endThread } from '../../lib/actors/index.js'

const CODE = `
const { parentPort } = require('node:worker_threads')
parentPort.on('message', (message) => {
  if (message === 'leave') process.exit(7)
})
parentPort.postMessage('ready')
`

describe('The end of a thread', () => {
  async function started(): Promise<{ worker: Worker; code: Promise<number> }> {
    const worker = new Worker(CODE, { eval: true })
    const code = once(worker, 'exit').then(([number]) => number)
    await once(worker, 'message')
    return { worker, code }
  }

  it('is its own when it is asked', async () => {
    const { worker, code } = await started()
    await endThread(worker, () => worker.postMessage('leave'))
    assert.equal(await code, 7)
  })

  it('is forced when it does not answer', async () => {
    const { worker, code } = await started()
    await endThread(worker, () => worker.postMessage('anything'), 10)
    assert.equal(await code, 1)
  })

  it('may have been before', async () => {
    const { worker, code } = await started()
    worker.postMessage('leave')
    await code
    await endThread(worker, () => assert.fail('asked'))
  })
})
