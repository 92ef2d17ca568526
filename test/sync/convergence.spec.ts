import assert from 'node:assert/strict'
import fc from 'fast-check'
import { hex } from '../../lib/model/bytes.js'
import { encodeFolder } from '../../lib/model/folder.js'
import { logOf } from '../../lib/model/history.js'
import { TYPE_FOLDER } from '../../lib/model/types.js'
import { Feeder } from '../../lib/sync/feeder.js'
import { Fetcher } from '../../lib/sync/fetcher.js'
import { Session } from '../../lib/sync/session.js'
import { settle } from '../support/manual-clock.js'
import { memoryLink } from '../support/memory-link.js'
import { MemoryVolume } from '../support/memory-volume.js'

const id = (n: number) => Uint8Array.from({ length: 16 }, (_, i) => (i === 0 ? n : i))
const author = (n: number) => new Uint8Array(32).fill(n)
const ROOT = id(200)

function volumeOf(n: number, skew = 0): MemoryVolume {
  return new MemoryVolume(id(n), ROOT, author(n), skew)
}

/** A replica that joined: has nothing yet. */
function replicaOf(n: number, skew = 0): MemoryVolume {
  return new MemoryVolume(id(n), ROOT, author(n), skew, false)
}

/** Runs sync between two volumes until nothing is left to do, or the link breaks. */
async function sync(a: MemoryVolume, b: MemoryVolume, cutAfter?: number) {
  const link = memoryLink(['a', 'b'], cutAfter)
  const errors: Error[] = []
  const sides = [a, b].map((volume, i) => {
    const other = i === 0 ? b : a
    const session = new Session({ link: link.ends[i], shared: () => volume })
    const failed = (error: Error) => {
      errors.push(error)
      link.cut()
    }
    const feeder = new Feeder({ volume, send: (changes) => session.send({ changes }), failed })
    const fetcher = new Fetcher(
      {
        volume,
        ask: (question) => session.ask(volume.root, question),
        inFlight: new Map(),
        acknowledge: (seq) => session.send({ ack: { root: volume.root, seq, number: 1 } }),
        failed,
        now: () => 0,
      },
      other.sid,
    )
    session.attach(volume.root, {
      onFollow: (follow) => feeder.follow(follow),
      onAck: (ack) => feeder.acknowledge(ack),
      onChanges: (changes) => fetcher.take(changes),
    })
    const run = session.run()
    const unlisten = volume.on('heads', () => feeder.wake())
    session.send({ follow: { root: volume.root, sid: other.sid, after: fetcher.anchor, number: 1 } }).catch(() => {})
    return { volume, session, feeder, fetcher, run, unlisten }
  })
  const quiet = () =>
    sides.every(
      ({ feeder, fetcher, volume }) => feeder.following && !fetcher.working && feeder.acknowledged === volume.lastSeq(),
    )
  for (let still = 0; still < 4 && !sides.some((side) => side.session.over); still = quiet() ? still + 1 : 0)
    await settle(4)
  for (const side of sides) {
    side.unlisten()
    side.fetcher.stop()
  }
  link.cut()
  await Promise.all(sides.map((side) => side.run))
  return {
    link,
    errors: errors.filter((e) => (e as { code?: string }).code !== 'SYNC_INTERRUPTED' && !/cut/.test(e.message)),
    sides,
  }
}

function headsOf(volume: MemoryVolume): Record<string, string> {
  return Object.fromEntries([...volume.heads.values()].map((h) => [hex(h.document), hex(h.head)]).sort())
}

function assertSame(volumes: MemoryVolume[]): void {
  for (const volume of volumes.slice(1)) {
    assert.deepEqual(headsOf(volume), headsOf(volumes[0]))
    assert.deepEqual(volume.tree(), volumes[0].tree())
  }
}

/** Every head that any device ever had is in the history of the head now. */
function assertNothingLost(volumes: MemoryVolume[]): void {
  const [final] = volumes
  for (const volume of volumes)
    for (const [document, heads] of volume.ledger) {
      const now = final.heads.get(document)
      assert.ok(now, `document ${document} is gone`)
      const log = new Set([...logOf([now.head], (rid) => final.revision(rid))].map(hex))
      for (const head of heads) assert.ok(log.has(head), `a version of ${document} is not in the history`)
    }
}

