// Entry of a volume thread: opens the readers and the journal, serves the mount if there is one, answers what the main thread
// asks. Owns the thread; everything it knows is rebuilt from LMDB by the next one, should it die. Never waits for another thread,
// but slows down when the committer is far behind.

import { type MessagePort, parentPort, receiveMessageOnPort } from 'node:worker_threads'
import { toAsync } from '../../fuse/async-file-system.js'
import { type Attributes, NotYet } from '../../fuse/file-system.js'
import { KernelLoop } from '../../fuse/kernel-loop.js'
import type { ServeOptions } from '../../fuse/options.js'
import type { KernelSession } from '../../fuse/session.js'
import { duplicates } from '../../fuse/syscalls.js'
import { JournalWriter } from '../../store/journal.js'
import { VolumeLayout } from '../../store/layout.js'
import { StoreReader } from '../../store/tables.js'
import { HISTORY_BASE, HistoryNode } from '../history/nodes.js'
import { Engine, type MissingContent, MOMENT } from './engine.js'
import { ErrnoError } from './errno.js'
import { Inode } from './inode.js'
import type {
  EngineBegin,
  EngineData,
  EngineEnvelope,
  EngineEvent,
  EngineMessage,
  EngineRequest,
  Leave,
} from './messages.js'
import { SharedProgress } from './progress.js'

/** Milliseconds between two looks at open handles. */
const LOOK = 50

/** An operation waits for bytes from elsewhere: then 0 comes, or an errno. */
class Again {
  say!: (errno: number) => void
  readonly word = new Promise<number>((resolve) => {
    this.say = resolve
  })
}

class VolumeThread {
  readonly #port: MessagePort
  readonly #reader: StoreReader
  readonly #progress: SharedProgress
  readonly #engine: Engine
  readonly #options: Partial<ServeOptions>
  #loop: KernelLoop | undefined
  #ended: Promise<unknown> = Promise.resolve()
  /** An operation of the kernel's is being served, so that its answer may come later. */
  #inCall = false
  /** Operations asked for by `call` that wait for bytes, by numbers of their own, all below 0. */
  readonly #calls = new Map<bigint, Again>()
  #callNumber = 0n
  #lookedAt = 0
  #seen = -1
  #reported = '[]'
  #stopped = false
  #idleTimer: NodeJS.Timeout | undefined

  constructor(port: MessagePort, data: EngineData) {
    this.#port = port
    const layout = new VolumeLayout(data.directory)
    const report = (text: string) => this.#emit({ type: 'report', text })
    this.#reader = StoreReader.open(layout.db)
    const wake = () => this.#emit({ type: 'wake' })
    this.#progress = new SharedProgress({ shared: data.progress, wake, report })
    const journal = new JournalWriter({ directory: layout.journal, end: data.end, rotateAt: data.rotateAt })
    this.#engine = new Engine(
      {
        ...{ durable: this.#reader, journal, progress: this.#progress, report },
        packPath: (pack) => layout.pack(pack),
        spoolPath: (spool) => layout.spool(spool),
        onSealed: (sealed) => this.#emit({ type: 'sealed', ...sealed }),
        onSync: (work) => this.#onSync(work),
        onTidy: () => this.#onTidy(),
        onDamaged: (id) => this.#emit({ type: 'damaged', id }),
        onMissing: (missing) => this.#onMissing(missing),
        onReadOn: (content, offset) => this.#emit({ type: 'readOn', content, offset }),
      },
      { directory: data.directory, generation: data.generation },
    )
    this.#engine.devices.set(data.devices ?? [])
    this.#engine.partial = data.partial ?? false
    this.#engine.resume({ journal: layout.journal, from: this.#reader.meta('replayFrom'), end: data.end })
    this.#options = data.options ?? {}
    port.on('message', (message: EngineEnvelope | Leave) => this.#receive(message))
    if (data.session) this.#serve(data.session, this.#options)
    else this.#idleSoon()
    this.#emit({ type: 'ready' })
  }

  #emit(event: EngineEvent): void {
    this.#port.postMessage({ event } satisfies EngineMessage)
  }

