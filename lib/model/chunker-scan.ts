// The inner loop of the chunker, twice: in JavaScript and in WebAssembly (2–3 times as fast). Both cut alike.
// Owns the WebAssembly instance of this thread. Keeps no state between calls: that is in ScanState.

import { CHUNKER_WASM } from './chunker-wasm.js'
import { CHUNK_MAX, CHUNK_MIN, CHUNK_NORMAL, GEAR, MASK_LOOSE, MASK_STRICT } from './gear.js'

/** Where in a chunk we are. */
export interface ScanState {
  /** Bytes of the chunk so far. */
  length: number
  /** Their gear hash; 0 up to CHUNK_MIN. */
  hash: number
}

/**
 * Looks for the end of the current chunk in `bytes`, from `from` on. Returns the position behind its last byte and resets
 * the state; or -1 if it does not end in these bytes, which the state then counts.
 */
export type Scan = (state: ScanState, bytes: Uint8Array, from: number) => number

function endChunk(state: ScanState, position: number): number {
  state.length = 0
  state.hash = 0
  return position
}

export const scanJs: Scan = (state, bytes, from) => {
  const end = bytes.length
  let { length, hash } = state
  let position = from
  if (length < CHUNK_MIN) {
    const left = CHUNK_MIN - length
    if (left >= end - position) {
      state.length = length + end - position
      return -1
    }
    position += left
    length = CHUNK_MIN
  }
  if (length < CHUNK_NORMAL) {
    const stop = position + Math.min(CHUNK_NORMAL - length, end - position)
    length += stop - position
    while (position < stop) {
      hash = ((hash << 1) + GEAR[bytes[position++]]) | 0
      if ((hash & MASK_STRICT) === 0) return endChunk(state, position)
    }
  }
  const stop = position + Math.min(CHUNK_MAX - length, end - position)
  length += stop - position
  while (position < stop) {
    hash = ((hash << 1) + GEAR[bytes[position++]]) | 0
    if ((hash & MASK_LOOSE) === 0) return endChunk(state, position)
  }
  if (length === CHUNK_MAX) return endChunk(state, position)
  state.length = length
  state.hash = hash
  return -1
}

const DATA = 64 * 1024
const DATA_BYTES = 1024 * 1024

interface Instance {
  memory: Uint8Array
  hash: { value: number }
  scan(from: number, end: number, length: number): number
}

let instance: Instance | undefined

function load(): Instance {
  const module = new WebAssembly.Module(Buffer.from(CHUNKER_WASM, 'base64'))
  const { memory, hash, scan } = new WebAssembly.Instance(module).exports as {
    memory: WebAssembly.Memory
    hash: { value: number }
    scan: Instance['scan']
  }
  const view = new DataView(memory.buffer)
  for (let i = 0; i < 256; i++) view.setInt32(i * 4, GEAR[i], true)
  return { memory: new Uint8Array(memory.buffer), hash, scan }
}

/** What of the caller's bytes lies in the memory of the instance, so that the next scan of the same bytes need not copy. */
let copied: { bytes: Uint8Array; from: number; end: number } | undefined

function copyIn({ memory }: Instance, bytes: Uint8Array, from: number): { from: number; end: number } {
  if (copied && copied.bytes === bytes && from >= copied.from && from < copied.end) return copied
  const end = Math.min(bytes.length, from + DATA_BYTES)
  memory.set(bytes.subarray(from, end), DATA)
  copied = { bytes, from, end }
  return copied
}

/** Must be told (`forget`) before the caller's bytes may change: it remembers what it copied. */
export const scanWasm: Scan = (state, bytes, from) => {
  instance ??= load()
  let position = from
  while (position < bytes.length) {
    const window = copyIn(instance, bytes, position)
    const toAddress = DATA - window.from
    instance.hash.value = state.hash
    const cut = instance.scan(position + toAddress, window.end + toAddress, state.length)
    if (cut !== 0) return endChunk(state, cut - toAddress)
    state.length += window.end - position
    state.hash = instance.hash.value
    position = window.end
  }
  return -1
}

/** Forgets the bytes of the last scan: their owner may change or drop them from now on. */
export function forget(): void {
  copied = undefined
}
