// What a tree is, exactly: every path with kind, mode, owner, mtime in nanoseconds, links, content hash and extended
// attributes. Two trees are equal when their manifests are.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import path from 'node:path'

const PIECE = Buffer.allocUnsafe(1 << 20)

function bytesOf(root: string, relative: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(relative, 'latin1')])
}

function hashOf(file: Buffer): string {
  const hash = createHash('sha256')
  const fd = openSync(file, 'r')
  try {
    for (let n = readSync(fd, PIECE); n > 0; n = readSync(fd, PIECE)) hash.update(PIECE.subarray(0, n))
  } finally {
    closeSync(fd)
  }
  return hash.digest('hex')
}

/** Lines by relative path (bytes as latin1, since names need not be UTF-8). The root itself is left out. */
export function manifest(root: string): Map<string, string> {
  const lines = new Map<string, string>()
  const visit = (folder: string) => {
    const names = readdirSync(bytesOf(root, folder), { encoding: 'buffer' }).map((name) => name.toString('latin1'))
    for (const name of names.sort()) {
      const relative = path.posix.join(folder, name)
      const full = bytesOf(root, relative)
      const s = lstatSync(full, { bigint: true })
      const content = s.isFile()
        ? `${s.size} ${hashOf(full)}`
        : s.isSymbolicLink()
          ? readlinkSync(full, { encoding: 'buffer' }).toString('latin1')
          : ''
      lines.set(relative, `${s.mode.toString(8)} ${s.uid}:${s.gid} ${s.mtimeNs} ${content}`)
      if (s.isDirectory()) visit(relative)
    }
  }
  visit('')
  for (const [file, xattrs] of xattrsBelow(root)) lines.set(file, `${lines.get(file)} ${xattrs}`)
  return lines
}

function xattrsBelow(root: string): Map<string, string> {
  const done = spawnSync('getfattr', ['-R', '-h', '-d', '-m', '-', '.'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (done.error) throw done.error
  const found = new Map<string, string>()
  for (const block of done.stdout.split('\n\n')) {
    const [head, ...values] = block.trim().split('\n')
    if (head?.startsWith('# file: ')) found.set(head.slice('# file: '.length), values.sort().join(' '))
  }
  return found
}

/** Differences in words, at most `limit`; empty when equal. */
export function differences(a: Map<string, string>, b: Map<string, string>, limit = 20): string[] {
  const told: string[] = []
  for (const [file, line] of a) {
    if (told.length >= limit) break
    const other = b.get(file)
    if (other === undefined) told.push(`only in the first: ${file}`)
    else if (other !== line) told.push(`differs: ${file}\n  ${line}\n  ${other}`)
  }
  for (const file of b.keys()) if (!a.has(file) && told.length < limit) told.push(`only in the second: ${file}`)
  return told
}