  #onSync(work: { fds: number[]; directories: string[] }): boolean {
    if (!this.#loop || this.#inCall) return false
    // Ours may be closed before the main thread comes to it.
    const fds = duplicates(work.fds)
    if (!fds) return false
    this.#emit({ type: 'fsync', unique: this.#loop.request.unique, ...work, fds })
    return true
  }

  /** Told, to be served again. Not while messages are handled that are no operations. */
  #onMissing(missing: MissingContent): boolean {
    const unique = this.#inCall ? this.#callNumber : this.#loop?.request.unique
    if (!unique) return false
    // Before it is told: the word may come at once.
    if (this.#inCall) this.#calls.set(unique, new Again())
    this.#emit({ type: 'missing', unique, ...missing })
    return true
  }

  #again(unique: bigint, errno: number): undefined {
    const call = this.#calls.get(unique)
    if (call) {
      this.#calls.delete(unique)
      call.say(errno)
    } else if (errno < 0) this.#loop?.giveUp(unique, errno)
    else this.#loop?.again(unique)
    return undefined
  }

  #onTidy(): void {
    this.#progress.throttle(this.#engine.state.inodesInMemory)
    this.#look()
  }

  /** Handles that are open for longer than a moment, when they changed. Answers whether there are some too young to tell. */
  #look(): boolean {
    const now = performance.now()
    if (now - this.#lookedAt < LOOK) return true
    const { changes } = this.#engine
    const handles = this.#engine.handles()
    this.#lookedAt = now
    const young = changes !== this.#seen
    this.#seen = changes
    const text = JSON.stringify(handles)
    if (text !== this.#reported) {
      this.#reported = text
      this.#emit({ type: 'handles', handles })
    }
    return young
  }

  /** Answers when to be called again. */
  #onIdle(): number {
    this.#engine.idle()
    return this.#look() ? MOMENT : -1
  }

  /** Without a mount nothing happens but what is asked: some time after that is what is done when a loop is idle. */
  #idleSoon(): void {
    if (this.#loop || this.#stopped) return
    this.#idleTimer ??= setTimeout(() => {
      this.#idleTimer = undefined
      if (!this.#loop && !this.#stopped && this.#onIdle() >= 0) this.#idleSoon()
    }, LOOK)
  }

  #serve(session: KernelSession, options: Partial<ServeOptions>): void {
    const owner = {
      onIdle: () => this.#onIdle(),
      onDoorbell: () => this.#drain(),
      onError: (error: Error) => this.#emit({ type: 'report', text: `Mount: ${error.message}` }),
    }
    const loop = new KernelLoop(session, this.#engine.fileSystem, owner, {
      ...{ atomicTruncate: true, acls: true, exportable: true, volatileFrom: HISTORY_BASE },
      ...options,
    })
    this.#loop = loop
    this.#ended = loop.run().then((end) => {
      if (this.#loop === loop) this.#loop = undefined
      if (end === 'unmounted') this.#engine.mountGone()
      this.#engine.idle()
      if (end === 'unmounted') this.#emit({ type: 'unmounted' })
      this.#idleSoon()
    })
    // What ends the loop otherwise ends the thread: the next one starts afresh.
    this.#ended.catch((error) =>
      setImmediate(() => {
        throw error
      }),
    )
  }

  #drain(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port)
      if (!received) return
      this.#receive(received.message)
    }
  }

  #receive(message: EngineEnvelope | Leave): void {
    if ('leave' in message) process.exit(1)
    const { id, request } = message
    this.#idleSoon()
    if (request.type === 'stop') return void this.#stop(id)
    if (request.type === 'call') return void this.#call(id, request)
    try {
      this.#answer(id, this.#handle(request))
    } catch (error) {
      this.#fail(id, error)
    }
  }

  #answer(id: number, answer: unknown): void {
    this.#port.postMessage({ id, answer } satisfies EngineMessage)
  }

  #fail(id: number, error: unknown): void {
    const { name = 'Error', message = String(error), code = 'EIO' } = error as Error & { code?: string }
    this.#port.postMessage({ id, error: { name, code: String(code), message } } satisfies EngineMessage)
  }

  #handle(request: Exclude<EngineRequest, { type: 'stop' | 'call' }>): unknown {
    const engine = this.#engine
    switch (request.type) {
      case 'apply':
        return engine.applier.apply({ changes: request.changes })
      case 'restore': {
        const answer = engine.applier.restore(request.ino, request.live)
        if (!answer) throw new ErrnoError(-2, 'ENOENT', `There is no such file (inode ${request.ino})`)
        return answer
      }
      case 'revive':
        return engine.reviver.revive(request)
      case 'walk':
        return engine.reads.walk(request.names)
      case 'list':
        return engine.reads.list(request.ino)
      case 'path':
        return engine.reads.path(request.ino)
      case 'spoolCommitted':
        return engine.spoolCommitted(request.spool, request.content)
      case 'flush':
        return engine.flush()
      case 'devices':
        return engine.devices.set(request.devices)
      case 'status':
        return engine.status()
      case 'partial':
        engine.partial = request.partial
        return undefined
      case 'again':
        return this.#again(request.unique, request.errno)
      case 'lately':
        return engine.lately
      case 'packsGone':
        return engine.packsGone(request.packs)
      case 'mount':
        this.#loop?.stop()
        return void this.#ended.then(() => this.#serve(request.session, { ...this.#options, ...request.options }))
    }
  }

  async #call(id: number, { method, args }: { method: string; args: unknown[] }): Promise<void> {
    try {
      for (;;) {
        const result = await this.#callOnce(method, args)
        if (!(result instanceof Again)) return this.#answer(id, plain(result))
        const errno = await result.word
        if (errno < 0) return this.#answer(id, errno)
      }
    } catch (error) {
      this.#fail(id, error)
    }
  }

  /** The result, or whose word has to be waited for before it is tried again. */
  async #callOnce(method: string, args: unknown[]): Promise<unknown> {
    const unique = --this.#callNumber
    let again: Again | undefined
    this.#inCall = true
    try {
      const fileSystem = toAsync(this.#engine.fileSystem) as unknown as Record<string, (...args: unknown[]) => unknown>
      const result = fileSystem[method](...args.map(asBuffer))
      this.#inCall = false
      again = this.#calls.get(unique)
      return await result
    } catch (error) {
      if (!(error instanceof NotYet) || !again) throw error
      return again
    } finally {
      this.#inCall = false
    }
  }

  async #stop(id: number): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#idleTimer)
    this.#loop?.stop()
    try {
      await this.#ended
      this.#engine.idle()
      this.#look()
      this.#engine.close()
      await this.#reader.close()
      this.#answer(id, undefined)
    } catch (error) {
      this.#fail(id, error)
    }
    this.#port.close()
  }
}

/** Buffers become Uint8Arrays on their way between threads. */
function asBuffer(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length) : value
}

/** Inodes as what the driver reads of them; everything else may be posted as it is. */
function plain(value: unknown): unknown {
  if (value instanceof Inode || value instanceof HistoryNode) return attributesOf(value)
  if (Array.isArray(value)) return value.map(plain)
  if (value && typeof value === 'object' && 'attributes' in value)
    return { ...value, attributes: plain(value.attributes) }
  return value
}

function attributesOf(inode: Attributes) {
  const { ino, mode, nlink, uid, gid, rdev, size, blocks } = inode
  const { atimeSec, atimeNsec, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec } = inode
  return {
    ...{ ino, mode, nlink, uid, gid, rdev, size, blocks },
    ...{ atimeSec, atimeNsec, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec },
  }
}

parentPort?.once('message', (message: EngineBegin | Leave) => {
  if ('leave' in message) process.exit(1)
  new VolumeThread(parentPort!, message.begin)
})
