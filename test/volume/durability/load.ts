// A random load on a volume: operations as data, so that one process can plan them, another one do them, and a model tell what
// must have come of them. Not a spec.

import assert from 'node:assert/strict'
import type { Attributes } from '../../../lib/fuse/file-system.js'
import { Model, type ModelNode } from '../engine/model.js'
import { name, O_RDWR, ok, ROOT, type Shell } from '../engine/support.js'

export type Op =
  | { op: 'mkdir' | 'create' | 'unlink' | 'rmdir' | 'fsync'; path: string }
  | { op: 'write'; path: string; at: number; length: number; fill: number }
  | { op: 'truncate'; path: string; size: number }
  | { op: 'rename'; path: string; to: string; flags: number }
  | { op: 'link'; path: string; to: string }
  | { op: 'symlink'; path: string; target: string }
  | { op: 'chmod'; path: string; mode: number }
  | { op: 'xattr'; path: string; name: string; value?: string }

/** A small generator of numbers with a seed (mulberry32): the same load again for the same seed. */
export class Random {
  #state: number

  constructor(readonly seed: number) {
    this.#state = seed >>> 0
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]
  }
}

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f\xff']
const FOLDERS_MAX = 8
const FILES_MAX = 30
/** Files never grow beyond this: some of them are spooled all the same. */
const LARGEST = 260_000

/** Bytes that a write puts at `at`: they tell fill and place, so that no two writes look alike. */
export function bytesOf(fill: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length, fill)
  for (let i = 0; i + 8 <= length; i += 512) {
    bytes.writeUInt32LE(fill, i)
    bytes.writeUInt32LE(at + i, i + 4)
  }
  return bytes
}

function tree(model: Model): { folders: ModelNode[]; files: { path: string; node: ModelNode }[] } {
  const folders = model.folders()
  const files: { path: string; node: ModelNode }[] = []
  for (const folder of folders) {
    const above = model.pathOf(folder)
    for (const [key, node] of folder.entries) if (node.kind !== 'folder') files.push({ path: `${above}/${key}`, node })
  }
  return { folders, files }
}

/** An operation that makes sense on this tree; most of them succeed. */
export function nextOp(model: Model, random: Random): Op {
  const { folders, files } = tree(model)
  const place = () => `${model.pathOf(random.pick(folders))}/${random.pick(NAMES)}`
  const some = () => (files.length > 0 ? random.pick(files).path : place())
  const regular = files.filter(({ node }) => node.kind === 'file')
  if (regular.length === 0) return { op: 'create', path: place() }
  const file = random.pick(regular)
  const roll = random.below(100)
  if (roll < 12 && files.length < FILES_MAX) return { op: 'create', path: place() }
  if (roll < 16 && folders.length < FOLDERS_MAX) return { op: 'mkdir', path: place() }
  if (roll < 48) return write(file, random)
  if (roll < 54) return { op: 'truncate', path: file.path, size: size(random) }
  if (roll < 66)
    return { op: 'rename', path: random.below(4) > 0 ? some() : place(), to: place(), flags: random.below(3) }
  if (roll < 72) return { op: 'unlink', path: some() }
  if (roll < 75) return { op: 'rmdir', path: model.pathOf(random.pick(folders)) || place() }
  if (roll < 79) return { op: 'link', path: some(), to: place() }
  if (roll < 81) return { op: 'symlink', path: place(), target: 'x'.repeat(1 + random.below(300)) }
  if (roll < 85) return { op: 'chmod', path: some(), mode: random.below(0o1000) }
  if (roll < 90) {
    const value = random.below(3) > 0 ? 'v'.repeat(random.below(200)) : undefined
    return { op: 'xattr', path: file.path, name: `user.${random.pick(NAMES.slice(0, 3))}`, value }
  }
  return { op: 'fsync', path: file.path }
}

const size = (random: Random) =>
  random.pick([
    random.below(600),
    random.below(600),
    random.below(5000),
    65_000 + random.below(1000),
    random.below(LARGEST),
  ])

function write({ path, node }: { path: string; node: ModelNode }, random: Random): Op {
  const at = Math.min(random.pick([0, 0, node.bytes.length, size(random)]), LARGEST)
  // Now and then a file that is written whole and large.
  const length = 1 + (random.below(6) === 0 ? random.below(LARGEST) : random.below(random.pick([100, 1000, 9000])))
  return { op: 'write', path, at, length: Math.max(1, Math.min(length, LARGEST - at)), fill: 1 + random.below(255) }
}

function nodeAt(model: Model, path: string): { folder?: ModelNode; key: string; node?: ModelNode } {
  const parts = path.split('/').filter((part) => part)
  const key = parts.pop() ?? ''
  let folder: ModelNode | undefined = model.root
  for (const part of parts) folder = folder?.entries.get(part)
  return { folder, key, node: folder?.entries.get(key) }
}

