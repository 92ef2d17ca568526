import assert from 'node:assert/strict'
import { closeSync, fstatSync, openSync } from 'node:fs'
import { duplicates } from '../../lib/fuse/syscalls.js'

describe('system calls', () => {
  if (process.platform !== 'linux') {
    it.skip('not Linux')
    return
  }

  it('duplicates stay open when the first descriptors are closed', () => {
    const fds = [openSync('/dev/null', 'r'), openSync(import.meta.filename, 'r')]
    const inodes = fds.map((fd) => fstatSync(fd).ino)
    const copies = duplicates(fds)!
    for (const fd of fds) closeSync(fd)
    assert.deepEqual(
      copies.map((fd) => fstatSync(fd).ino),
      inodes,
    )
    for (const fd of copies) closeSync(fd)
  })

  it('all or none are duplicated', () => {
    const fd = openSync('/dev/null', 'r')
    const before = openSync('/dev/null', 'r')
    closeSync(before)
    assert.equal(duplicates([fd, 1_000_000]), undefined)
    const after = openSync('/dev/null', 'r')
    assert.equal(after, before, 'a descriptor was left open')
    closeSync(after)
    closeSync(fd)
  })
})
