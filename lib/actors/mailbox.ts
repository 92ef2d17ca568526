// The messages that wait for an actor: first in, first out, bounded. Knows nothing of actors.
// Invariant: signals are neither refused nor dropped, and keep their place among the messages.

export interface MailboxInit {
  limit: number
  overflow: 'reject' | 'drop-oldest'
}

export type Put = 'taken' | 'replaced' | 'refused'

export class Mailbox<T> {
  #items: { value: T; signal: boolean }[] = []
  #head = 0
  #signals = 0

  constructor(private readonly init: MailboxInit) {}

  get length(): number {
    return this.#items.length - this.#head
  }

  /** `replaced`: the oldest one made room, so that there are as many as before. */
  put(item: T): Put {
    const full = this.length - this.#signals >= this.init.limit
    if (full && this.init.overflow === 'reject') return 'refused'
    if (full) this.#dropOldest()
    this.#items.push({ value: item, signal: false })
    return full ? 'replaced' : 'taken'
  }

  /** Puts what must not get lost, whatever the bound: one per monitor at most. */
  signal(item: T): void {
    this.#items.push({ value: item, signal: true })
    this.#signals++
  }

  take(): T | undefined {
    if (this.#head === this.#items.length) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined as never
    if (item.signal) this.#signals--
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item.value
  }

  clear(): void {
    this.#items = []
    this.#head = 0
    this.#signals = 0
  }

  #dropOldest(): void {
    let oldest = this.#head
    while (this.#items[oldest].signal) oldest++
    if (oldest === this.#head) this.take()
    else this.#items.splice(oldest, 1)
  }
}