describe('Sync between volumes in memory', () => {
  it('carries a tree to a replica that has nothing, with all its history', async () => {
    const [a, b] = [volumeOf(1), replicaOf(2)]
    for (let i = 0; i < 50; i++) {
      a.write(id(i), Buffer.from(`file ${i}`))
      a.link(ROOT, `f${i}`, id(i))
      a.write(id(i), Buffer.alloc(3000 * i, `${i} `))
    }
    const { errors } = await sync(a, b)
    assert.deepEqual(errors, [])
    assertSame([a, b])
    assertNothingLost([b, a])
  })

  it('has nothing to do the second time', async () => {
    const [a, b] = [volumeOf(1), replicaOf(2)]
    a.write(id(1), Buffer.alloc(500_000, 7))
    a.link(ROOT, 'x', id(1))
    await sync(a, b)
    const { link } = await sync(a, b)
    assert.ok(link.bytes() < 600, `${link.bytes()} bytes`)
  })

  it('sends only what changed inside a large file', async () => {
    const [a, b] = [volumeOf(1), replicaOf(2)]
    const bytes = Buffer.alloc(8 << 20)
    for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i)
    a.write(id(1), bytes)
    a.link(ROOT, 'large', id(1))
    await sync(a, b)
    bytes.fill(9, 4 << 20, (4 << 20) + 4096)
    a.write(id(1), bytes)
    const { link } = await sync(a, b)
    assertSame([a, b])
    assert.ok(link.bytes() < 600_000, `${link.bytes()} bytes`)
  })

  it('goes on after a cut where it was: no chunk travels twice', async () => {
    const bytes = Buffer.alloc(12 << 20)
    for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32LE(Math.imul(i, 40503) >>> 0, i)
    const [a, b] = [volumeOf(1), replicaOf(2)]
    a.write(id(1), bytes)
    a.link(ROOT, 'large', id(1))
    for (let cut = 6; cut < 30; cut += 6) await sync(a, b, cut)
    await sync(a, b)
    assertSame([a, b])
    assert.ok(b.importedChunkBytes < bytes.length * 1.1, `${b.importedChunkBytes} bytes of chunks stored`)
  })

  it('waits for what is open for writing, and lets the others go on', async () => {
    const [a, b] = [volumeOf(1), replicaOf(2)]
    a.write(id(1), Buffer.from('one'))
    a.link(ROOT, 'one', id(1))
    await sync(a, b)
    a.write(id(1), Buffer.from('two'))
    a.write(id(2), Buffer.from('other'))
    b.busy.add(hex(id(1)))
    b.flush = async () => {}
    const first = await sync(a, b)
    assert.equal(b.heads.has(hex(id(2))), true)
    assert.equal(first.sides[1].fetcher.pending.size, 1)
    b.busy.clear()
    const again = memoryLink(['a', 'b'])
    again.cut()
    const second = await sync(a, b)
    assert.equal(second.sides[1].fetcher.pending.size, 1, 'it is still known after the restart')
  })

  it('merges what both have changed, the same on both sides, and keeps both in the history', async () => {
    const [a, b] = [volumeOf(1), replicaOf(2, 3_600_000)]
    a.text(id(1), 'one\ntwo\nthree\n')
    a.link(ROOT, 'text', id(1))
    await sync(a, b)
    a.text(id(1), 'ONE\ntwo\nthree\n')
    b.text(id(1), 'one\ntwo\nTHREE\n')
    a.write(id(2), Buffer.from('a'))
    a.link(ROOT, 'same name', id(2))
    b.write(id(3), Buffer.from('b'))
    b.link(ROOT, 'same name', id(3))
    const { errors } = await sync(a, b)
    assert.deepEqual(errors, [])
    assertSame([a, b])
    assertNothingLost([a, b])
    assert.equal(a.content(id(1)), 'ONE\ntwo\nTHREE\n')
    assert.equal(a.folder(ROOT).length, 3)
  })

  it('keeps no more than its window for a peer that does not answer', async () => {
    const a = volumeOf(1)
    for (let i = 0; i < 200; i++) a.write(id(i), Buffer.alloc(60_000, `${i} `))
    let sent = 0
    const feeder = new Feeder({ volume: a, send: async () => void sent++, failed: assert.fail })
    feeder.follow({ root: ROOT, sid: a.sid, after: 0, number: 1 })
    await settle(200)
    assert.equal(sent, 4)
  })

  it('law: whatever happens on two or three devices, and however links break, in the end all are the same and nothing is lost', async () => {
    const DOCUMENTS = 6
    const FOLDERS = [ROOT, id(150), id(151)]
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('write' as const),
          device: fc.nat(2),
          document: fc.nat(DOCUMENTS - 1),
          value: fc.nat(1000),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('text' as const),
          device: fc.nat(2),
          document: fc.nat(DOCUMENTS - 1),
          value: fc.nat(5),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('link' as const),
          device: fc.nat(2),
          document: fc.nat(DOCUMENTS - 1),
          value: fc.nat(4),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('unlink' as const),
          device: fc.nat(2),
          document: fc.nat(DOCUMENTS - 1),
          value: fc.nat(4),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constant('folder' as const),
          device: fc.nat(2),
          document: fc.nat(1),
          value: fc.nat(4),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('sync' as const),
          device: fc.nat(2),
          document: fc.nat(2),
          value: fc.nat(40),
        }),
      },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: -1e9, max: 1e9 }), async (steps, skew) => {
        const volumes = [volumeOf(1), replicaOf(2, skew), replicaOf(3, -skew)]
        await sync(volumes[0], volumes[1])
        await sync(volumes[0], volumes[2])
        for (const { kind, device, document, value } of steps) {
          const volume = volumes[device]
          const file = id(10 + document)
          const folder = FOLDERS[value % FOLDERS.length]
          const there = volume.heads.has(hex(folder))
          if (kind === 'write') volume.write(file, Buffer.alloc(value * 3, `${device} ${value} `))
          if (kind === 'text')
            volume.text(
              file,
              Array.from({ length: 6 }, (_, i) => (i === value ? `by ${device}` : `line ${i}`)).join('\n'),
            )
          if (kind === 'link' && there && volume.heads.has(hex(file))) volume.link(folder, `n${value}`, file)
          if (kind === 'unlink' && there) volume.unlink(folder, `n${value}`)
          if (kind === 'folder' && !volume.heads.has(hex(FOLDERS[1 + document]))) {
            volume.commit(FOLDERS[1 + document], TYPE_FOLDER, encodeFolder([]))
            volume.link(ROOT, `folder${document}`, FOLDERS[1 + document], 4)
          }
          if (kind === 'sync')
            await sync(volume, volumes[(device + 1 + (document % 2)) % 3], value > 30 ? undefined : value + 2)
        }
        for (let round = 0; round < 3; round++) {
          await sync(volumes[0], volumes[1])
          await sync(volumes[1], volumes[2])
          await sync(volumes[2], volumes[0])
        }
        assertSame(volumes)
        assertNothingLost(volumes)
      }),
      { numRuns: 40 },
    )
  }).timeout(120_000)
})
