// The directory of a volume: names of its files, its description `volume.json`, and the lock that keeps a second process
// out. Owns the lock's descriptor. Never touches what is inside `db`, `packs`, `journal`, `spool`.

import fs from 'node:fs'
import path from 'node:path'
import type { DId, SId } from '../model/types.js'
import {
  DamagedVolumeError,
  NewerFormatError,
  NotAVolumeError,
  typedError,
  VolumeExistsError,
  VolumeLockedError,
} from './errors.js'
import { tryLock } from './syscalls.js'

export const FORMAT_VERSION = 1
const DESCRIPTION_MAX = 64 * 1024
const LABEL_MAX = 255

export interface VolumeDescription {
  format: number
  sid: SId
  label: string
  root: DId
  /** Milliseconds since the epoch. */
  created: number
}

/** Paths inside a volume's directory. */
export class VolumeLayout {
  readonly description: string
  readonly lock: string
  readonly db: string
  readonly packs: string
  readonly journal: string
  readonly spools: string

  constructor(readonly directory: string) {
    this.description = path.join(directory, 'volume.json')
    this.lock = path.join(directory, 'lock')
    this.db = path.join(directory, 'db')
    this.packs = path.join(directory, 'packs')
    this.journal = path.join(directory, 'journal')
    this.spools = path.join(directory, 'spool')
  }

  pack(number: number): string {
    return path.join(this.packs, `${number.toString(16).padStart(8, '0')}.pack`)
  }

  spool(id: number): string {
    return path.join(this.spools, String(id))
  }

  hasSpool(id: number): boolean {
    return fs.existsSync(this.spool(id))
  }
}

/** fsync of a directory, so that names in it last. */
export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

/** Replaces a file so that it is the old or the new one after a power cut. Mode 0600. */
export function replaceFile(file: string, bytes: string | Uint8Array): void {
  const temporary = `${file}.tmp`
  const fd = fs.openSync(temporary, 'w', 0o600)
  try {
    fs.writeFileSync(fd, bytes)
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
  fs.renameSync(temporary, file)
  syncDirectory(path.dirname(file))
}

/**
 * Makes the directory of a new volume. It may exist if it is empty. Throws VolumeExistsError, StorePermissionError,
 * NoSpaceError. The description is not written: that comes last, and makes it a volume.
 */
export function createDirectory(directory: string): VolumeLayout {
  const layout = new VolumeLayout(directory)
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
    if (fs.existsSync(layout.description)) throw new VolumeExistsError(directory, 'there is one already')
    const foreign = fs
      .readdirSync(directory)
      .filter((name) => !['lock', 'db', 'packs', 'journal', 'spool'].includes(name))
    if (foreign.length > 0) throw new VolumeExistsError(directory, `it holds other files (${foreign[0]})`)
    for (const part of [layout.db, layout.packs, layout.journal, layout.spools]) {
      // Left over from a creation that was cut short: there is no description, so nothing in it was ever used.
      fs.rmSync(part, { recursive: true, force: true })
      fs.mkdirSync(part, { mode: 0o700 })
    }
    syncDirectory(directory)
  } catch (error) {
    throw typedError(directory, error)
  }
  return layout
}

export function writeDescription(layout: VolumeLayout, description: VolumeDescription): void {
  const json = {
    format: description.format,
    sid: Buffer.from(description.sid).toString('hex'),
    label: description.label.slice(0, LABEL_MAX),
    root: Buffer.from(description.root).toString('hex'),
    created: new Date(description.created).toISOString(),
  }
  try {
    replaceFile(layout.description, `${JSON.stringify(json, undefined, 2)}\n`)
  } catch (error) {
    throw typedError(layout.description, error)
  }
}

function readBounded(file: string): string {
  if (fs.statSync(file).size > DESCRIPTION_MAX) throw new DamagedVolumeError(file, 'it is far too long')
  return fs.readFileSync(file, 'utf8')
}

/** Throws NotAVolumeError, NewerFormatError, DamagedVolumeError, StorePermissionError. */
export function readDescription(layout: VolumeLayout): VolumeDescription {
  let text: string
  try {
    text = readBounded(layout.description)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      const there = fs.existsSync(layout.directory)
      throw new NotAVolumeError(layout.directory, there ? 'there is no volume.json' : 'there is no such directory')
    }
    throw typedError(layout.description, error)
  }
  return parseDescription(layout, text)
}

function parseDescription(layout: VolumeLayout, text: string): VolumeDescription {
  let json: Record<string, unknown>
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw new DamagedVolumeError(layout.description, 'it is not JSON', { cause: error })
  }
  const { format, sid, label, root, created } = json ?? {}
  if (!Number.isSafeInteger(format) || (format as number) < 1) {
    throw new DamagedVolumeError(layout.description, 'it has no format version')
  }
  if ((format as number) > FORMAT_VERSION)
    throw new NewerFormatError(layout.directory, format as number, FORMAT_VERSION)
  const time = Date.parse(String(created))
  if (!isId(sid) || !isId(root) || typeof label !== 'string' || !Number.isFinite(time)) {
    throw new DamagedVolumeError(layout.description, 'a field is missing or malformed')
  }
  return { format: format as number, sid: bytes(sid), label, root: bytes(root), created: time }
}

const isId = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))

/** Keeps other processes (and other opens in this one) out until `free()` or the end of the process. */
export interface VolumeLock {
  free(): void
}

/** Throws VolumeLockedError, with the pid of who holds it. */
export function lockVolume(layout: VolumeLayout): VolumeLock {
  let fd: number
  try {
    fd = fs.openSync(layout.lock, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600)
  } catch (error) {
    throw typedError(layout.lock, error)
  }
  if (!tryLock(fd)) {
    const pid = Number.parseInt(fs.readFileSync(fd, 'latin1'), 10)
    fs.closeSync(fd)
    throw new VolumeLockedError(layout.directory, Number.isSafeInteger(pid) ? pid : undefined)
  }
  try {
    fs.ftruncateSync(fd)
    fs.writeSync(fd, `${process.pid}\n`, 0)
  } catch {
    // A full disk: the lock holds without the number in the file.
  }
  let held = true
  return {
    free() {
      if (held) fs.closeSync(fd)
      held = false
    },
  }
}
