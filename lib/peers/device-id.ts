// How a device is named: by its ed25519 public key. As text it is libp2p's peer id (`12D3Koo…`), in bytes the raw 32-byte
// key (the `author` of revisions), for people a fingerprint. Pure functions.
import './promise-polyfill.js'
import { createHash } from 'node:crypto'
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { base32 } from './base32.js'
import { ProtocolError } from './errors.js'

/** A device as text: libp2p's peer id of its ed25519 key. */
export type DeviceId = string

export const DEVICE_KEY_BYTES = 32
export const NAME_MAX = 64

/** The raw public key. @throws ProtocolError if the text is not the id of an ed25519 key */
export function deviceKeyOf(id: DeviceId): Uint8Array {
  if (id.length > 128) throw new ProtocolError('That is not a device id: too long')
  let raw: Uint8Array | undefined
  try {
    const peer = peerIdFromString(id)
    if (peer.type === 'Ed25519') raw = peer.publicKey.raw
  } catch (error) {
    throw new ProtocolError(`That is not a device id: ${(error as Error).message}`, { cause: error })
  }
  if (raw?.length !== DEVICE_KEY_BYTES) throw new ProtocolError('That is not a device id: not an ed25519 key')
  return raw
}

export function deviceIdOf(key: Uint8Array): DeviceId {
  if (key.length !== DEVICE_KEY_BYTES)
    throw new ProtocolError(`A device key has ${DEVICE_KEY_BYTES} bytes, not ${key.length}`)
  return peerIdFromPublicKey(publicKeyFromRaw(key)).toString()
}

/**
 * What people compare: 60 bits of SHA-256 over the public key as three groups of four characters (`k3fa-9qad-72hb`). Enough
 * to tell the devices of a household apart and to notice a mistake; never a substitute for the proof in pairing.
 */
export function fingerprint(id: DeviceId): string {
  const digest = createHash('sha256').update('peerdrive fingerprint').update(deviceKeyOf(id)).digest()
  const text = base32(digest.subarray(0, 8)).slice(0, 12)
  return `${text.slice(0, 4)}-${text.slice(4, 8)}-${text.slice(8, 12)}`
}

/** A name from outside made fit to show: no control or formatting characters, no line breaks, at most 64 characters. */
export function cleanName(name: string): string {
  const visible = name
    .normalize('NFC')
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return [...visible].slice(0, NAME_MAX).join('').trim() || 'unnamed device'
}
