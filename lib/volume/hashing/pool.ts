// The hasher pool: a few worker threads that chunk and hash large content. Owns the threads and the queue of jobs.
// Never writes anything and never decides what becomes of a result.
//
// Threads are started when there is work and end after a while without: an idle node has none. A thread that dies takes
// no job with it: its job goes to the head of the queue and to a new thread, at most `attempts` times.

import { Worker } from 'node:worker_threads'
import { endThread } from '../../actors/index.js'
import { ChunkMissingError } from '../../store/errors.js'
import { HasherClosedError, HasherCrashedError, SpoolUnreadableError } from './errors.js'
import type { HasherAnswer, HasherLeave, HasherRequest, HashJob, HashResult } from './hash-job.js'

export interface HasherPoolInit {
  /** Threads at most. Default 1: with two cores, one is left to the volume. */
  threads?: number
  /** Milliseconds without work after which a thread ends. Default 10,000. */
  idleMs?: number
  /** Threads that one job may kill before it fails. Default 3. */
  attempts?: number
}

export interface HasherPoolComponents {
  /** Starts a thread. Replaced in tests only. */
  startThread?: () => Worker
}

interface Task {
  job: HashJob
  attempts: number
  progress?: (bytes: number) => void
  resolve: (result: HashResult) => void
  reject: (error: Error) => void
}

interface Thread {
  worker: Worker
  task?: { id: number; task: Task }
  idleTimer?: NodeJS.Timeout
  lastError?: Error
}

function startHasher(): Worker {
  return new Worker(new URL('./hasher-thread.js', import.meta.url), {
    name: 'peerdrive-hasher',
    // A job of 1 TiB has a chunk table of about 1 GiB; ordinary ones need a few MiB.
    resourceLimits: { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 8 },
  })
}

/** It looks for this message whenever it tells how far it is. */
function endHasher(worker: Worker): Promise<void> {
  return endThread(worker, () => worker.postMessage({ leave: true } satisfies HasherLeave))
}

export class HasherPool {
  readonly #start: () => Worker
  readonly #limit: number
  readonly #idleMs: number
  readonly #attempts: number
  readonly #threads = new Set<Thread>()
  readonly #queue: Task[] = []
  #closed = false
  #lastId = 0
  #crashes = 0
  #done = 0

  constructor({ startThread = startHasher }: HasherPoolComponents = {}, init: HasherPoolInit = {}) {
    this.#start = startThread
    this.#limit = init.threads ?? 1
    this.#idleMs = init.idleMs ?? 10_000
    this.#attempts = init.attempts ?? 3
  }

  /**
   * Chunks and hashes a spool. Rejects with ChunkMissingError (of the base), SpoolUnreadableError, HasherCrashedError or HasherClosedError.
   * `progress` is told the bytes of the content that are done, now and then.
   */
  hash(job: HashJob, progress?: (bytes: number) => void): Promise<HashResult> {
    if (this.#closed) return Promise.reject(new HasherClosedError())
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, attempts: 0, progress, resolve, reject })
      this.#dispatch()
    })
  }

  /** Figures for inspection. */
  summary(): { threads: number; running: number; queued: number; done: number; crashes: number } {
    const running = [...this.#threads].filter((t) => t.task).length
    return {
      threads: this.#threads.size,
      running,
      queued: this.#queue.length,
      done: this.#done,
      crashes: this.#crashes,
    }
  }

  /** Kills one thread that works, as a crash would; for tests of the recovery and for the console. False: none works. */
  killOne(): boolean {
    for (const thread of this.#threads)
      if (thread.task) {
        void endHasher(thread.worker)
        return true
      }
    return false
  }

  /** Ends the threads; jobs that are not done fail with HasherClosedError. */
  async close(): Promise<void> {
    this.#closed = true
    for (const task of this.#queue.splice(0)) task.reject(new HasherClosedError())
    await Promise.all([...this.#threads].map((thread) => endHasher(thread.worker)))
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const thread = [...this.#threads].find((t) => !t.task) ?? this.#grow()
      if (!thread) return
      const task = this.#queue.shift()!
      const id = ++this.#lastId
      task.attempts++
      thread.task = { id, task }
      clearTimeout(thread.idleTimer)
      thread.worker.ref()
      thread.worker.postMessage({ id, job: task.job } satisfies HasherRequest)
    }
  }

  #grow(): Thread | undefined {
    if (this.#threads.size >= this.#limit) return undefined
    const thread: Thread = { worker: this.#start() }
    this.#threads.add(thread)
    thread.worker.on('message', (answer: HasherAnswer) => this.#answered(thread, answer))
    thread.worker.on('error', (error) => (thread.lastError = error))
    thread.worker.on('exit', () => this.#exited(thread))
    return thread
  }

  #answered(thread: Thread, answer: HasherAnswer): void {
    const current = thread.task
    if (this.#closed || current?.id !== answer.id) return
    if (answer.kind === 'progress') return current.task.progress?.(answer.bytes)
    thread.task = undefined
    this.#rest(thread)
    this.#done++
    if (answer.kind === 'done') current.task.resolve(answer.result)
    else if (answer.missing) current.task.reject(new ChunkMissingError(answer.missing))
    else if (answer.unreadable) current.task.reject(new SpoolUnreadableError(current.task.job.path, answer.message))
    else this.#again(current.task, answer.message)
    this.#dispatch()
  }

  #exited(thread: Thread): void {
    this.#threads.delete(thread)
    clearTimeout(thread.idleTimer)
    const task = thread.task?.task
    if (!task) return
    if (this.#closed) return task.reject(new HasherClosedError())
    this.#crashes++
    this.#again(task, thread.lastError?.message ?? 'the thread ended')
    this.#dispatch()
  }

  #again(task: Task, reason: string): void {
    if (task.attempts < this.#attempts) this.#queue.unshift(task)
    else task.reject(new HasherCrashedError(task.job.path, task.attempts, reason))
  }

  /** An idle thread does not keep the process alive and ends by itself. */
  #rest(thread: Thread): void {
    thread.worker.unref()
    thread.idleTimer = setTimeout(() => {
      this.#threads.delete(thread)
      void endHasher(thread.worker)
    }, this.#idleMs)
    thread.idleTimer.unref()
  }
}
