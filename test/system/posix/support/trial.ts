// One case, run in every place: what it did and what came of it is written down, and must be the same everywhere. Owns the
// transcript; what a case states itself (`expect`) must hold on the disk as well, so that no case states what Linux does not do.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import * as c from './calls.js'
import { as, type Places } from './places.js'

export type Kind = 'file' | 'folder' | 'fifo' | 'socket' | 'character' | 'block' | 'link'
export const KINDS: Kind[] = ['file', 'folder', 'fifo', 'socket', 'character', 'block', 'link']

/** What of stat(2) does not depend on the place. */
export interface Shown {
  mode: string
  nlink: number
  uid: number
  gid: number
  rdev?: number
  size?: number
}

export class Trial {
  readonly transcript: string[] = []
  /** Whether this is the mount. */
  constructor(
    readonly directory: string,
    readonly mounted: boolean,
  ) {}

  /** A path in the case's directory. */
  at(...names: c.Path[]): Buffer {
    const parts = names.map((name) => (typeof name === 'string' ? Buffer.from(name) : name))
    return Buffer.concat([Buffer.from(this.directory), ...parts.flatMap((part) => [Buffer.from('/'), part])])
  }

  note(text: string): void {
    this.transcript.push(text)
  }

  /** Writes down what a call answered; errnos by their names, other numbers as they are. */
  did(what: string, result: number): string | number {
    const said = c.said(result)
    this.note(`${what}: ${said}`)
    return said
  }

  /** As `did`; the call has to answer this. */
  expect(what: string, result: number, wanted: string | number): void {
    assert.equal(this.did(what, result), wanted, what)
  }

  /** As `did`; the call has to succeed. Answers its result, which is not compared. */
  ok(what: string, result: number): number {
    assert.ok(result >= 0, `${what}: ${c.said(result)}`)
    this.note(`${what}: done`)
    return result
  }

  /** Writes down what stat(2) shows. */
  stat(...names: c.Path[]): Shown | string {
    const shown = show(this.at(...names))
    this.note(`stat ${names.join('/')}: ${JSON.stringify(shown)}`)
    return shown
  }

  /** Writes down which times an action moves; times are in the past before. */
  moves(names: c.Path[], what: string, action: () => void): string {
    const target = this.at(...names)
    const before = fs.lstatSync(target, { bigint: true })
    tick(before.ctimeNs)
    action()
    const after = fs.lstatSync(target, { bigint: true })
    const moved = (['mtime', 'ctime'] as const).filter((time) => after[`${time}Ns`] !== before[`${time}Ns`])
    const back = (['mtime', 'ctime'] as const).filter((time) => after[`${time}Ns`] < before[`${time}Ns`])
    this.note(`${what} moves ${moved.join(' and ') || 'nothing'} of ${names.join('/')}${back.length ? ', back' : ''}`)
    return moved.join(' ')
  }

  create(kind: Kind, name: c.Path, mode = 0o644): void {
    const at = this.at(name)
    const result = {
      file: () => c.close(c.open(at, c.O.CREAT | c.O.EXCL | c.O.WRONLY, mode)),
      folder: () => c.mkdir(at, mode),
      fifo: () => c.mknod(at, c.S.IFIFO | mode),
      socket: () => c.bind(at),
      character: () => c.mknod(at, c.S.IFCHR | mode, 0x102),
      block: () => c.mknod(at, c.S.IFBLK | mode, 0x102),
      link: () => c.symlink('nowhere', at),
    }[kind]()
    assert.equal(result, 0, `making a ${kind}: ${c.said(result)}`)
    if (kind !== 'link') assert.equal(c.chmod(at, mode), 0)
  }

  remove(name: c.Path): void {
    fs.rmSync(this.at(name) as unknown as string, { recursive: true, force: true })
  }

  as<T>(uid: number, gid: number, groups: number[], action: () => T): T {
    return as(uid, gid, groups, action)
  }

  /** Names in a folder, sorted. */
  list(...names: c.Path[]): string[] {
    return fs
      .readdirSync(this.at(...names), 'buffer')
      .map((name) => name.toString('latin1'))
      .sort()
  }
}

export function show(target: Buffer): Shown | string {
  try {
    const { mode, nlink, uid, gid, size, rdev } = fs.lstatSync(target)
    const type = mode & 0o170000
    const sized = type === c.S.IFREG || type === 0o120000 ? { size } : {}
    const device = type === c.S.IFCHR || type === c.S.IFBLK ? { rdev } : {}
    return { mode: mode.toString(8), nlink, uid, gid, ...sized, ...device }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code!
  }
}

/** Until the coarsest clock of the kernel has moved on from a time, so that a later one differs. */
function tick(since: bigint): void {
  while (BigInt(Date.now()) * 1_000_000n < since + 10_000_000n);
}

/** One for each place, the mount's last. */
export function trialsIn(places: Places): Trial[] {
  return places
    .directories()
    .map((directory) => new Trial(directory, directory.startsWith(`${places.mount}${path.sep}`)))
}

/** Defines a test of a case in all places. */
export function inAllPlaces(places: Places, title: string, body: (trial: Trial) => void): void {
  it(title, () => {
    const trials = trialsIn(places)
    for (const trial of trials) {
      try {
        body(trial)
      } catch (error) {
        if (error instanceof Error) error.message = `${trial.mounted ? 'mount' : 'disk'}: ${error.message}`
        throw error
      }
    }
    const [first, second] = trials
    if (second) assert.deepEqual(second.transcript, first.transcript, 'the mount does other than the disk')
  })
}
