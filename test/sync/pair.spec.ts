import assert from 'node:assert/strict'
import { hex, unhex } from '../../lib/model/bytes.js'
import { PART_CONTENT } from '../../lib/model/types.js'
import { decodeFrame, type FrameBody } from '../../lib/sync/messages.js'
import { noise } from '../model/support.js'
import { type Device, Network, turn } from './simulation/network.js'
import type { MemoryVolume } from './simulation/volume.js'

const quiet = async (turns = 200) => {
  for (let i = 0; i < turns; i++) await turn()
}

/** Sees every message without changing any. */
function watching(see: (message: FrameBody, from: string) => void) {
  return (frame: Uint8Array, from: string) => {
    see(decodeFrame(Uint8Array.from(frame)), from)
    return frame
  }
}

describe('Synchronization of a pair', () => {
  let net: Network
  let a: Device
  let b: Device

  beforeEach(async () => {
    net = new Network()
    a = await net.device('a')
    b = await net.device('b')
  })

  afterEach(() => net.stop())

  const root = (volume: MemoryVolume) => volume.root

  it('pushes a small change in one message, without any question', async () => {
    let questions = 0
    const batches: number[] = []
    a.volume.mkdir(root(a.volume), 'folder')
    net.connect(a, b, {
      onFrame: watching((message, from) => {
        if (message.get) questions++
        if (message.changes && from === 'a') batches.push(message.changes.changes.length)
      }),
    })
    await net.converge()
    batches.length = 0
    const [[, folder]] = a.volume.ls(root(a.volume))
    a.volume.create(folder, 'note', noise(30_000))
    await net.converge()
    assert.deepEqual(batches, [2], 'the file and its folder')
    assert.equal(questions, 0)
    net.assertEqual()
  })

  it('does not tell a device what it has told itself', async () => {
    const back: FrameBody[] = []
    a.volume.create(root(a.volume), 'one', noise(50_000))
    const link = net.connect(a, b, {
      onFrame: watching((message, from) => void (from === 'b' && message.changes && back.push(message))),
    })
    await net.converge()
    assert.ok(back.length > 0)
    assert.deepEqual(
      back.flatMap((message) => message.changes!.changes.filter((c) => hex(c.document) !== hex(b.volume.root))),
      [],
    )
    assert.ok(link.bytes < 60_000, `${link.bytes} bytes`)
  })

  it('brings over every version of a file, with few questions', async () => {
    const file = a.volume.create(root(a.volume), 'file', 'version 0')
    for (let i = 1; i < 300; i++) a.volume.write(file, `version ${i} ${'x'.repeat(i * 3)}`)
    a.volume.commit()
    let questions = 0
    net.connect(a, b, { onFrame: watching((message) => void (message.get && questions++)) })
    await net.converge()
    net.assertEqual()
    net.assertNothingLost()
    assert.ok(questions <= 10, `${questions} questions`)
  })

  it('asks for what it does not have of a history, and for no more', async () => {
    const file = a.volume.create(root(a.volume), 'file', 'version 0')
    for (let i = 1; i < 50; i++) a.volume.write(file, `version ${i}`)
    net.connect(a, b)
    await net.converge()
    net.cutAll()
    await quiet()
    for (let i = 50; i < 53; i++) a.volume.write(file, `version ${i}`)
    a.volume.commit()
    let told = 0
    net.connect(a, b, { onFrame: watching((message) => void (told += message.answer?.revisions.length ?? 0)) })
    await net.converge()
    net.assertNothingLost()
    assert.equal(told, 2, 'the head came along')
  })

  it('does not keep the position before what was applied is durable', async () => {
    await b.restart()
    const slow = await net.device('slow', { commits: 'manual' })
    a.volume.create(root(a.volume), 'file', 'precious')
    net.connect(a, slow)
    await net.until(
      () => slow.volume.ls(slow.volume.root).length === 1,
      () => net.describe(),
    )
    await quiet()
    await slow.restart(true)
    assert.equal(slow.volume.ls(slow.volume.root).length, 0, 'the power cut took it away')
    net.connect(a, slow)
    await net.until(
      () => slow.volume.ls(slow.volume.root).length === 1,
      () => net.describe(),
    )
    slow.volume.commit()
    assert.deepEqual(slow.volume.audit(), [])
  })

  it('goes on with a large file where the link was cut', async () => {
    const size = 12 << 20
    a.volume.create(root(a.volume), 'large', noise(size))
    let bytes = 0
    for (let cuts = 0; cuts < 50; cuts++) {
      const link = net.connect(a, b, { cutAfter: 14 })
      let over = false
      void link.closed.then(() => (over = true))
      const isThere = () => b.volume.heads().size === a.volume.heads().size
      await net.until(
        () => over || isThere(),
        () => net.describe(),
      )
      bytes += link.bytes
      if (isThere()) break
      await quiet(20)
    }
    net.cutAll()
    await quiet(20)
    net.connect(a, b)
    await net.converge()
    net.assertEqual()
    assert.ok(bytes < 2.2 * size, `${bytes} bytes for ${size}`)
    assert.ok(b.volume.counts.importedBytes < 1.02 * size, 'no chunk is fetched twice that came')
  })

  it('keeps little in memory, on both sides, however large a file is', async () => {
    const size = 24 << 20
    a.volume.create(root(a.volume), 'large', noise(size))
    let reading = 0
    let most = 0
    a.volume.onRead = async () => {
      most = Math.max(most, ++reading)
      await turn()
      reading--
    }
    const link = net.connect(a, b, { window: 256 << 10, delay: 3, random: () => 0.9 })
    await net.converge()
    net.assertEqual()
    const ends = [link.ends[1].channel.bulk, link.ends[1].channel.control]
    for (const channel of ends) assert.ok(channel.mostUnread < 3 << 20, `${channel.mostUnread} bytes`)
    assert.ok(most <= 64, `${most} chunks read at a time`)
  })

  it('lets one document that cannot be imported wait, and does the others', async () => {
    const bad = a.volume.create(root(a.volume), 'bad', 'it cannot be')
    for (let i = 0; i < 20; i++) a.volume.create(root(a.volume), `good${i}`, `content ${i}`)
    a.volume.commit()
    const badHead = hex(a.volume.head(bad)!.head)
    let broken = true
    b.volume.onImport = (revisions) => {
      const hits = revisions.some((r) => r.parts.get(PART_CONTENT)?.inline?.length === 12 && broken)
      if (hits) throw new Error('this disk has a hole')
    }
    net.connect(a, b)
    const [worker] = b.workers()
    await net.until(
      () => b.volume.heads().size >= 21 && b.workers().some((w) => w.fetcher.pending.size > 0),
      () => net.describe(),
    )
    const waiting = b.workers()[0].fetcher.pending.list()
    assert.ok(waiting.some((w) => hex(w.document) === hex(bad) && w.reason === 'this disk has a hole'))
    assert.ok(waiting.every((w) => hex(w.head) === badHead || hex(w.document) === hex(root(a.volume))))
    assert.equal(worker, undefined)
    await b.restart()
    broken = false
    net.connect(a, b)
    assert.ok(b.volume.setting(`sync/pending/${hex(a.volume.sid)}/0`), 'what waits survives a restart')
    await net.until(
      () => b.workers().length > 0,
      () => net.describe(),
    )
    b.steer('retry')
    await net.converge()
    net.assertEqual()
    assert.equal(b.workers()[0].fetcher.pending.size, 0)
  })

  it('waits for a document that is open for writing, and merges when it is closed', async () => {
    const file = a.volume.create(root(a.volume), 'file', 'one\ntwo\nthree\n')
    net.connect(a, b)
    await net.converge()
    b.volume.open.add(hex(file))
    b.volume.write(file, 'ONE\ntwo\nthree\n')
    a.volume.write(file, 'one\ntwo\nTHREE\n')
    a.volume.create(root(a.volume), 'other', 'is not held up')
    await net.until(
      () => b.workers()[0].fetcher.pending.size === 1 && b.volume.heads().size === 3,
      () => net.describe(),
    )
    assert.match(b.workers()[0].fetcher.pending.list()[0].reason, /open for writing/)
    b.volume.open.delete(hex(file))
    b.volume.commit()
    await net.converge()
    assert.equal(Buffer.from(a.volume.bytes(file)).toString(), 'ONE\ntwo\nTHREE\n')
    net.assertEqual()
    net.assertNothingLost()
  })

  it('looks again when the head moved while it was looking', async () => {
    const file = a.volume.create(root(a.volume), 'file', 'one\ntwo\nthree\n')
    net.connect(a, b)
    await net.converge()
    let times = 0
    b.volume.onApply = (changes) => {
      if (!changes.some(({ document }) => hex(document) === hex(file)) || times++ > 0) return
      b.volume.write(file, 'ONE\ntwo\nthree\n')
      b.volume.commit()
    }
    a.volume.write(file, 'one\ntwo\nTHREE\n')
    await net.converge()
    assert.ok(times > 0)
    assert.equal(Buffer.from(b.volume.bytes(file)).toString(), 'ONE\ntwo\nTHREE\n')
    net.assertEqual()
  })

  it('fetches what a folder names before the folder, however deep', async () => {
    let folder = a.volume.root
    for (let depth = 0; depth < 10; depth++) {
      const below = a.volume.mkdir(folder, `d${depth}`)
      a.volume.create(folder, 'file', noise(2000, depth))
      folder = below
    }
    a.volume.commit()
    // The documents below change later than the folders, so the folders come first in the feed.
    for (let i = 0; i < 10; i++) {
      const touch = (at: Uint8Array): void => {
        for (const [name, document] of a.volume.ls(at)) {
          if (a.volume.isFolder(document)) touch(document)
          else if (name === 'file') a.volume.write(document, noise(2000 + i))
        }
      }
      touch(a.volume.root)
      a.volume.commit()
    }
    net.connect(a, b)
    await net.converge()
    net.assertEqual()
  })

  it('says of a chunk that is damaged on the other side that the device cannot read it', async () => {
    const file = a.volume.create(root(a.volume), 'file', noise(200_000))
    a.volume.create(root(a.volume), 'fine', 'fine')
    a.volume.commit()
    const content = a.volume.revision(a.volume.head(file)!.head)!.parts.get(PART_CONTENT)!
    const damaged = hex(content.root!)
    a.volume.onRead = (id) => {
      if (hex(id) === damaged) throw new Error('damaged')
    }
    net.connect(a, b)
    await net.until(
      () => (b.workers()[0]?.fetcher.pending.size ?? 0) > 0 && b.volume.heads().size > 1,
      () => net.describe(),
    )
    const reasons = b
      .workers()[0]
      .fetcher.pending.list()
      .map((w) => w.reason)
    assert.ok(
      reasons.some((reason) => reason.includes(damaged)),
      reasons.join(),
    )
    a.volume.onRead = undefined
    b.steer('retry')
    await net.converge()
    net.assertEqual()
  })

  it('takes nothing from a device that may only read, and tells nothing to one that may nothing', async () => {
    b.permission = () => 'read'
    a.volume.create(root(a.volume), 'from a', 'a')
    b.volume.create(root(b.volume), 'from b', 'b')
    net.connect(a, b)
    await net.until(
      () => a.volume.heads().size === 3,
      () => net.describe(),
    )
    await quiet()
    assert.deepEqual(
      b.volume.ls(b.volume.root).map(([name]) => name),
      ['from b'],
    )
    net.cutAll()
    await quiet()
    a.permission = () => undefined
    const seen: FrameBody[] = []
    net.connect(a, b, { onFrame: watching((message, from) => void (from === 'a' && seen.push(message))) })
    await quiet()
    assert.deepEqual(
      seen.flatMap((message) => message.offers?.offers ?? []),
      [],
    )
    assert.ok(seen.every((message) => !message.changes))
  })

  it('stands still while it is paused, and goes on', async () => {
    net.connect(a, b)
    await net.converge()
    b.steer('pause')
    await quiet(20)
    a.volume.create(root(a.volume), 'file', 'x')
    await quiet()
    assert.equal(b.volume.ls(b.volume.root).length, 0)
    b.steer('resume')
    await net.converge()
    net.assertEqual()
  })

  it('stops before most of a volume is removed, until somebody allows it', async () => {
    const folder = a.volume.mkdir(root(a.volume), 'folder')
    for (let i = 0; i < 1200; i++) a.volume.create(folder, `file${i}`, `content ${i}`)
    net.connect(a, b)
    await net.converge()
    a.volume.unlink(root(a.volume), 'folder')
    await net.until(
      () => b.workers()[0].fetcher.halted !== undefined,
      () => net.describe(),
    )
    assert.match(b.workers()[0].fetcher.halted!, /would remove 1201 of 1202/)
    assert.equal(b.volume.ls(folder).length, 1200)
    assert.equal(b.volume.ls(b.volume.root).length, 1)
    b.volume.create(root(b.volume), 'still works', 'x')
    await net.until(
      () => a.volume.ls(a.volume.root).some(([name]) => name === 'still works'),
      () => net.describe(),
    )
    b.steer('allow')
    await net.converge()
    net.assertEqual()
    assert.equal(b.volume.ls(b.volume.root).length, 1)
  })

  it('does not take a move for a removal', async () => {
    const folder = a.volume.mkdir(root(a.volume), 'folder')
    const other = a.volume.mkdir(root(a.volume), 'other')
    for (let i = 0; i < 1200; i++) a.volume.create(folder, `file${i}`, `content ${i}`)
    net.connect(a, b)
    await net.converge()
    a.volume.rename(root(a.volume), 'folder', other, 'moved')
    await net.converge()
    assert.equal(b.volume.tree().size, 1202)
    net.assertEqual()
  })
})

describe('Synchronization of three devices', () => {
  let net: Network

  beforeEach(() => {
    net = new Network()
  })

  afterEach(() => net.stop())

  it('asks only one of two devices for the chunks that both have', async () => {
    const [a, b, c] = [await net.device('a'), await net.device('b'), await net.device('c')]
    a.volume.create(a.volume.root, 'large', noise(8 << 20))
    net.connect(a, b)
    await net.until(
      () => a.volume.heads().size === b.volume.heads().size,
      () => net.describe(),
    )
    net.connect(a, c)
    net.connect(b, c)
    await net.converge()
    net.assertEqual()
    assert.ok(c.volume.counts.importedBytes < 8.3 * (1 << 20), `${c.volume.counts.importedBytes} bytes`)
  })

  it('passes changes on to a device that the author never meets', async () => {
    const [a, b, c] = [await net.device('a'), await net.device('b'), await net.device('c')]
    net.connect(a, b)
    net.connect(b, c)
    a.volume.create(a.volume.root, 'file', 'through b')
    c.volume.create(c.volume.root, 'other', 'the other way')
    await net.converge()
    net.assertEqual()
    assert.equal(a.volume.tree().size, 2)
    void unhex
  })
})
