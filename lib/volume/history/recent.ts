// What was worked out lately, as far as it fits: by number or text, bounded by the sum of what the values weigh. Owns nothing else.

export class Recent<K, V> {
  readonly #values = new Map<K, { value: V; weight: number }>()
  readonly #limit: number
  #weight = 0

  constructor(init: { limit: number }) {
    this.#limit = init.limit
  }

  get weight(): number {
    return this.#weight
  }

  get(key: K): V | undefined {
    const found = this.#values.get(key)
    if (found === undefined) return undefined
    this.#values.delete(key)
    this.#values.set(key, found)
    return found.value
  }

  /** Makes room by what was not used for the longest time. What alone is above the limit stays until another one comes. */
  set(key: K, value: V, weight: number): void {
    this.delete(key)
    for (const oldest of this.#values.keys()) {
      if (this.#weight + weight <= this.#limit) break
      this.delete(oldest)
    }
    this.#values.set(key, { value, weight })
    this.#weight += weight
  }

  delete(key: K): void {
    const found = this.#values.get(key)
    if (found === undefined) return
    this.#values.delete(key)
    this.#weight -= found.weight
  }
}
