// What devices are called in names of versions. Owns the names that it was told; they come from the main thread.

import { hex } from '../../model/bytes.js'

export interface NamedDevice {
  /** 32 bytes: author of revisions. */
  author: Uint8Array
  name: string
}

const BYTES_MAX = 64

export class DeviceNames {
  readonly #keys = new Map<string, string>()

  set(devices: readonly NamedDevice[]): void {
    this.#keys.clear()
    for (const { author, name } of devices) this.#keys.set(hex(author), asKey(name))
  }

  /** One character a byte. Merges are nobody's; a device that nobody named is called by the first digits of its key. */
  keyOf(author: Uint8Array): string {
    if (author.length === 0) return 'merged'
    const key = hex(author)
    return this.#keys.get(key) || key.slice(0, 8)
  }
}

/** Fit for a file's name: no slash, nothing that a terminal must not see, not too long. */
function asKey(name: string): string {
  let key = ''
  for (const character of name.replace(/[/\p{Cc}\p{Cf}]/gu, '_').trim()) {
    const bytes = Buffer.from(character).toString('latin1')
    if (key.length + bytes.length > BYTES_MAX) break
    key += bytes
  }
  return key
}
