// A POSIX tree, as simple as can be: what the engine is compared with. Answers results or errnos like a FileSystem.

import { EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } from '../../../lib/fuse/errno.js'

export interface ModelNode {
  kind: 'file' | 'folder' | 'symlink'
  mode: number
  nlink: number
  bytes: Buffer
  entries: Map<string, ModelNode>
  parent?: ModelNode
  mtime?: number
  xattrs?: Map<string, string>
}

export class Model {
  readonly root = node('folder', 0o755)

  constructor() {
    this.root.nlink = 2
    this.root.parent = this.root
  }

  folders(): ModelNode[] {
    const found: ModelNode[] = []
    const visit = (folder: ModelNode) => {
      found.push(folder)
      for (const child of folder.entries.values()) if (child.kind === 'folder') visit(child)
    }
    visit(this.root)
    return found
  }

  pathOf(folder: ModelNode): string {
    if (folder === this.root) return ''
    const [name] = [...folder.parent!.entries].find(([, child]) => child === folder)!
    return `${this.pathOf(folder.parent!)}/${name}`
  }

  make(folder: ModelNode, name: string, kind: ModelNode['kind'], bytes = Buffer.alloc(0)): number {
    if (folder.entries.has(name)) return EEXIST
    const made = node(kind, kind === 'symlink' ? 0o777 : kind === 'folder' ? 0o755 : 0o644)
    made.bytes = bytes
    folder.entries.set(name, made)
    if (kind === 'folder') {
      made.parent = folder
      made.nlink = 2
      folder.nlink++
    }
    return 0
  }

  write(file: ModelNode, offset: number, data: Buffer): void {
    const bytes = Buffer.alloc(Math.max(file.bytes.length, offset + data.length))
    file.bytes.copy(bytes)
    data.copy(bytes, offset)
    file.bytes = bytes
  }

  truncate(file: ModelNode, size: number): void {
    const bytes = Buffer.alloc(size)
    file.bytes.copy(bytes, 0, 0, size)
    file.bytes = bytes
  }

  unlink(folder: ModelNode, name: string): number {
    const found = folder.entries.get(name)
    if (!found) return ENOENT
    if (found.kind === 'folder') return EISDIR
    folder.entries.delete(name)
    found.nlink--
    return 0
  }

  rmdir(folder: ModelNode, name: string): number {
    const found = folder.entries.get(name)
    if (!found) return ENOENT
    if (found.kind !== 'folder') return ENOTDIR
    if (found.entries.size > 0) return ENOTEMPTY
    folder.entries.delete(name)
    folder.nlink--
    found.nlink = 0
    return 0
  }

  link(from: ModelNode, folder: ModelNode, name: string): number {
    if (from.kind === 'folder') return EPERM
    if (folder.entries.has(name)) return EEXIST
    folder.entries.set(name, from)
    from.nlink++
    return 0
  }

  #within(folder: ModelNode, top: ModelNode): boolean {
    for (let at = folder; ; at = at.parent!) {
      if (at === top) return true
      if (at === this.root) return false
    }
  }

  rename(folder: ModelNode, name: string, target: ModelNode, newName: string, flags: number): number {
    const from = folder.entries.get(name)
    if (!from) return ENOENT
    const to = target.entries.get(newName)
    if (from.kind === 'folder' && this.#within(target, from)) return EINVAL
    if (flags === 2) return to ? this.#exchange(folder, name, from, target, newName, to) : ENOENT
    if (to) {
      if (flags === 1) return EEXIST
      if (to === from) return 0
      if (from.kind === 'folder' && to.kind !== 'folder') return ENOTDIR
      if (from.kind !== 'folder' && to.kind === 'folder') return EISDIR
      if (to.entries.size > 0) return ENOTEMPTY
      to.nlink = to.kind === 'folder' ? 0 : to.nlink - 1
      if (to.kind === 'folder') target.nlink--
    }
    folder.entries.delete(name)
    target.entries.set(newName, from)
    this.#moved(from, folder, target)
    return 0
  }

  #moved(child: ModelNode, from: ModelNode, to: ModelNode): void {
    if (child.kind !== 'folder') return
    child.parent = to
    from.nlink--
    to.nlink++
  }

  #exchange(a: ModelNode, nameA: string, from: ModelNode, b: ModelNode, nameB: string, to: ModelNode): number {
    if (from === to) return 0
    if (to.kind === 'folder' && this.#within(a, to)) return EINVAL
    a.entries.set(nameA, to)
    b.entries.set(nameB, from)
    this.#moved(from, a, b)
    this.#moved(to, b, a)
    return 0
  }
}

function node(kind: ModelNode['kind'], mode: number): ModelNode {
  return { kind, mode, nlink: 1, bytes: Buffer.alloc(0), entries: new Map() }
}
