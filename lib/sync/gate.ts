// Something to pass, which may be closed for a while: who comes then waits until it opens.

import { type Deferred, deferred } from './deferred.js'

export class Gate {
  #waiting: Deferred | undefined
  #failure: Error | undefined

  get closed(): boolean {
    return this.#waiting !== undefined
  }

  close(): void {
    if (this.#waiting || this.#failure) return
    this.#waiting = deferred()
    this.#waiting.promise.catch(() => {})
  }

  open(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }

  /** Nobody passes any more, whoever waits included: they get the error. */
  fail(error: Error): void {
    this.#failure = error
    this.#waiting?.reject(error)
    this.#waiting = undefined
  }

  async passed(): Promise<void> {
    while (this.#waiting) await this.#waiting.promise
    if (this.#failure) throw this.#failure
  }
}
