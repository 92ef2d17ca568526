// The way to a thread that may die and be started again: requests find the thread that lives now, wait while there is
// none, and fail (or go to the next one, where that is harmless) when it dies. Owns the requests that wait for answers;
// never starts or stops a thread: the thread's actor does, and tells by `attach` and `detach`.

import { LinkFullError, ThreadLostError, VolumeClosedError } from './errors.js'

/** Requests that may wait for one thread. */
const WAITING_MAX = 10_000

export interface RequestOptions {
  /** Asking twice does no harm: a request whose thread died goes to its successor. */
  repeatable?: boolean
}

interface Waiting<Request> {
  request: Request
  repeatable: boolean
  resolve: (value: never) => void
  reject: (error: Error) => void
}

export class ThreadLink<Request> {
  readonly #name: string
  #post?: (id: number, request: Request) => void
  #lastId = 0
  readonly #asked = new Map<number, Waiting<Request>>()
  #queue: Waiting<Request>[] = []
  #closed?: Error

  constructor(init: { name: string }) {
    this.#name = init.name
  }

  get attached(): boolean {
    return this.#post !== undefined
  }

  /** Requests without an answer yet. */
  get waiting(): number {
    return this.#asked.size + this.#queue.length
  }

  /** A thread lives and takes requests; those that waited go to it, in order. */
  attach(post: (id: number, request: Request) => void): void {
    this.#post = post
    for (const waiting of this.#queue.splice(0)) this.#send(waiting)
  }

  /** The thread died. Repeatable requests wait for the next one. */
  detach(reason: string): void {
    this.#post = undefined
    const asked = [...this.#asked.values()]
    this.#asked.clear()
    const again = asked.filter((w) => w.repeatable)
    this.#queue = [...again, ...this.#queue]
    for (const waiting of asked) if (!waiting.repeatable) waiting.reject(new ThreadLostError(this.#name, reason))
  }

  /** No thread will ever live again. */
  close(label: string, reason?: string): void {
    this.#closed = new VolumeClosedError(label, reason)
    this.#post = undefined
    for (const waiting of [...this.#asked.values(), ...this.#queue]) waiting.reject(this.#closed)
    this.#asked.clear()
    this.#queue = []
  }

  request<Answer>(request: Request, { repeatable = false }: RequestOptions = {}): Promise<Answer> {
    if (this.#closed) return Promise.reject(this.#closed)
    if (this.waiting >= WAITING_MAX) return Promise.reject(new LinkFullError(this.#name, this.waiting))
    return new Promise<Answer>((resolve, reject) => {
      const waiting: Waiting<Request> = { request, repeatable, resolve: resolve as (value: never) => void, reject }
      if (this.#post) this.#send(waiting)
      else this.#queue.push(waiting)
    })
  }

  answer(id: number, value: unknown): void {
    this.#take(id)?.resolve(value as never)
  }

  fail(id: number, error: Error): void {
    this.#take(id)?.reject(error)
  }

  #take(id: number): Waiting<Request> | undefined {
    const waiting = this.#asked.get(id)
    this.#asked.delete(id)
    return waiting
  }

  #send(waiting: Waiting<Request>): void {
    const id = ++this.#lastId
    this.#asked.set(id, waiting)
    this.#post!(id, waiting.request)
  }
}
