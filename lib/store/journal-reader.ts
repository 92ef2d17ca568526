// The committer's end of the journal: reads frames in order, and bytes at a position. Never writes.
// A frame is given out only when its length and checksum are right.

import fs from 'node:fs'
import { EncodingError, StoreError } from './errors.js'
import {
  FRAME_HEADER,
  FRAME_MAX,
  frameChecksum,
  headerFault,
  listSegments,
  SEGMENT_HEADER,
  type Segment,
  segmentAt,
} from './journal-segments.js'
import { Unpacker } from './packer.js'
import type { Lsn } from './records.js'

const READ_AHEAD = 1 << 20

/** One frame. `records` stands at the first record; its buffer is valid until the next call of the reader. */
export interface Frame {
  lsn: Lsn
  end: Lsn
  records: Unpacker
}

/** Position in the journal of the byte at `pos` of a frame's records buffer. */
export function lsnOf(frame: Frame, pos: number): Lsn {
  return frame.end - (frame.records.end - pos)
}

/** Where reading stopped before the files' end, and why. */
export interface JournalCut {
  lsn: Lsn
  why: string
  /** Bytes of the segment from there on. */
  bytes: number
}

interface ReadSegment extends Segment {
  fd: number
}

export class JournalReader {
  readonly #directory: string
  #segments: ReadSegment[] = []
  #buffer = Buffer.allocUnsafeSlow(READ_AHEAD)
  /** The buffer holds positions from here on … */
  #bufferLsn: Lsn = 0
  /** … this many bytes of them. */
  #held = 0
  #next: Lsn
  cut: JournalCut | undefined

  /** Starts at `from`, which is where a frame begins; the first segment's start if that is later. */
  constructor(init: { directory: string; from: Lsn }) {
    this.#directory = init.directory
    this.#list()
    const first = this.#segments[0]
    this.#next = first && first.start > init.from ? first.start : init.from
  }

  /** Where the next frame begins. */
  get position(): Lsn {
    return this.#next
  }

  #list(): void {
    const known = new Map(this.#segments.map((segment) => [segment.start, segment]))
    this.#segments = listSegments(this.#directory).map((found) => {
      const segment = known.get(found.start)
      known.delete(found.start)
      return segment ?? { ...found, fd: -1 }
    })
    for (const gone of known.values()) if (gone.fd >= 0) fs.closeSync(gone.fd)
  }

  /** Opens a segment and checks its header. */
  #open(segment: ReadSegment): string | undefined {
    if (segment.fd >= 0) return undefined
    segment.fd = fs.openSync(segment.file, 'r')
    const header = new Uint8Array(SEGMENT_HEADER)
    const done = fs.readSync(segment.fd, header, 0, SEGMENT_HEADER, 0)
    return headerFault(header.subarray(0, done), segment.start)
  }

  /** The segment of position `lsn`; looks at the directory again if it seems to lie beyond what is known. */
  #segmentOf(lsn: Lsn): ReadSegment | undefined {
    return this.#segments[segmentAt(this.#segments, lsn)]
  }

  /** Reads `length` bytes at `lsn`, or what there is of them, into `target`. */
  #read(segment: ReadSegment, lsn: Lsn, target: Uint8Array, length: number): number {
    return fs.readSync(segment.fd, target, 0, length, SEGMENT_HEADER + lsn - segment.start)
  }

  /** Makes the buffer hold `length` bytes from `#next` on; false: there are not that many in the segment. */
  #fill(segment: ReadSegment, length: number): boolean {
    if (this.#next >= this.#bufferLsn && this.#next + length <= this.#bufferLsn + this.#held) return true
    if (length > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(length)
    this.#bufferLsn = this.#next
    this.#held = this.#read(segment, this.#next, this.#buffer, this.#buffer.length)
    return this.#held >= length
  }

  /**
   * The next frame that ends at `end` or before; undefined when there is none, and then `cut` says if it is because the
   * bytes are bad. Without `end`: up to the end of the files.
   */
  next(end: Lsn = Number.MAX_SAFE_INTEGER): Frame | undefined {
    if (this.#next >= end || this.cut) return undefined
    let segment = this.#segmentOf(this.#next)
    let fault = segment ? this.#open(segment) : undefined
    if (!segment || !this.#fill(segment, FRAME_HEADER)) {
      this.#list()
      segment = this.#segmentOf(this.#next)
      fault = segment ? this.#open(segment) : undefined
      if (!segment) return undefined
      if (!fault && !this.#fill(segment, FRAME_HEADER)) return this.#tail(segment, 'a frame header is torn')
    }
    if (fault) return this.#stop(segment, fault)
    return this.#frame(segment)
  }

  #frame(segment: ReadSegment): Frame | undefined {
    const at = this.#next - this.#bufferLsn
    const length = this.#buffer.readUInt32LE(at)
    const checksum = this.#buffer.readUInt32LE(at + 4)
    if (length === 0 || length > FRAME_MAX) return this.#stop(segment, `a frame of ${length} bytes`)
    if (!this.#fill(segment, FRAME_HEADER + length)) return this.#stop(segment, 'a frame is torn')
    const from = this.#next - this.#bufferLsn + FRAME_HEADER
    const lsn = this.#next
    const body = this.#buffer.subarray(from, from + length)
    if (frameChecksum(body, lsn) !== checksum) return this.#stop(segment, 'the checksum of a frame is wrong')
    this.#next = lsn + FRAME_HEADER + length
    return { lsn, end: this.#next, records: new Unpacker(this.#buffer, from, from + length) }
  }

  /** No whole frame header is left in the newest segment: its end if nothing is left, else a cut. */
  #tail(segment: ReadSegment, why: string): undefined {
    if (this.#next - this.#bufferLsn === this.#held || this.#held === 0) return this.#gap(segment)
    return this.#stop(segment, why)
  }

  /** At the end of a segment: fine if it is the last; else the next one should have started here. */
  #gap(segment: ReadSegment): undefined {
    if (segment !== this.#segments.at(-1)) return this.#stop(segment, 'it ends before the next segment begins')
    return undefined
  }

  #stop(segment: ReadSegment, why: string): undefined {
    const bytes = Math.max(0, fs.statSync(segment.file).size - SEGMENT_HEADER - (this.#next - segment.start))
    this.cut = { lsn: this.#next, why, bytes }
    return undefined
  }

  /** Content of kind `journal`: `length` bytes at `lsn`. Throws if they are not there. */
  readBytes(lsn: Lsn, length: number): Uint8Array {
    if (lsn >= this.#bufferLsn && lsn + length <= this.#bufferLsn + this.#held) {
      return Uint8Array.prototype.slice.call(this.#buffer, lsn - this.#bufferLsn, lsn - this.#bufferLsn + length)
    }
    let segment = this.#segmentOf(lsn)
    if (!segment) throw new StoreError('NOT_IN_JOURNAL', `Position ${lsn} is not in the journal any more`)
    const bytes = new Uint8Array(length)
    const read = (from: ReadSegment) => {
      const fault = this.#open(from)
      if (fault) throw new EncodingError(`journal segment: ${fault}`)
      return this.#read(from, lsn, bytes, length)
    }
    if (read(segment) === length) return bytes
    this.#list()
    segment = this.#segmentOf(lsn)
    if (segment && read(segment) === length) return bytes
    throw new StoreError('NOT_IN_JOURNAL', `Position ${lsn} + ${length} is not in the journal`)
  }

  close(): void {
    for (const segment of this.#segments.splice(0)) if (segment.fd >= 0) fs.closeSync(segment.fd)
  }
}