/** Does it in the model. Answers 0 or the errno that the volume has to answer. */
export function applyOp(model: Model, op: Op): number {
  const { folder, key, node } = nodeAt(model, op.path)
  if (!folder) throw new Error(`No folder of ${op.path}`)
  switch (op.op) {
    case 'mkdir':
      return model.make(folder, key, 'folder')
    case 'create':
      return model.make(folder, key, 'file')
    case 'symlink':
      return model.make(folder, key, 'symlink', Buffer.from(op.target))
    case 'write':
      model.write(node!, op.at, bytesOf(op.fill, op.at, op.length))
      return 0
    case 'truncate':
      model.truncate(node!, op.size)
      return 0
    case 'unlink':
      return model.unlink(folder, key)
    case 'rmdir':
      return model.rmdir(folder, key)
    case 'rename': {
      const to = nodeAt(model, op.to)
      return model.rename(folder, key, to.folder!, to.key, op.flags)
    }
    case 'link': {
      const to = nodeAt(model, op.to)
      return node ? model.link(node, to.folder!, to.key) : -2
    }
    case 'chmod':
      if (!node) return -2
      node.mode = op.mode
      return 0
    case 'xattr':
      return xattr(node!, op.name, op.value)
    case 'fsync':
      return 0
  }
}

function xattr(node: ModelNode, key: string, value: string | undefined): number {
  node.xattrs ??= new Map()
  if (value !== undefined) node.xattrs.set(key, value)
  else if (!node.xattrs.delete(key)) return -61
  return 0
}

const answer = (result: unknown): number => (typeof result === 'number' ? Math.min(result, 0) : 0)

/** Does it in the volume. Answers 0 or an errno; what the model says, if all is well. */
export function doOp(shell: Pick<Shell, 'fs' | 'find'>, op: Op): number {
  const { fs } = shell
  const find = (path: string): Attributes => ok<Attributes>(shell.find(path))
  const split = (path: string): [number, Buffer] => {
    const at = path.lastIndexOf('/')
    return [find(path.slice(0, at)).ino, name(path.slice(at + 1))]
  }
  const made = (result: Attributes | number): number => {
    if (typeof result !== 'number') fs.forget(result.ino, 1)
    return answer(result)
  }
  switch (op.op) {
    case 'mkdir':
      return made(fs.mkdir(ROOT, ...split(op.path), 0o755))
    case 'create':
      return made(fs.mknod(ROOT, ...split(op.path), 0o100644, 0))
    case 'symlink':
      return made(fs.symlink(ROOT, ...split(op.path), Buffer.from(op.target)))
    case 'unlink':
      return fs.unlink(ROOT, ...split(op.path))
    case 'rmdir':
      return fs.rmdir(ROOT, ...split(op.path))
    case 'rename':
      return fs.rename(ROOT, ...split(op.path), ...split(op.to), op.flags)
    case 'truncate':
      return answer(fs.setattr(ROOT, find(op.path).ino, { size: op.size }))
    case 'write':
      return opened(fs, find(op.path).ino, (ino, handle) =>
        answer(fs.write(ROOT, ino, handle, op.at, bytesOf(op.fill, op.at, op.length), false)),
      )
    case 'fsync':
      return opened(fs, find(op.path).ino, (ino, handle) => answer(fs.fsync(ROOT, ino, handle, false)))
    case 'link': {
      const from = shell.find(op.path)
      return typeof from === 'number' ? from : made(fs.link(ROOT, from.ino, ...split(op.to)))
    }
    case 'chmod': {
      const found = shell.find(op.path)
      return typeof found === 'number' ? found : answer(fs.setattr(ROOT, found.ino, { mode: op.mode }))
    }
    case 'xattr': {
      const { ino } = find(op.path)
      if (op.value === undefined) return fs.removexattr(ROOT, ino, name(op.name))
      return fs.setxattr(ROOT, ino, name(op.name), name(op.value), 0)
    }
  }
}

function opened(fs: Shell['fs'], ino: number, use: (ino: number, handle: number) => number): number {
  const made = fs.open(ROOT, ino, O_RDWR)
  if (typeof made === 'number') return made
  const done = use(ino, made.handle)
  fs.release(ino, made.handle)
  return done
}

/** What is at a path: of files `bytes`, of links their target. */
export interface Seen {
  kind: 'file' | 'folder' | 'symlink'
  mode: number
  nlink: number
  xattrs: string
  bytes: Buffer
  /** Which file it is, where two names may be the same one. */
  id: unknown
}

export type Tree = Map<string, Seen>

