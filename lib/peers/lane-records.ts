// The bytes of a lane (docs/peers.md "Lane"): keys from a ticket, frames sealed as records and opened again. Pure but for the counters.
// A record that was changed, left out, repeated or moved does not open. Keys are used for one lane and one direction.
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { LaneBrokenError } from './errors.js'

export const TICKET_ID_BYTES = 16
export const TICKET_SECRET_BYTES = 32
export const TAG_BYTES = 16
/** Length of the frame, u32 big endian; authenticated, not encrypted. */
export const HEADER_BYTES = 4
/** A lane ends before a key has sealed more than this, far below where AES-GCM wears out. */
export const LANE_BYTES = 2 ** 36

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const IV_BYTES = 12

export interface Ticket {
  id: Uint8Array
  secret: Uint8Array
}

interface Keys {
  key: Uint8Array
  iv: Uint8Array
}

/** Who opened the TCP connection seals with the first, the other device with the second. */
export function laneKeys({ id, secret }: Ticket): { dialler: Keys; listener: Keys } {
  const derive = (side: string): Keys => {
    const bytes = new Uint8Array(hkdfSync('sha256', secret, id, `peerdrive lane 1 ${side}`, KEY_BYTES + IV_BYTES))
    return { key: bytes.subarray(0, KEY_BYTES), iv: bytes.subarray(KEY_BYTES) }
  }
  return { dialler: derive('dialler'), listener: derive('listener') }
}

/** What both ends of one direction count alike. Nonces: the iv, its last 8 bytes xored with the number of the record. */
class Direction {
  protected readonly key: Uint8Array
  readonly #iv: Buffer
  #records = 0n
  #bytes = 0

  constructor({ key, iv }: Keys) {
    this.key = key
    this.#iv = Buffer.from(iv)
  }

  protected nextNonce(length: number): Buffer {
    this.#bytes += length
    const nonce = Buffer.from(this.#iv)
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(IV_BYTES - 8) ^ this.#records++, IV_BYTES - 8)
    return nonce
  }

  get wornOut(): boolean {
    return this.#bytes > LANE_BYTES
  }
}

export class RecordSealer extends Direction {
  /** The record, in parts: header, ciphertext, tag. */
  seal(frame: Uint8Array): Uint8Array[] {
    const header = Buffer.allocUnsafe(HEADER_BYTES)
    header.writeUInt32BE(frame.length)
    const cipher = createCipheriv(CIPHER, this.key, this.nextNonce(frame.length)).setAAD(header)
    const sealed = cipher.update(frame)
    cipher.final()
    return [header, sealed, cipher.getAuthTag()]
  }
}

export class RecordOpener extends Direction {
  /** The frame. Nothing of it is seen before all of it is known to be the peer's. @throws LaneBrokenError */
  open(header: Uint8Array, sealed: Uint8Array, tag: Uint8Array): Uint8Array {
    const decipher = createDecipheriv(CIPHER, this.key, this.nextNonce(sealed.length), {
      authTagLength: TAG_BYTES,
    })
    decipher.setAAD(header).setAuthTag(tag)
    const frame = decipher.update(sealed)
    try {
      decipher.final()
    } catch (error) {
      throw new LaneBrokenError('A record came in that the other device has not sealed.', { cause: error })
    }
    return frame
  }
}
