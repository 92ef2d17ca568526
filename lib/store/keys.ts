// Keys of the LMDB tables: big endian, so that LMDB's bytewise order is the order of the numbers.

const TWO_32 = 0x1_0000_0000

/** Inode numbers and spool ids. */
export function key48(value: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  key.writeUIntBE(value, 0, 6)
  return key
}

export function read48(key: Uint8Array): number {
  return (key[0] * 256 + key[1]) * TWO_32 + (((key[2] << 24) | (key[3] << 16) | (key[4] << 8) | key[5]) >>> 0)
}

/** Change numbers. */
export function key64(value: number): Buffer {
  const key = Buffer.allocUnsafe(8)
  key.writeUInt32BE(Math.floor(value / TWO_32), 0)
  key.writeUInt32BE(value % TWO_32, 4)
  return key
}

export function read64(key: Uint8Array): number {
  const view = Buffer.from(key.buffer, key.byteOffset, key.length)
  return view.readUInt32BE(0) * TWO_32 + view.readUInt32BE(4)
}

/** Row of table `entries`: folder and name. */
export function entryKey(folder: number, name: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(6 + name.length)
  key.writeUIntBE(folder, 0, 6)
  key.set(name, 6)
  return key
}
