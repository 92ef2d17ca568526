// A thread that serves a kernel session with a file system in memory, as a volume thread does. Told what to do by messages:
// `{ ring }` answers the same, `{ crash }` has the next operation on a name throw, `{ hang }` has the next one never return.

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { PENDING } from '../../lib/fuse/file-system.js'
import { KernelLoop } from '../../lib/fuse/kernel-loop.js'
import type { ServeOptions } from '../../lib/fuse/options.js'
import type { KernelSession } from '../../lib/fuse/session.js'
import { MemoryFileSystem } from './memory-file-system.js'

const { session, options, port, pendingFsync } = workerData as {
  session: KernelSession
  options: Partial<ServeOptions>
  port: MessagePort
  pendingFsync?: boolean
}

const fs = new MemoryFileSystem()
const errors: string[] = []
const loop = new KernelLoop(
  session,
  fs,
  {
    onDoorbell() {
      for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) handle(got.message)
    },
    onError: (error) => errors.push(error.message),
  },
  options,
)

const lookup = fs.lookup.bind(fs)

function handle(message: { ring?: unknown; crash?: boolean; hang?: boolean; stop?: boolean; hold?: boolean }): void {
  if (message.stop) loop.stop()
  if (message.hold) loop.hold()
  if (message.crash || message.hang)
    fs.lookup = (...args) => {
      fs.lookup = lookup
      if (message.crash) throw new Error('The file system broke')
      parentPort!.postMessage({ hanging: true })
      for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
      return lookup(...args)
    }
  if (message.ring !== undefined)
    port.postMessage({ ring: message.ring, errors, nodes: fs.nodes.size, handles: fs.openHandles })
}

if (pendingFsync)
  fs.fsync = () => {
    const unique = loop.request.unique
    loop.hold()
    setTimeout(() => {
      loop.release()
      loop.complete(unique, 0)
    }, 10)
    return PENDING as never
  }

loop.run().then(
  (end) => parentPort!.postMessage({ end }),
  (error) => parentPort!.postMessage({ failed: (error as Error).message }),
)
