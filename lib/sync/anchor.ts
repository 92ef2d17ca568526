// How far a peer volume's feed is known here: kept in the settings of the local volume, by the peer volume's SId.

import { hex } from '../model/bytes.js'
import type { Volume } from '../volume/contract.js'

const key = (peerVolume: Uint8Array) => `sync/anchor/${hex(peerVolume)}`

export function readAnchor(volume: Volume, peerVolume: Uint8Array): number {
  const bytes = volume.setting(key(peerVolume))
  return bytes?.length === 8 ? Number(Buffer.from(bytes).readBigUInt64BE()) : 0
}

/** Durable when resolved. */
export async function writeAnchor(volume: Volume, peerVolume: Uint8Array, seq: number): Promise<void> {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(seq))
  await volume.setSetting(key(peerVolume), bytes)
}