const KIND: Record<number, Seen['kind']> = { 4: 'folder', 8: 'file', 10: 'symlink' }

const listed = (xattrs: Iterable<readonly [string, string]>) =>
  [...xattrs]
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(' ')

export function treeOfModel(model: Model): Tree {
  const found: Tree = new Map()
  const visit = (folder: ModelNode, path: string) => {
    for (const [key, node] of folder.entries) {
      const { kind, mode, nlink, bytes } = node
      const at = `${path}/${key}`
      // Writes to the model make new buffers, so what is kept here does not change.
      found.set(at, { kind, mode, nlink, bytes, id: node, xattrs: listed(node.xattrs ?? []) })
      if (kind === 'folder') visit(node, at)
    }
  }
  visit(model.root, '')
  return found
}

/** Everything in the volume, read. Throws if something cannot be read. */
export function treeOfVolume(sh: Shell): Tree {
  const found: Tree = new Map()
  const visit = (path: string) => {
    for (const { name: key } of sh.list(path)) {
      const at = `${path}/${key}`
      const { ino, mode, nlink } = sh.stat(at)
      const kind = KIND[mode >> 12]
      const bytes = kind === 'file' ? sh.read(at) : kind === 'symlink' ? ok<Buffer>(sh.fs.readlink(ROOT, ino)) : EMPTY
      found.set(at, { kind, mode: mode & 0o7777, nlink, bytes: Buffer.from(bytes), id: ino, xattrs: xattrsOf(sh, ino) })
      if (kind === 'folder') visit(at)
    }
  }
  visit('')
  return found
}

const EMPTY = Buffer.alloc(0)

function xattrsOf(sh: Shell, ino: number): string {
  const names = ok<Buffer>(sh.fs.listxattr(ROOT, ino))
  const keys = names.toString('latin1').split('\0').slice(0, -1)
  return listed(keys.map((key) => [key, ok<Buffer>(sh.fs.getxattr(ROOT, ino, name(key))).toString('latin1')] as const))
}

/** What differs, in words; undefined: nothing. `bytes`: whether these contents are good enough. */
export function difference(
  actual: Tree,
  wanted: Tree,
  bytes = (found: Seen, want: Seen) => found.bytes.equals(want.bytes),
): string | undefined {
  for (const [path, want] of wanted) {
    const found = actual.get(path)
    if (!found) return `${path} is missing`
    for (const key of ['kind', 'mode', 'nlink', 'xattrs'] as const)
      if (found[key] !== want[key]) return `${path}: ${key} is ${found[key]}, should be ${want[key]}`
    if (!bytes(found, want)) return `${path}: other bytes (${found.bytes.length}, should be ${want.bytes.length})`
  }
  for (const path of actual.keys()) if (!wanted.has(path)) return `${path} should not be there`
  return undefined
}

/** Of a write that was under way each byte may be there or not, where it goes into a spool. */
export function halfDone(before: Seen | undefined, after: Seen): (found: Seen, want: Seen) => boolean {
  return (found, want) => {
    if (want.id !== after.id) return found.bytes.equals(want.bytes)
    if (!before || after.bytes.length <= 1 << 16) return false
    if (found.bytes.length > Math.max(before.bytes.length, after.bytes.length)) return false
    return found.bytes.every((byte, i) => byte === (before.bytes[i] ?? 0) || byte === (after.bytes[i] ?? 0))
  }
}

/** `count` operations, done in the model as well. */
export function plan(model: Model, random: Random, count: number): { ops: Op[]; answers: number[] } {
  const ops: Op[] = []
  const answers: number[] = []
  for (let i = 0; i < count; i++) {
    const op = nextOp(model, random)
    ops.push(op)
    answers.push(applyOp(model, op))
  }
  return { ops, answers }
}

export function assertSame(actual: Tree, wanted: Tree, what: string): void {
  const differs = difference(actual, wanted)
  assert.equal(differs, undefined, `${what}: ${differs}`)
}

/** A deep copy, hard links and all. */
export function cloneModel(model: Model): Model {
  const copies = new Map<ModelNode, ModelNode>()
  const copy = (node: ModelNode): ModelNode => {
    const known = copies.get(node)
    if (known) return known
    const made: ModelNode = { ...node, entries: new Map(), xattrs: node.xattrs && new Map(node.xattrs) }
    copies.set(node, made)
    if (node.parent) made.parent = copy(node.parent)
    for (const [key, child] of node.entries) made.entries.set(key, copy(child))
    return made
  }
  const made = new Model()
  Object.assign(made.root, copy(model.root))
  const old = copies.get(model.root)
  for (const node of copies.values()) if (node.parent === old) node.parent = made.root
  made.root.parent = made.root
  return made
}
