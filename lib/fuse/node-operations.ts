// Operations on inodes, names and extended attributes. Own nothing.

import { EINVAL, ENAMETOOLONG, ENOENT, ERANGE } from './errno.js'
import { Init, SETXATTR_ACL_KILL_SGID, XATTR_SIZE_MAX } from './opcodes.js'
import { ENTRY_OUT, putNoEntry, u64 } from './protocol.js'
import { OUT, Serving, split } from './serving.js'

const S_IFDIR = 0o040000

export abstract class NodeOperations extends Serving {
  protected lookup(node: number): void {
    const name = this.name(0)
    const found = name ? this.fs.lookup(this.caller, node, name) : ENAMETOOLONG
    const remembered = this.options.negativeTimeout > 0 && node < this.options.volatileFrom
    if (found !== ENOENT || !remembered) return this.entry(found)
    const { sec, nsec } = split(this.options.negativeTimeout)
    putNoEntry(this.out, OUT, sec, nsec)
    this.reply.content(ENTRY_OUT)
  }

  protected batchForget(): void {
    this.reply.none()
    const count = Math.min(this.in[0], Math.floor((this.length - 8) / 16))
    for (let i = 0, at = 2; i < count; i++, at += 4) this.fs.forget(u64(this.in, at), u64(this.in, at + 2))
  }

  protected makeNode(node: number): void {
    const name = this.name(16)
    this.caller.umask = this.in[2]
    this.entry(name ? this.fs.mknod(this.caller, node, name, this.in[0], this.in[1]) : ENAMETOOLONG)
  }

  protected makeDirectory(node: number): void {
    const name = this.name(8)
    this.caller.umask = this.in[1]
    this.entry(name ? this.fs.mkdir(this.caller, node, name, this.in[0] | S_IFDIR) : ENAMETOOLONG)
  }

  protected symlink(node: number): void {
    const name = this.name(0)
    if (!name) return this.reply.error(ENAMETOOLONG)
    this.entry(this.fs.symlink(this.caller, node, name, this.text(name.length + 1)))
  }

  protected link(node: number): void {
    const name = this.name(8)
    this.entry(name ? this.fs.link(this.caller, u64(this.in, 0), node, name) : ENAMETOOLONG)
  }

  protected rename(node: number, at: number, flags: number): void {
    const name = this.name(at)
    const newName = name && this.name(at + name.length + 1)
    if (!newName) return this.reply.error(ENAMETOOLONG)
    this.reply.error(this.fs.rename(this.caller, node, name, u64(this.in, 0), newName, flags))
  }

  protected getxattr(node: number): void {
    const name = this.name(8)
    this.sized(name ? this.fs.getxattr(this.caller, node, name) : ERANGE, this.in[0])
  }

  protected setxattr(node: number): void {
    const extended = (this.memory.negotiated!.flags & Init.SETXATTR_EXT) !== 0
    const at = extended ? 16 : 8
    const size = this.in[0]
    const name = this.name(at)
    if (!name) return this.reply.error(ERANGE)
    const start = at + name.length + 1
    if (size > XATTR_SIZE_MAX || start + size > this.length) return this.reply.error(EINVAL)
    const value = this.body.subarray(start, start + size)
    const kill = extended && (this.in[2] & SETXATTR_ACL_KILL_SGID) !== 0
    this.reply.error(this.fs.setxattr(this.caller, node, name, value, this.in[1], kill))
  }
}
