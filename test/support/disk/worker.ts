// The thread that serves a recorded disk, so that the thread under test may block in system calls. Not a spec.

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { KernelLoop } from '../../../lib/fuse/kernel-loop.js'
import type { KernelSession } from '../../../lib/fuse/session.js'
import { FailingFileSystem } from './failing-file-system.js'
import { RecordingFileSystem } from './recording-file-system.js'

export interface DiskThreadData {
  session: KernelSession
  port: MessagePort
  /** It fails when it is told to, and records nothing. */
  fails: boolean
}

const { session, port, fails } = workerData as DiskThreadData
const fs = fails ? new FailingFileSystem() : new RecordingFileSystem()
const loop = new KernelLoop(
  session,
  fs,
  {
    onIdle: () => -1,
    onDoorbell() {
      for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) {
        if (got.message === 'stop') loop.stop()
        else if (fs instanceof FailingFileSystem) port.postMessage(fs.counted)
        else {
          port.postMessage(fs.log)
          fs.log = []
        }
      }
    },
    onError: (error) => console.error(error),
  },
  // Writes go through the page cache, so that LMDB's mapping shows them.
  { directWrites: false },
)
loop.run().then(
  () => parentPort!.postMessage('ended'),
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
