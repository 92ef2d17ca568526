// What files of kill.spec.ts contain: a function of inode number and version.

/** The version that is written through a spool. */
export const SPOOLED = 77

export function bytesOf(ino: number, version: number): Buffer {
  const size = version === SPOOLED ? 150_000 : 20 + ((ino * 7919 + version * 104_729) % 5000)
  return Buffer.alloc(size, `${ino}.${version} `)
}

export function documentOf(ino: number): Uint8Array {
  const document = new Uint8Array(16).fill(0xab)
  new DataView(document.buffer).setUint32(8, ino)
  return document
}
