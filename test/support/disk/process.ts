// The process that serves a recorded disk. It has to be another one than the one under test: a thread that waits for a page of a
// mapping holds what any other thread of its process needs to map memory, so both would wait for ever. Not a spec.

import { MessageChannel, Worker } from 'node:worker_threads'
import { kernelDriver } from '../../../lib/fuse/kernel-driver.js'
import { type KernelSession, ring } from '../../../lib/fuse/session.js'
import type { DiskThreadData } from './worker.js'

const { port1, port2 } = new MessageChannel()
let session: KernelSession
let worker: Worker
const mounted = await kernelDriver.mount({
  mountPoint: process.argv[2],
  fileSystem: undefined as never,
  async serve(given) {
    session = given
    const workerData: DiskThreadData = { session, port: port2, fails: process.argv[3] === 'fails' }
    worker = new Worker(new URL('./worker.js', import.meta.url), { workerData, transferList: [port2] })
  },
})

function tell(message: 'log' | 'stop'): void {
  port1.postMessage(message)
  ring(session)
}

async function leave(): Promise<void> {
  await mounted.unmount()
  tell('stop')
  await worker.terminate()
  await mounted.close()
  process.exit(0)
}

port1.on('message', (log) => process.send!(log))
process.on('message', (message) => (message === 'log' ? tell('log') : void leave()))
process.on('disconnect', () => void leave())
process.send!('mounted')
