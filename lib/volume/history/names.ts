// Names of versions: when and where a version was made, and the extension of the file, so that programs know what it is. Pure.

import type { DeviceNames } from './devices.js'
import type { TimelineEntry } from './timeline.js'
import { timeName } from './times.js'

/** Names as bytes are Map keys of one character a byte. */
export const keyOf = (name: Uint8Array): string =>
  Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1')
export const nameOf = (key: string): Buffer => Buffer.from(key, 'latin1')

const EXTENSION_MAX = 20
/** Digits of a revision's id where two versions would have one name. */
const DIGITS = 8

/** From the dot on: `.txt` of `a.txt`, `.tar.gz` of `b.tar.gz`, nothing of `.profile`. One character a byte. */
export function extensionOf(name: string): string {
  const extension = /(?!^)(?:\.tar)?\.[^. ]+$/.exec(name)?.[0] ?? ''
  return extension.length > EXTENSION_MAX ? '' : extension
}

/** Names of versions of what had one name, never one twice. */
export class VersionNames {
  readonly #taken: Pick<Map<string, unknown>, 'has'>
  readonly #devices: DeviceNames
  readonly #extension: string

  /** `taken`: names that are taken, to which the caller adds. `name`: as a key. Folders have no extension, whatever their name is. */
  constructor(
    components: { devices: DeviceNames; taken: Pick<Map<string, unknown>, 'has'> },
    init: { name: string; isFolder: boolean },
  ) {
    this.#taken = components.taken
    this.#devices = components.devices
    this.#extension = init.isFolder ? '' : extensionOf(init.name)
  }

  /** `2026-11-25 14.03.22.123Z laptop.txt`, as a key. */
  next({ clock, author, rid }: TimelineEntry): string {
    const base = `${timeName(clock)} ${this.#devices.keyOf(author)}`
    let name = base + this.#extension
    // Merges have the clock of what they merge, and so has what ends a conflict.
    for (let digits = DIGITS; this.#taken.has(name) && digits <= 64; digits += DIGITS)
      name = `${base} ${Buffer.from(rid).toString('hex', 1).slice(0, digits)}${this.#extension}`
    return name
  }
}
