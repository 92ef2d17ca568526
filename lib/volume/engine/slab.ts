// Memory for small contents: cut from large pieces, since allocating thousands of small buffers outside V8's heap costs more than
// what is done with them. A piece is freed when nothing of it is used any more.

const SLAB = 512 * 1024
const SLICE_MAX = 16 * 1024

let slab = Buffer.alloc(0)
let used = 0

/** A buffer of `size` bytes whose content is anything. */
export function allocate(size: number): Buffer {
  if (size > SLICE_MAX) return Buffer.allocUnsafeSlow(size)
  if (used + size > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB)
    used = 0
  }
  const slice = slab.subarray(used, used + size)
  used += (size + 7) & ~7
  return slice
}
