import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { hex } from '../../lib/model/bytes.js'
import { encodeRevision } from '../../lib/model/codec.js'
import { encodeContent } from '../../lib/model/content-tree.js'
import { encodeFolder } from '../../lib/model/folder.js'
import { ridOf } from '../../lib/model/hash.js'
import {
  type Chunk,
  type DId,
  type FolderEntry,
  PART_CONTENT,
  PART_ENTRIES,
  type Revision,
  type RId,
  TYPE_FOLDER,
} from '../../lib/model/types.js'
import type { Head } from '../../lib/volume/contract.js'
import { PathError, UnknownRevisionError } from '../../lib/volume/errors.js'
import { noise } from './noise.js'
import { VolumeFixture } from './volume-fixture.js'

const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const names = (file: string) => file.split('/').map(bytes)

describe('a volume', () => {
  let fixture: VolumeFixture
  before(async () => {
    fixture = await (await new VolumeFixture().create()).open()
  })
  after(() => fixture.destroy())

  it('keeps what is written through the mount as revisions, and tells of the heads', async () => {
    const { volume } = fixture
    const told: Head[] = []
    const off = volume.on('heads', (heads) => told.push(...heads))
    await mkdir(fixture.path('folder'))
    await writeFile(fixture.path('folder', 'file'), 'first')
    await volume.flush()
    await writeFile(fixture.path('folder', 'file'), 'second')
    assert.deepEqual((await fixture.contents('folder', 'file')).map(String), ['first', 'second'])
    const { document, ino } = await volume.walk(names('folder/file'))
    assert.deepEqual(
      (await volume.path(ino))?.map(String),
      ['folder', 'file'].map((name) => String(bytes(name))),
    )
    const last = told.filter((head) => Buffer.from(head.document).equals(document)).at(-1)
    assert.deepEqual(last, volume.head(document))
    const seqs = told.map(({ seq }) => seq)
    assert.deepEqual(
      seqs,
      seqs.toSorted((a, b) => a - b),
    )
    assert.equal(seqs.at(-1), volume.lastSeq())
    const root = volume.revision(volume.head(volume.root)!.head)!
    assert.ok(volume.entries(root).some(({ name }) => Buffer.from(name).toString() === 'folder'))
    off()
  })

  it('walks and lists, and says which name is not there', async () => {
    await mkdir(fixture.path('walk/deep'), { recursive: true })
    await writeFile(fixture.path('walk/deep/file'), 'x')
    const { ino, size } = await fixture.volume.walk(names('walk/deep/file'))
    assert.equal(size, 1)
    assert.equal(ino, (await stat(fixture.path('walk/deep/file'))).ino)
    const folder = await fixture.volume.walk(names('walk/deep'))
    assert.deepEqual(
      (await fixture.volume.list(folder.ino)).map(({ name, ino }) => [Buffer.from(name).toString(), ino]),
      [['file', ino]],
    )
    await assert.rejects(fixture.volume.walk(names('walk/none/file')), (error: PathError) => {
      assert.ok(error instanceof PathError)
      assert.equal(error.code, 'ENOENT')
      return true
    })
    await assert.rejects(fixture.volume.walk(names('walk/deep/file/x')), { code: 'ENOTDIR' })
    assert.equal(await fixture.volume.path(999_999), undefined)
  })

  it('puts large files into packs by the hashers, and reads them back', async () => {
    const large = noise(9_000_000, 11)
    await writeFile(fixture.path('large'), large)
    assert.deepEqual(new Uint8Array(await readFile(fixture.path('large'))), large)
    const revision = await fixture.revision('large')
    const content = revision.parts.get(PART_CONTENT)!
    assert.deepEqual(content, encodeContent(large).content)
    assert.deepEqual(await fixture.volume.read(content, 1_000_000, 500_000), large.slice(1_000_000, 1_500_000))
    assert.deepEqual(await fixture.volume.read(content, 8_999_990, 500), large.slice(8_999_990))
    assert.deepEqual(fixture.resources.handles.all(), [])
    const file = await open(fixture.path('large'), 'r+')
    await file.write('in the middle', 4_000_000)
    await file.close()
    large.set(Buffer.from('in the middle'), 4_000_000)
    const next = await fixture.revision('large')
    assert.deepEqual(next.parts.get(PART_CONTENT), encodeContent(large).content)
    assert.deepEqual(new Uint8Array(await readFile(fixture.path('large'))), large)
    assert.equal((await fixture.contents('large')).length, 2)
    assert.deepEqual(await readdir(fixture.resources.layout.spools), [])
  })

  it('shows handles that stay open for writing', async () => {
    const file = await open(fixture.path('open'), 'w')
    await file.write('something')
    await fixture.until(() => fixture.actor('handles').children.length === 1)
    const { ino } = await stat(fixture.path('open'))
    assert.equal(fixture.actor('handles').children[0].summary.inode, ino)
    await file.close()
    await writeFile(fixture.path('another'), 'wakes the volume thread')
    await fixture.until(() => fixture.actor('handles').children.length === 0)
  })

  it('answers fsync when the bytes are synced', async () => {
    const file = await open(fixture.path('synced'), 'w')
    await file.write('durable')
    await file.sync()
    await file.datasync()
    await file.close()
    const folder = await open(fixture.mountPoint, 'r')
    await folder.sync()
    await folder.close()
    assert.equal((await fixture.contents('synced')).join(), 'durable')
  })

  it('restores an old version as a new one, and the mount shows it', async () => {
    await writeFile(fixture.path('restored'), 'the old one')
    const { document, ino } = await fixture.volume.walk(names('restored'))
    await fixture.volume.flush()
    const old = fixture.volume.head(document)!.head
    await writeFile(fixture.path('restored'), 'the new one, longer')
    assert.equal(await readFile(fixture.path('restored'), 'utf8'), 'the new one, longer')
    await fixture.volume.restore(ino, old)
    assert.equal(await readFile(fixture.path('restored'), 'utf8'), 'the old one')
    const contents = await fixture.contents('restored')
    assert.deepEqual(contents.map(String), ['the old one', 'the new one, longer', 'the old one'])
    await assert.rejects(fixture.volume.restore(ino, ridOf(bytes('none'))), UnknownRevisionError)
  })

  it('keeps settings', async () => {
    const { volume } = fixture
    assert.equal(volume.setting('anchor'), undefined)
    await volume.setSetting('anchor', bytes('42'))
    assert.deepEqual(volume.setting('anchor'), bytes('42'))
    await volume.setSetting('anchor', undefined)
    assert.equal(volume.setting('anchor'), undefined)
    await assert.rejects(volume.setSetting('x'.repeat(201), bytes('')), RangeError)
  })

  it('says how it is', async () => {
    const status = fixture.volume.status()
    assert.equal(status.mountPoint, fixture.mountPoint)
    assert.equal(status.label, 'test')
    assert.ok(status.documents > 3)
    assert.ok(status.bytesFree > 0)
    await fixture.volume.flush()
    assert.equal(fixture.volume.status().backlog, 0)
  })

  describe('that takes heads from elsewhere', () => {
    const DEVICE = new Uint8Array(32).fill(9)
    let clock = 0n
    const tick = () => {
      const value = Buffer.alloc(8)
      value.writeBigUInt64BE((BigInt(Date.now()) << 16n) + clock++)
      return new Uint8Array(value)
    }
    let number = 0
    const newDocument = (): DId => new Uint8Array(Buffer.alloc(16, `doc${number++}`))
    const now = { sec: 1_700_000_000, nsec: 123_456_789 }

    function made(init: Partial<Revision> & Pick<Revision, 'type' | 'parts'>): { rid: RId; encoded: Uint8Array } {
      const folder = init.type === TYPE_FOLDER
      const mode = folder ? 0o040755 : 0o100644
      const encoded = encodeRevision({
        ...{ parents: [], flags: 0, created: now, modified: now, author: DEVICE, clock: tick(), comment: '' },
        ...{ attributes: { mode, uid: 0, gid: 0, rdev: 0, xattrs: [] }, metadata: new Map() },
        ...init,
      })
      return { rid: ridOf(encoded), encoded }
    }

    async function take(made: { rid: RId; encoded: Uint8Array }, chunks: Chunk[] = []): Promise<RId> {
      await fixture.volume.importChunks(chunks)
      assert.deepEqual(await fixture.volume.importRevisions([made.encoded]), [made.rid])
      return made.rid
    }

    async function file(content: Uint8Array, parents: RId[] = []): Promise<RId> {
      const { content: part, chunks } = encodeContent(content)
      return take(made({ type: 'text/plain', parents, parts: new Map([[PART_CONTENT, part]]) }), chunks)
    }

    async function folder(entries: FolderEntry[], parents: RId[] = []): Promise<RId> {
      const sorted = entries.toSorted((a, b) => Buffer.compare(a.name, b.name))
      const { content, chunks } = encodeFolder(sorted)
      return take(made({ type: TYPE_FOLDER, parents, parts: new Map([[PART_ENTRIES, content]]) }), chunks)
    }

    /** The root as it is, with these entries more, and without those. */
    async function rootWith(more: FolderEntry[], without: string[] = []) {
      await fixture.volume.flush()
      const { head } = fixture.volume.head(fixture.volume.root)!
      const entries = fixture.volume.entries(fixture.volume.revision(head)!)
      const kept = entries.filter(
        (entry) =>
          ![...without, ...more.map(({ name }) => String(Buffer.from(name)))].includes(String(Buffer.from(entry.name))),
      )
      return { document: fixture.volume.root, expected: head, head: await folder([...kept, ...more], [head]) }
    }

    const entry = (name: string, document: DId, type = 8): FolderEntry => ({
      name: bytes(name),
      document,
      type,
      stamp: tick(),
    })

    it('makes new documents, and whole folders of them, appear in the mount', async () => {
      const [folderDocument, innerDocument, fileDocument, largeDocument] = Array.from({ length: 4 }, newDocument)
      const large = noise(300_000, 5)
      const changes = [
        { document: fileDocument, head: await file(bytes('from afar')) },
        { document: largeDocument, head: await file(large) },
        { document: innerDocument, head: await folder([entry('large', largeDocument)]) },
        {
          document: folderDocument,
          head: await folder([entry('file', fileDocument), entry('inner', innerDocument, 4)]),
        },
        await rootWith([entry('remote', folderDocument, 4)]),
      ]
      assert.equal(existsSync(fixture.path('remote')), false)
      assert.deepEqual(
        (await fixture.volume.apply(changes)).map(({ result }) => result),
        changes.map(() => 'applied'),
      )
      assert.equal(await readFile(fixture.path('remote/file'), 'utf8'), 'from afar')
      assert.deepEqual(new Uint8Array(await readFile(fixture.path('remote/inner/large'))), large)
      assert.deepEqual((await readdir(fixture.path('remote'))).sort(), ['file', 'inner'])
      await fixture.volume.flush()
      for (const { document, head } of changes) assert.deepEqual(fixture.volume.head(document)!.head, head)
      assert.notEqual(fixture.volume.head(innerDocument)!.ino, 0)
    })

    it('replaces what the kernel has cached, and removes what is gone', async () => {
      const document = newDocument()
      const first = await file(bytes('one'))
      await fixture.volume.apply([{ document, head: first }, await rootWith([entry('cached', document)])])
      assert.equal(await readFile(fixture.path('cached'), 'utf8'), 'one')
      await stat(fixture.path('cached'))
      const second = await file(bytes('two, and longer'), [first])
      assert.deepEqual(await fixture.volume.apply([{ document, expected: first, head: second }]), [
        { result: 'applied' },
      ])
      assert.equal(await readFile(fixture.path('cached'), 'utf8'), 'two, and longer')
      assert.equal((await stat(fixture.path('cached'))).size, 15)
      assert.deepEqual(await fixture.volume.apply([await rootWith([], ['cached'])]), [{ result: 'applied' }])
      assert.equal(existsSync(fixture.path('cached')), false)
      assert.ok(!(await readdir(fixture.mountPoint)).includes('cached'))
    })

    it('takes changes one after another without waiting for the commit', async () => {
      const document = newDocument()
      let head = await file(bytes('0'))
      await fixture.volume.apply([{ document, head }, await rootWith([entry('chain', document)])])
      for (let i = 1; i <= 5; i++) {
        const next = await file(bytes(String(i)), [head])
        assert.deepEqual(await fixture.volume.apply([{ document, expected: head, head: next }]), [
          { result: 'applied' },
        ])
        head = next
      }
      assert.equal(await readFile(fixture.path('chain'), 'utf8'), '5')
    })

    it('refuses what does not fit: stale, busy, missing', async () => {
      const document = newDocument()
      const first = await file(bytes('first'))
      const second = await file(bytes('second'), [first])
      await fixture.volume.apply([{ document, head: first }, await rootWith([entry('fits', document)])])
      await fixture.volume.flush()
      assert.deepEqual(await fixture.volume.apply([{ document, expected: second, head: second }]), [
        { result: 'stale', head: first },
      ])
      const handle = await open(fixture.path('fits'), 'r+')
      await handle.write('local')
      assert.deepEqual(await fixture.volume.apply([{ document, expected: first, head: second }]), [{ result: 'busy' }])
      await handle.close()
      const unknown = newDocument()
      const root = await rootWith([entry('unknown', unknown)])
      assert.deepEqual(await fixture.volume.apply([root]), [{ result: 'missing', documents: [unknown] }])
      await assert.rejects(
        fixture.volume.apply([{ document, expected: first, head: ridOf(bytes('never seen')) }]),
        UnknownRevisionError,
      )
      assert.equal(await readFile(fixture.path('fits'), 'utf8'), 'local')
    })
  })

  it('mounts again when somebody has unmounted it', async () => {
    const { resources } = fixture
    const { detach } = await import('../../lib/fuse/mount.js')
    await writeFile(fixture.path('before'), 'kept')
    await detach(fixture.mountPoint)
    await fixture.until(() => fixture.actor('mount').summary.remounts === 1 && resources.mountPoint!.mounted)
    assert.equal(await readFile(fixture.path('before'), 'utf8'), 'kept')
    await writeFile(fixture.path('after'), 'works')
    assert.equal((await fixture.contents('after')).join(), 'works')
  })

  it('closes what was open when the mount ends by force, and has it as a version', async () => {
    const { mountPoint, resources } = fixture
    const { remounts } = fixture.actor('mount').summary as { remounts: number }
    const file = await open(fixture.path('forced'), 'w')
    await file.write('as far as it came')
    await promisify(execFile)('umount', ['-f', '-l', mountPoint])
    await fixture.until(() => fixture.actor('mount').summary.remounts === remounts + 1 && resources.mountPoint!.mounted)
    await file.close().catch(() => {})
    await fixture.until(() => fixture.actor('handles').children.length === 0)
    assert.deepEqual((await fixture.contents('forced')).map(String), ['as far as it came'])
    await fixture.volume.flush()
    const root = fixture.volume.revision(fixture.volume.head(fixture.volume.root)!.head)!
    assert.ok(fixture.volume.entries(root).some(({ name }) => Buffer.from(name).toString() === 'forced'))
  })

  it('finds damage by a scrub', async () => {
    await writeFile(fixture.path('fragile'), noise(200_000, 99))
    const content = (await fixture.revision('fragile')).parts.get(PART_CONTENT)!
    const { resources, system } = fixture
    const scrub = () =>
      system
        .whereis<{ type: 'round'; reply: (round: { checked: number; damaged: string[] }) => void }>(
          resources.name('scrub'),
        )!
        .call<{ checked: number; damaged: string[] }>((reply) => ({ type: 'round', reply }), 60_000)
    const before = await scrub()
    assert.ok(before.checked > 10)
    assert.deepEqual(before.damaged, [])
    const [leaf] = [...(await import('../../lib/model/content-tree.js')).leaves(content, fixture.volume.source)]
    const { pack, offset } = resources.reader.chunk(leaf.id)!
    const file = await open(resources.layout.pack(pack), 'r+')
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset)
    await file.write(Buffer.of(buffer[0] ^ 1), 0, 1, offset)
    assert.deepEqual((await scrub()).damaged, [hex(leaf.id)])
    assert.match(fixture.volume.status().reports.at(-1)!, /Scrub.*damaged/)
    await file.write(buffer, 0, 1, offset)
    await file.close()
    assert.deepEqual((await scrub()).damaged, [])
    await rm(fixture.path('fragile'))
    await rename(fixture.path('large'), fixture.path('larger'))
  })
})
