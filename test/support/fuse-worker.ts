// A thread that serves a kernel session with a file system in memory, as a volume thread does. Told what to do by messages
// and the doorbell: see `handle`. Dies, hangs and delays on request.

import { openSync } from 'node:fs'
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { type Created, type FileSystem, type Opened, PENDING } from '../../lib/fuse/file-system.js'
import { KernelLoop } from '../../lib/fuse/kernel-loop.js'
import type { ServeOptions } from '../../lib/fuse/options.js'
import { type KernelSession, ring } from '../../lib/fuse/session.js'
import { MemoryFileSystem } from './memory-file-system.js'

export interface ThreadData {
  session: KernelSession
  options: Partial<ServeOptions>
  port: MessagePort
  /** How fsync is answered: at once, after a timer of this thread, or never. */
  fsync?: 'later' | 'never'
  /** A file to answer opens with, for pass-through. */
  backing?: string
}

export interface ThreadMessage {
  /** Answered with the state of the thread. */
  ask?: unknown
  /** Serving ends. */
  stop?: boolean
  /** The next lookup throws, or never returns. */
  crash?: boolean
  hang?: boolean
  /** To be answered later, by a promise, after one more ring. */
  late?: boolean
  /** Calls a method of the file system as root, underneath the mount. */
  call?: [keyof FileSystem, ...unknown[]]
}

const { session, options, port, fsync, backing } = workerData as ThreadData
const fs = new MemoryFileSystem()
const errors: string[] = []
let idles = 0
let late: ThreadMessage | undefined
const loop = new KernelLoop(
  session,
  fs,
  {
    onIdle: () => {
      idles++
      return -1
    },
    onDoorbell() {
      const message = late
      late = undefined
      if (message) void Promise.resolve().then(() => handle(message))
      for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) handle(got.message)
    },
    onError: (error) => errors.push(error.message),
  },
  options,
)

function handle(message: ThreadMessage): void {
  if (message.stop) loop.stop()
  if (message.late) return ringLater({ ...message, late: false })
  if (message.crash) breakNextLookup(() => raise())
  if (message.hang) breakNextLookup(() => hang())
  const result = message.call && call(...message.call)
  if (message.ask !== undefined)
    port.postMessage({ ask: message.ask, result, errors, idles, nodes: fs.nodes.size, handles: fs.openHandles })
}

/** Told by a ring in the thread's next turn, and answered by a promise. */
function ringLater(message: ThreadMessage): void {
  setImmediate(() => {
    late = message
    ring(session)
  })
}

function breakNextLookup(how: () => number): void {
  const lookup = fs.lookup.bind(fs)
  fs.lookup = () => {
    fs.lookup = lookup
    return how()
  }
}

function raise(): number {
  throw new Error('The file system broke')
}

function hang(): number {
  parentPort!.postMessage({ hanging: true })
  return Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) === 'ok' ? 0 : -1
}

function call(method: keyof FileSystem, ...args: unknown[]): unknown {
  const given = args.map((a) => (a instanceof Uint8Array ? Buffer.from(a) : a))
  const caller = { uid: 0, gid: 0, pid: 0 }
  const result = (fs[method] as (...args: unknown[]) => unknown).call(fs, caller, ...given)
  if (typeof result !== 'object' || result === null) return result
  return { ino: (result as { ino?: number }).ino, handle: (result as { handle?: number }).handle }
}

if (fsync)
  (fs as FileSystem).fsync = () => {
    const { unique } = loop.request
    if (fsync === 'never') {
      parentPort!.postMessage({ hanging: true })
      return PENDING
    }
    loop.hold()
    setTimeout(() => {
      loop.release()
      loop.complete(unique, 0)
    }, 10)
    return PENDING
  }

if (backing !== undefined) {
  const { open, create } = fs
  const descriptor = openSync(backing, 'r+')
  fs.open = (...args) => withBacking(open.apply(fs, args))
  fs.create = (...args) => withBacking(create.apply(fs, args))
  function withBacking<T extends Opened | Created>(opened: T | number): T | number {
    if (typeof opened !== 'number') opened.backing = descriptor
    return opened
  }
}

loop.run().then(
  (end) => parentPort!.postMessage({ end }),
  (error) => parentPort!.postMessage({ failed: (error as Error).message }),
)
