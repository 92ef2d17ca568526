// Requests that cannot be served yet, as they came from the kernel: header and body, copied, since the buffers of the loop go on
// to the next request. Owns the copies. Bounded: what is beyond is refused, and fails at once.

/** Requests at most, and bytes of them (a write is up to 1 MiB). */
const REQUESTS_MAX = 512
const BYTES_MAX = 64 << 20

interface Aside {
  header: Uint32Array
  body: Buffer
}

export class AsideRequests {
  readonly #requests = new Map<bigint, Aside>()
  #bytes = 0

  get size(): number {
    return this.#requests.size
  }

  /** False: no room. */
  put(unique: bigint, header: Uint32Array, body: Uint8Array): boolean {
    if (this.#requests.size >= REQUESTS_MAX || this.#bytes + body.length > BYTES_MAX) return false
    this.#requests.set(unique, { header: header.slice(), body: Buffer.from(body) })
    this.#bytes += body.length
    return true
  }

  take(unique: bigint): Aside | undefined {
    const request = this.#requests.get(unique)
    if (!request) return undefined
    this.#requests.delete(unique)
    this.#bytes -= request.body.length
    return request
  }
}
