// What is done to a tree, and how one sees that it has arrived: the same for whoever keeps the two places alike.

import * as fs from 'node:fs'
import path from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'

const SMALL = 10_000
const PER_FOLDER = 100
const LAST_FOLDER = `d${SMALL / PER_FOLDER - 1}`
const LAST_FILE = `f${SMALL - 1}`
export const PIECE = 1 << 20

export interface Scenario {
  /** As it is asked for. */
  name: string
  what: string
  /** What has to be there before on both sides; does nothing if it is. */
  before?(directory: string): Promise<void>
  /** That it is there. */
  ready?(directory: string): boolean
  /** So much goes that somebody may have to allow it. */
  removes?: true
  change(directory: string): Promise<void>
  arrived(directory: string): boolean
  clock: 'first write' | 'last write'
  /** Looking costs the receiving device something, too: how long to wait between looks. */
  lookMs: number
}

const exists = (name: string) => fs.existsSync(name)
const sizeOf = (name: string) => (exists(name) ? fs.statSync(name).size : -1)

async function writeSmallTree(directory: string, round: number): Promise<void> {
  if (exists(directory)) return
  fs.mkdirSync(directory)
  for (let i = 0; i < SMALL; i++) {
    const folder = path.join(directory, `d${Math.floor(i / PER_FOLDER)}`)
    if (i % PER_FOLDER === 0) {
      fs.mkdirSync(folder)
      await turn()
    }
    fs.writeFileSync(path.join(folder, `f${i}`), Buffer.alloc(4096, `${round} ${i} `))
  }
}

function hasSmallTree(directory: string): boolean {
  for (let i = SMALL / PER_FOLDER - 1; i >= 0; i--) {
    const folder = path.join(directory, `d${i}`)
    if (!exists(folder)) return false
    const names = fs.readdirSync(folder).filter((name) => name.startsWith('f'))
    if (names.length < PER_FOLDER) return false
  }
  return true
}

/** The same for every contender, and not compressible. */
export function fillRandom(piece: Buffer, seed: number): void {
  let x = (seed * 2654435761 + 12345) >>> 0 || 1
  for (let at = 0; at < piece.length; at += 4) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    piece.writeUInt32LE(x >>> 0, at)
  }
}

export async function writeLarge(name: string, mebibytes: number, seed: number): Promise<void> {
  if (sizeOf(name) >= mebibytes * PIECE) return
  const piece = Buffer.alloc(PIECE)
  const fd = fs.openSync(name, 'w')
  for (let i = 0; i < mebibytes; i++) {
    fillRandom(piece, seed * 100_003 + i)
    fs.writeSync(fd, piece)
    await turn()
  }
  fs.closeSync(fd)
}

function insertAtHead(name: string): void {
  const temporary = path.join(path.dirname(name), '.inserted')
  const source = fs.openSync(name, 'r')
  const target = fs.openSync(temporary, 'w')
  const piece = Buffer.alloc(PIECE)
  fs.writeSync(target, '!')
  for (let got = fs.readSync(source, piece); got > 0; got = fs.readSync(source, piece))
    fs.writeSync(target, piece, 0, got)
  fs.closeSync(source)
  fs.closeSync(target)
  fs.renameSync(temporary, name)
}

function readAt(name: string, length: number, position: number): string {
  if (!exists(name)) return ''
  const fd = fs.openSync(name, 'r')
  const bytes = Buffer.alloc(length)
  fs.readSync(fd, bytes, 0, length, position)
  fs.closeSync(fd)
  return bytes.toString('latin1')
}

/** Of one round, which has a directory of its own. */
export function scenarios(mebibytes: number, round: number): Scenario[] {
  const small = (d: string) => path.join(d, 'small')
  const renamed = (d: string) => path.join(d, 'renamed')
  const large = (d: string) => path.join(d, 'large')
  const size = mebibytes * PIECE
  const middle = Math.floor(size / 2) + 1000
  const writesLarge = (d: string) => writeLarge(large(d), mebibytes, round + 1)
  const hasSmall = async (d: string) => {
    if (exists(renamed(d))) fs.renameSync(renamed(d), small(d))
    await writeSmallTree(small(d), round)
  }
  return [
    {
      ...{ name: 'small', what: `${SMALL} files of 4 KiB`, clock: 'first write', lookMs: 250 },
      change: (d) => writeSmallTree(small(d), round),
      arrived: (d) => hasSmallTree(small(d)),
    },
    {
      ...{ name: 'rename', what: `rename of a folder of ${SMALL} files`, clock: 'last write', lookMs: 1 },
      before: hasSmall,
      ready: (d) => hasSmallTree(small(d)),
      change: async (d) => fs.renameSync(small(d), renamed(d)),
      arrived: (d) => !exists(small(d)) && exists(path.join(renamed(d), LAST_FOLDER, LAST_FILE)),
    },
    {
      ...{ name: 'remove', what: `removal of a folder of ${SMALL} files`, clock: 'first write', lookMs: 20 },
      before: hasSmall,
      ready: (d) => hasSmallTree(small(d)),
      change: async (d) => fs.rmSync(small(d), { recursive: true }),
      removes: true,
      arrived: (d) => !exists(small(d)),
    },
    {
      ...{ name: 'large', what: `one file of ${mebibytes} MiB`, clock: 'last write', lookMs: 10 },
      change: writesLarge,
      arrived: (d) => sizeOf(large(d)) === size,
    },
    {
      ...{ name: 'changed', what: `4 KiB changed in ${mebibytes} MiB`, clock: 'last write', lookMs: 5 },
      before: writesLarge,
      ready: (d) => sizeOf(large(d)) >= size,
      async change(d) {
        const fd = fs.openSync(large(d), 'r+')
        fs.writeSync(fd, Buffer.alloc(4096, 'changed '), 0, 4096, middle)
        fs.closeSync(fd)
      },
      arrived: (d) => readAt(large(d), 8, middle) === 'changed ',
    },
    {
      ...{ name: 'inserted', what: `a byte inserted at the head of ${mebibytes} MiB`, clock: 'last write', lookMs: 10 },
      before: writesLarge,
      ready: (d) => sizeOf(large(d)) >= size,
      change: async (d) => insertAtHead(large(d)),
      arrived: (d) => sizeOf(large(d)) === size + 1,
    },
  ]
}
