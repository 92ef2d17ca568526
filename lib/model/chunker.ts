// Content-defined chunking: FastCDC (Xia et al., USENIX ATC 2016) with normalised chunking and a gear of 32 bits.
// Owns where content is cut, not what becomes of the pieces. Equal bytes are always cut alike, however they are pushed.
//
// The state is reset at every cut: chunking may start at any old boundary, and from an old boundary behind the last change
// on all further cuts are the old ones (`rechunk` in rechunk.ts rests on this).

import { forget, type Scan, type ScanState, scanJs, scanWasm } from './chunker-scan.js'

export { CHUNK_MAX, CHUNK_MIN, CHUNK_NORMAL } from './gear.js'

export interface ChunkerOptions {
  /** `js` cuts alike, slower. Default `wasm`. */
  implementation?: 'wasm' | 'js'
}

/** Cuts bytes that come piece by piece. */
export class Chunker {
  readonly #scan: Scan
  readonly #state: ScanState = { length: 0, hash: 0 }

  constructor(options: ChunkerOptions = {}) {
    this.#scan = options.implementation === 'js' ? scanJs : scanWasm
  }

  /** Bytes since the last cut. */
  get pending(): number {
    return this.#state.length
  }

  /** Takes the next bytes; returns the lengths of the chunks that end in them (the first may have begun before). */
  push(bytes: Uint8Array): number[] {
    const lengths: number[] = []
    let position = 0
    while (position < bytes.length) {
      const before = this.#state.length
      const cut = this.#scan(this.#state, bytes, position)
      if (cut < 0) break
      lengths.push(before + cut - position)
      position = cut
    }
    forget()
    return lengths
  }

  /** The content ends here: the length of the last chunk, nothing if there is none. May be used for the next content then. */
  flush(): number[] {
    const { length } = this.#state
    this.#state.length = 0
    this.#state.hash = 0
    return length > 0 ? [length] : []
  }
}

/** Lengths of the chunks of a whole content; their sum is its length. */
export function cut(bytes: Uint8Array, options?: ChunkerOptions): number[] {
  const chunker = new Chunker(options)
  return [...chunker.push(bytes), ...chunker.flush()]
}
