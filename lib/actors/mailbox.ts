// The messages that wait for an actor: first in, first out, bounded. Knows nothing of actors.

export interface MailboxInit {
  limit: number
  overflow: 'reject' | 'drop-oldest'
}

export type Put = 'taken' | 'replaced' | 'refused'

export class Mailbox<T> {
  #items: T[] = []
  #head = 0

  constructor(private readonly init: MailboxInit) {}

  get length(): number {
    return this.#items.length - this.#head
  }

  /** `replaced`: the oldest one made room, so that there are as many as before. */
  put(item: T): Put {
    const full = this.length >= this.init.limit
    if (full && this.init.overflow === 'reject') return 'refused'
    if (full) this.take()
    this.#items.push(item)
    return full ? 'replaced' : 'taken'
  }

  take(): T | undefined {
    if (this.#head === this.#items.length) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined as T
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  clear(): void {
    this.#items = []
    this.#head = 0
  }
}
