// Files of the journal: names, headers, where a position lies. The journal is one endless sequence of bytes, cut into
// segment files `<16 hex digits of the start lsn>.log`. A segment: 32 bytes of header, then frames. The next segment
// starts at the lsn where the frames of this one end, so positions have no gaps.

import fs from 'node:fs'
import path from 'node:path'
import zlib from 'node:zlib'
import type { Lsn } from './records.js'

export const SEGMENT_HEADER = 32
export const FRAME_HEADER = 8
/** Most bytes of a frame's records. */
export const FRAME_MAX = 48 << 20
const MAGIC = 'PDJOURNL'
const VERSION = 1

export interface Segment {
  start: Lsn
  file: string
}

export const segmentName = (start: Lsn) => `${start.toString(16).padStart(16, '0')}.log`

export function segmentHeader(start: Lsn): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER)
  header.write(MAGIC, 0, 'latin1')
  header.writeUInt32LE(VERSION, 8)
  header.writeBigUInt64LE(BigInt(start), 12)
  header.writeUInt32LE(zlib.crc32(header.subarray(0, 28)), 28)
  return header
}

/** What is wrong with a segment's header; undefined: nothing. */
export function headerFault(header: Uint8Array, start: Lsn): string | undefined {
  const want = segmentHeader(start)
  if (header.length < SEGMENT_HEADER) return 'its header is torn'
  if (!want.equals(header.subarray(0, SEGMENT_HEADER))) return 'its header is not one of a journal segment'
  return undefined
}

/** CRC-32 of a frame's records; the position goes in, so that stale bytes of another place are not taken for a frame. */
export function frameChecksum(records: Uint8Array, lsn: Lsn): number {
  return zlib.crc32(records, lsn >>> 0)
}

/** Segments in order of position. Other files in the directory are ignored. */
export function listSegments(directory: string): Segment[] {
  const segments: Segment[] = []
  for (const name of fs.readdirSync(directory)) {
    if (!/^[0-9a-f]{16}\.log$/.test(name)) continue
    segments.push({ start: Number.parseInt(name.slice(0, 16), 16), file: path.join(directory, name) })
  }
  return segments.sort((a, b) => a.start - b.start)
}

/** Index of the segment in which position `lsn` lies; -1: before the first. */
export function segmentAt(segments: { start: Lsn }[], lsn: Lsn): number {
  let at = segments.length - 1
  while (at >= 0 && segments[at].start > lsn) at--
  return at
}

/** Removes the segments that lie wholly below `lsn`; the newest stays. Returns how many went. */
export function removeSegmentsBelow(directory: string, lsn: Lsn): number {
  const segments = listSegments(directory)
  let removed = 0
  while (removed + 1 < segments.length && segments[removed + 1].start <= lsn) {
    fs.rmSync(segments[removed].file, { force: true })
    removed++
  }
  return removed
}

/**
 * Cuts the journal at `lsn`: the segment it lies in is truncated there, later ones are put aside as `<name>.cut`. Used by
 * recovery when frames from there on are torn. Returns the names put aside.
 */
export function cutJournal(directory: string, lsn: Lsn): string[] {
  const segments = listSegments(directory)
  const at = segmentAt(segments, lsn)
  const aside: string[] = []
  for (const [index, segment] of segments.entries()) {
    if (index < at) continue
    if (index === at) {
      const end = SEGMENT_HEADER + lsn - segment.start
      if (fs.statSync(segment.file).size > end) fs.truncateSync(segment.file, end)
    } else {
      fs.renameSync(segment.file, `${segment.file}.cut`)
      aside.push(`${path.basename(segment.file)}.cut`)
    }
  }
  return aside
}
