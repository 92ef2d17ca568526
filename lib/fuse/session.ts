// What a mounted kernel session is made of, as threads hand it to each other: two descriptors and a little shared memory.
// Owns the layout of that memory. It outlives the thread that serves: the fuse descriptor belongs to the process.
//
// Shared memory:
//   0     header of the request being served: readv(2) itself puts it here, so that there is no moment in which a request
//         has left the kernel and its number is not recorded; `unique` is zeroed once it is answered
//   64    negotiated values of INIT, 16 words
//   128   doorbell words: rung, sleeping
//   192   requests served, per opcode, 64 doubles
//   1024  numbers of requests whose answer is pending, 1024 pairs of words, 0 is free
//   9216  beginning of the body of the request being served, of operations on names

import { EIO } from './errno.js'
import { OPCODE_NAMES, OPCODE_SLOTS, OUT_HEADER } from './opcodes.js'
import { addressOf, libc, memory } from './syscalls.js'

/** Can be posted to a worker thread as it is. */
export interface KernelSession {
  /** Of /dev/fuse, non-blocking. */
  fd: number
  /** An eventfd, non-blocking. */
  doorbell: number
  shared: SharedArrayBuffer
}

/** What INIT agreed on. */
export interface Negotiated {
  minor: number
  flags: number
  flags2: number
  maxWrite: number
}

const PENDING_SLOTS = 1024
const BODY_AT = 1024 + PENDING_SLOTS * 8
/** Two names, and what is in front of them. */
const BODY_BYTES = 16 + 2 * 256 + 16
const SHARED_BYTES = BODY_AT + BODY_BYTES

export function createShared(): SharedArrayBuffer {
  return new SharedArrayBuffer(SHARED_BYTES)
}

/** A view of the shared memory of a session. Any thread may have one. */
export class SessionMemory {
  /** The 10 words of fuse_in_header. */
  readonly header: Uint32Array
  readonly headerBytes: Uint8Array
  readonly counters: Float64Array
  /** 0: somebody rang, 1: the loop sleeps. */
  readonly bell: Int32Array
  /** Of the last operation on names: unanswered.ts. */
  readonly body: Uint8Array
  private readonly agreed: Uint32Array
  private readonly slots: Int32Array

  constructor(shared: SharedArrayBuffer) {
    if (shared.byteLength < SHARED_BYTES) throw new RangeError(`A session's memory has ${SHARED_BYTES} bytes`)
    this.header = new Uint32Array(shared, 0, 10)
    this.headerBytes = new Uint8Array(shared, 0, 40)
    this.agreed = new Uint32Array(shared, 64, 16)
    this.bell = new Int32Array(shared, 128, 2)
    this.counters = new Float64Array(shared, 192, OPCODE_SLOTS)
    this.slots = new Int32Array(shared, 1024, 2 * PENDING_SLOTS)
    this.body = new Uint8Array(shared, BODY_AT, BODY_BYTES)
  }

  get negotiated(): Negotiated | undefined {
    const [ready, minor, flags, flags2, maxWrite] = this.agreed
    return ready ? { minor, flags, flags2, maxWrite } : undefined
  }

  set negotiated(value: Negotiated) {
    this.agreed.set([0, value.minor, value.flags, value.flags2, value.maxWrite])
    this.agreed[0] = 1
  }

  /** Requests served so far, by name of the operation. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {}
    this.counters.forEach((n, code) => {
      if (n > 0) counts[OPCODE_NAMES[code] || 'OTHER'] = n
    })
    return counts
  }

  /** Before an operation on names is served: should this thread die over it, the next one's owner knows them. */
  keepBody(body: Uint8Array, length: number): void {
    this.body.set(body.subarray(0, Math.min(length, BODY_BYTES)))
  }

  /** Notes that the request `low`/`high` will be answered later. False: no room for any more. */
  addPending(low: number, high: number): boolean {
    for (let i = 0; i < 2 * PENDING_SLOTS; i += 2) {
      if (this.slots[i] !== 0 || this.slots[i + 1] !== 0) continue
      this.slots[i + 1] = high
      Atomics.store(this.slots, i, low | 0)
      return true
    }
    return false
  }

  removePending(low: number, high: number): void {
    for (let i = 0; i < 2 * PENDING_SLOTS; i += 2) {
      if (Atomics.load(this.slots, i) !== (low | 0) || this.slots[i + 1] !== (high | 0)) continue
      this.slots[i + 1] = 0
      Atomics.store(this.slots, i, 0)
      return
    }
  }

  /** How many requests are noted to be answered later. */
  get pending(): number {
    let n = 0
    for (let i = 0; i < 2 * PENDING_SLOTS; i += 2) if (this.slots[i] !== 0 || this.slots[i + 1] !== 0) n++
    return n
  }

  /** Takes the numbers of all requests that a dead loop left unanswered. */
  takeUnanswered(): { low: number; high: number }[] {
    const left: { low: number; high: number }[] = []
    if (this.header[2] !== 0 || this.header[3] !== 0) left.push({ low: this.header[2], high: this.header[3] })
    this.header.fill(0)
    for (let i = 0; i < 2 * PENDING_SLOTS; i += 2) {
      if (this.slots[i] !== 0 || this.slots[i + 1] !== 0) left.push({ low: this.slots[i], high: this.slots[i + 1] })
    }
    this.slots.fill(0)
    return left
  }
}

let errorReply: { bytes: Buffer; words: Uint32Array; address: number } | undefined

/** Answers a request with an errno (0: success) and no content. Any thread may. True if the kernel still waited for it. */
export function answer(fd: number, low: number, high: number, error: number): boolean {
  if (!errorReply) {
    const bytes = memory(OUT_HEADER)
    errorReply = { bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, 4), address: addressOf(bytes) }
  }
  errorReply.words[0] = OUT_HEADER
  errorReply.words[1] = error
  errorReply.words[2] = low
  errorReply.words[3] = high
  return libc().write(fd, errorReply.address, OUT_HEADER) === OUT_HEADER
}

/**
 * Completes a request whose operation answered PENDING, from any thread. `error`: 0 or a negative errno.
 * True if the kernel still waited for it.
 */
export function complete(session: KernelSession, unique: bigint, error: number): boolean {
  const low = Number(unique & 0xffffffffn)
  const high = Number(unique >> 32n)
  const waited = answer(session.fd, low, high, error)
  new SessionMemory(session.shared).removePending(low, high)
  return waited
}

/** Answers EIO to everything that a thread which died has left; only while no loop serves the session. Answers how many. */
export function failUnanswered(session: KernelSession): number {
  const left = new SessionMemory(session.shared).takeUnanswered()
  for (const { low, high } of left) answer(session.fd, low, high, EIO)
  return left.length
}

let one: { bytes: Buffer; address: number } | undefined

/**
 * Wakes the session's loop from any thread; it then calls the owner's `onDoorbell`. Cheap while the loop is awake.
 * Post the message first, then ring.
 */
export function ring(session: KernelSession): void {
  const bell = new Int32Array(session.shared, 128, 2)
  Atomics.store(bell, 0, 1)
  if (Atomics.load(bell, 1) === 0) return
  if (!one) {
    const bytes = memory(8)
    bytes[0] = 1
    one = { bytes, address: addressOf(bytes) }
  }
  libc().write(session.doorbell, one.address, 8)
}
