// Writes and truncates of small working copies that no close has settled yet: where they are in the journal. Owns these
// notes (positions, no bytes). Invariant: the journal is kept from `lowest()` on, so that recovery can settle them.

import type { JournalRecord, Lsn } from './records.js'

export interface PendingChange {
  /** A write of `length` bytes at `offset`, whose data is at `data` in the journal; or a truncation to `size`. */
  kind: 'write' | 'truncate'
  offset: number
  length: number
  data: Lsn
  sec: number
  nsec: number
}

interface WorkingCopy {
  first: Lsn
  changes: PendingChange[]
}

export class PendingWrites {
  readonly #copies = new Map<number, WorkingCopy>()

  get size(): number {
    return this.#copies.size
  }

  /** `frame`: where the record's frame begins; `data`: where the bytes of a write are. */
  add(record: JournalRecord & { type: 'write' | 'truncate' }, frame: Lsn, data: Lsn): void {
    let copy = this.#copies.get(record.ino)
    // Cut to nothing: whatever was before does not matter any more, so older parts of the journal may go.
    if (!copy || (record.type === 'truncate' && record.size === 0)) {
      copy = { first: frame, changes: [] }
      this.#copies.set(record.ino, copy)
    }
    const { sec, nsec } = record
    if (record.type === 'write') {
      copy.changes.push({ kind: 'write', offset: record.offset, length: record.data.length, data, sec, nsec })
    } else copy.changes.push({ kind: 'truncate', offset: record.size, length: 0, data: 0, sec, nsec })
  }

  /** Whether a write of the inode that nothing settled has its data at this position. */
  has(ino: number, data: Lsn): boolean {
    const changes = this.#copies.get(ino)?.changes
    if (!changes) return false
    for (let i = changes.length - 1; i >= 0; i--)
      if (changes[i].kind === 'write' && changes[i].data === data) return true
    return false
  }

  /** Whether the inode has a working copy that nothing settled. */
  isOpen(ino: number): boolean {
    return this.#copies.has(ino)
  }

  settle(ino: number): void {
    this.#copies.delete(ino)
  }

  /** The first position of the journal that is still needed; `otherwise` if none is. */
  lowest(otherwise: Lsn): Lsn {
    let lowest = otherwise
    for (const { first } of this.#copies.values()) if (first < lowest) lowest = first
    return lowest
  }

  entries(): [number, PendingChange[]][] {
    return [...this.#copies].map(([ino, { changes }]) => [ino, changes])
  }

  clear(): void {
    this.#copies.clear()
  }
}

/** Most bytes of a working copy that recovery puts together from the journal; larger ones are spools. */
export const SETTLE_MAX = 16 << 20

/** The changes begin with nothing, so that what was there before need not be read: it may not be here. */
export function isWhole([first]: PendingChange[]): boolean {
  return first?.kind === 'truncate' && first.offset === 0
}

/** The content after the changes. `read` gives bytes of the journal. Bounded by SETTLE_MAX: what lies beyond is cut. */
export function applyChanges(
  base: Uint8Array,
  changes: PendingChange[],
  read: (lsn: Lsn, length: number) => Uint8Array,
): Uint8Array {
  let bytes = Buffer.alloc(Math.max(base.length, 4096))
  let size = base.length
  bytes.set(base)
  for (const { kind, offset, length, data } of changes) {
    const end = Math.min(kind === 'truncate' ? offset : Math.max(size, offset + length), SETTLE_MAX)
    if (end > bytes.length) bytes = Buffer.concat([bytes], Math.min(SETTLE_MAX, end * 2))
    if (end < size) bytes.fill(0, end, size)
    size = end
    if (kind === 'write' && offset < SETTLE_MAX) bytes.set(read(data, Math.min(length, SETTLE_MAX - offset)), offset)
  }
  return new Uint8Array(bytes.subarray(0, size))
}
