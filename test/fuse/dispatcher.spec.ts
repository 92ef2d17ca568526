// The dispatcher without a kernel: requests are laid into its buffers, answers are read from the other end of a pipe.

import assert from 'node:assert/strict'
import { closeSync, readSync } from 'node:fs'
import fc from 'fast-check'
import { Dispatcher } from '../../lib/fuse/dispatcher.js'
import { EINVAL, EIO, ENAMETOOLONG, ENOENT, ENOSYS } from '../../lib/fuse/errno.js'
import { type FileSystem, PENDING } from '../../lib/fuse/file-system.js'
import { Opcode } from '../../lib/fuse/opcodes.js'
import { SERVE_DEFAULTS, type ServeOptions } from '../../lib/fuse/options.js'
import { createShared, SessionMemory } from '../../lib/fuse/session.js'
import { setFlags, socketPair } from '../../lib/fuse/syscalls.js'

const NO_ANSWER = [Opcode.FORGET, Opcode.BATCH_FORGET] as number[]

describe('dispatcher', () => {
  let ends: [number, number]
  let calls: [string, ...unknown[]][]
  let errors: Error[]
  /** What the file system answers to everything. */
  let result: unknown

  beforeEach(() => {
    ends = socketPair() as [number, number]
    for (const fd of ends) setFlags(fd, { nonBlocking: true })
    calls = []
    errors = []
    result = ENOENT
  })
  afterEach(() => {
    for (const fd of ends) closeSync(fd)
  })

  function setup(options: Partial<ServeOptions> = {}) {
    const fs = new Proxy({} as FileSystem, {
      get:
        (_, name: string) =>
        (...args: unknown[]) => {
          calls.push([name, ...args.map((a) => (Buffer.isBuffer(a) ? a.toString('latin1') : a))])
          if (result instanceof Error) throw result
          return result
        },
    })
    const memory = new SessionMemory(createShared())
    memory.negotiated = { minor: 40, flags: 1 << 29, flags2: 0, maxWrite: 1 << 20 }
    const all = { ...SERVE_DEFAULTS, ...options }
    const dispatcher = new Dispatcher(fs, ends[0], memory, all, (error) => errors.push(error))
    return { dispatcher, memory }
  }

  let unique = 2
  function serve(on: ReturnType<typeof setup>, opcode: number, body: Uint8Array, node = 1): number {
    unique += 2
    const length = 40 + body.length
    on.memory.header.set([length, opcode, unique, 0, node, 0, 5, 6, 7, 0])
    on.dispatcher.wire.body.set(body)
    on.dispatcher.serve(length)
    return unique
  }

  const into = Buffer.alloc(1 << 20)

  /** The answers written since the last call. */
  function answers(): { errno: number; unique: number; content: Buffer }[] {
    let length = 0
    for (;;)
      try {
        length += readSync(ends[1], into, length, into.length - length, null)
      } catch {
        break
      }
    const found = []
    for (let at = 0; at < length; at += into.readUInt32LE(at)) {
      assert.ok(into.readUInt32LE(at) >= 16)
      const content = Buffer.from(into.subarray(at + 16, at + into.readUInt32LE(at)))
      found.push({ errno: into.readInt32LE(at + 4), unique: into.readUInt32LE(at + 8), content })
    }
    return found
  }

  const name = (text: string) => Buffer.from(`${text}\0`)

  it('names: 255 bytes reach the file system, 256 do not', () => {
    const on = setup({ negativeTimeout: 0 })
    serve(on, Opcode.LOOKUP, name('x'.repeat(255)))
    serve(on, Opcode.LOOKUP, name('x'.repeat(256)))
    serve(on, Opcode.RENAME, Buffer.concat([Buffer.alloc(8), name('a'), name('y'.repeat(256))]))
    assert.deepEqual(
      answers().map((a) => a.errno),
      [ENOENT, ENAMETOOLONG, ENAMETOOLONG],
    )
    assert.equal(calls.length, 1)
  })

  it('a missing name is told as one to remember, with the option', () => {
    const on = setup({ negativeTimeout: 60 })
    serve(on, Opcode.LOOKUP, name('none'))
    const [answer] = answers()
    assert.equal(answer.errno, 0)
    assert.equal(answer.content.readBigUInt64LE(0), 0n)
  })

  it('what is told of inodes from a number on is believed for a moment only, and what is missing there not at all', () => {
    const on = setup({
      entryTimeout: 60,
      attributeTimeout: 50,
      negativeTimeout: 40,
      volatileFrom: 100,
      volatileTimeout: 3,
    })
    const shown = { mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0, size: 0, blocks: 0 }
    const times = { atimeSec: 0, atimeNsec: 0, mtimeSec: 0, mtimeNsec: 0, ctimeSec: 0, ctimeNsec: 0 }
    const lookup = (ino: number) => {
      result = { ino, ...shown, ...times }
      serve(on, Opcode.LOOKUP, name('a'))
      serve(on, Opcode.GETATTR, Buffer.alloc(16), ino)
      const [entry, attributes] = answers().map(({ content }) => content)
      return [entry.readBigUInt64LE(16), entry.readBigUInt64LE(24), attributes.readBigUInt64LE(0)].map(Number)
    }
    assert.deepEqual(lookup(99), [60, 50, 50])
    assert.deepEqual(lookup(100), [3, 3, 3])
    result = ENOENT
    serve(on, Opcode.LOOKUP, name('none'), 99)
    serve(on, Opcode.LOOKUP, name('none'), 100)
    assert.deepEqual(
      answers().map(({ errno }) => errno),
      [0, ENOENT],
    )
  })

  it('what the file system throws becomes EIO, and serving goes on', () => {
    const on = setup()
    result = new Error('broken')
    const asked = serve(on, Opcode.GETATTR, Buffer.alloc(16))
    result = ENOENT
    serve(on, Opcode.GETATTR, Buffer.alloc(16))
    assert.deepEqual(
      answers().map(({ errno, unique }) => [errno, unique]),
      [
        [EIO, asked],
        [ENOENT, asked + 2],
      ],
    )
    assert.deepEqual(
      errors.map((e) => e.message),
      ['broken'],
    )
  })

  it('with crashOnError it is thrown on, after the answer', () => {
    const on = setup({ crashOnError: true })
    result = new Error('broken')
    assert.throws(() => serve(on, Opcode.GETATTR, Buffer.alloc(16)), /broken/)
    assert.equal(answers()[0].errno, EIO)
  })

  it('nonsense from the file system becomes EIO', () => {
    const on = setup()
    for (const nonsense of [undefined, null]) {
      result = nonsense
      serve(on, Opcode.GETATTR, Buffer.alloc(16))
    }
    assert.deepEqual(
      answers().map((a) => a.errno),
      [EIO, EIO],
    )
  })

  it('pending: no answer, its number is kept until it is completed', () => {
    const on = setup()
    result = PENDING
    const asked = serve(on, Opcode.FSYNC, Buffer.alloc(16))
    assert.deepEqual(answers(), [])
    assert.deepEqual(on.memory.takeUnanswered(), [{ low: asked, high: 0 }])
    result = 0
    serve(on, Opcode.FSYNC, Buffer.alloc(16))
    assert.equal(answers()[0].errno, 0)
    assert.deepEqual(on.memory.takeUnanswered(), [])
  })

  it('an unknown request and those that the kernel does itself are ENOSYS', () => {
    const on = setup()
    for (const opcode of [Opcode.ACCESS, Opcode.INTERRUPT, Opcode.GETLK, Opcode.FLUSH, 60, 63, 64, 4096, 0xffffffff])
      serve(on, opcode, Buffer.alloc(64))
    assert.ok(answers().every((a) => a.errno === ENOSYS))
    assert.equal(calls.length, 0)
  })

  it('a write that says it is longer than it is, is refused', () => {
    const on = setup()
    const body = Buffer.alloc(50)
    body.writeUInt32LE(11, 16)
    serve(on, Opcode.WRITE, body)
    assert.equal(answers()[0].errno, EINVAL)
    assert.equal(calls.length, 0)
  })

  it('forgetting many at once is bounded by the request', () => {
    const on = setup()
    const body = Buffer.alloc(8 + 32)
    body.writeUInt32LE(0xffffffff, 0)
    body.writeBigUInt64LE(5n, 8)
    body.writeBigUInt64LE(2n, 16)
    serve(on, Opcode.BATCH_FORGET, body)
    assert.deepEqual(calls, [
      ['forget', 5, 2],
      ['forget', 0, 0],
    ])
    assert.deepEqual(answers(), [])
  })

  it('counts what it serves', () => {
    const on = setup()
    serve(on, Opcode.LOOKUP, name('a'))
    serve(on, Opcode.LOOKUP, name('b'))
    serve(on, 4711, Buffer.alloc(0))
    assert.deepEqual(on.memory.counts(), { LOOKUP: 2, OTHER: 1 })
  })

  it('whatever comes, there is exactly one answer and nothing is thrown', () => {
    const on = setup()
    const results = fc.constantFrom<unknown>(
      0,
      ENOENT,
      5,
      2 ** 40,
      {},
      undefined,
      Buffer.from('x'),
      PENDING,
      new Error('x'),
    )
    const property = fc.property(fc.nat(70), fc.uint8Array({ maxLength: 200 }), results, (opcode, body, next) => {
      result = next
      const asked = serve(on, opcode, body)
      const got = answers()
      if (NO_ANSWER.includes(opcode)) return assert.equal(got.length, 0)
      const pending = on.memory.takeUnanswered()
      assert.equal(got.length + pending.length, 1)
      if (got.length > 0) assert.equal(got[0].unique, asked)
      else assert.ok(next === PENDING && pending[0].low === asked)
    })
    fc.assert(property, { numRuns: 2000 })
  })
})
