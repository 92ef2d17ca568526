// Random histories of a small tree against a model, with batches cut and crashes anywhere: the state equals the model, every
// closed content of a file that lives on is in its history, and no change number is given twice.

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { checkVolume } from '../../lib/store/check.js'
import type { InodeRecord, LiveContent } from '../../lib/store/records.js'
import { bytesContent, did, FOLDER, inode, stamp, TestVolume } from './support/volume.js'

type Step =
  | { do: 'create' | 'mkdir'; folder: number; name: number }
  | { do: 'write'; file: number; offset: number; text: string }
  | { do: 'truncate'; file: number; size: number }
  | { do: 'close' | 'unlink' | 'chmod'; file: number; mode: number }
  | { do: 'move'; file: number; folder: number; name: number }
  | { do: 'flush' | 'crash' | 'pause' }

const nat = fc.nat(30)
const name = fc.nat(4)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('create' as const), folder: nat, name }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('mkdir' as const), folder: nat, name }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      file: nat,
      offset: fc.nat(700),
      text: fc.string({ minLength: 1, maxLength: 600 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('truncate' as const), file: nat, size: fc.nat(900) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('close' as const, 'close' as const, 'unlink' as const, 'chmod' as const),
      file: nat,
      mode: fc.constantFrom(0o600, 0o644, 0o755),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('move' as const), file: nat, folder: nat, name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'crash' as const, 'pause' as const) }) },
)

interface Node {
  ino: number
  document: Uint8Array
  folder: boolean
  mode: number
  /** Last closed content. */
  closed: Buffer
  /** Since then. */
  working?: Buffer
  sec: number
  /** Every closed content, in order. */
  versions: string[]
  at?: { folder: Node; name: string }
  entries: Map<string, Node>
}

class Model {
  readonly root: Node
  nodes: Node[] = []
  #ino = 2
  #sec = 1_700_000_000
  readonly seqs = new Set<number>()

  constructor(readonly volume: TestVolume) {
    this.root = this.#node(1, volume.root, true)
    this.nodes.push(this.root)
    this.#listen()
  }

  #node(ino: number, document: Uint8Array, folder: boolean): Node {
    const base = { ino, document, folder, mode: folder ? FOLDER : 0o100644, sec: ++this.#sec }
    return { ...base, closed: Buffer.alloc(0), versions: [], entries: new Map() }
  }

  #listen(): void {
    this.volume.committer.onCommitted = ({ heads }) => {
      for (const { seq } of heads) {
        assert.ok(!this.seqs.has(seq), `change number ${seq} twice`)
        this.seqs.add(seq)
      }
    }
  }

  #folders = () => this.nodes.filter(({ folder }) => folder)
  #files = () => this.nodes.filter(({ folder }) => !folder)
  #pick = (list: Node[], n: number): Node | undefined => list[n % Math.max(1, list.length)]

  #row(node: Node, change: Partial<InodeRecord> = {}): InodeRecord {
    const content: LiveContent = bytesContent(new Uint8Array(node.closed))
    return inode(node.ino, {
      ...{ document: node.document, mode: node.mode, mtimeSec: node.sec, size: node.closed.length },
      ...(node.folder ? { nlink: 2 } : { content }),
      ...{ parent: node.at?.folder.ino ?? 0 },
      ...change,
    })
  }

  #link(node: Node, folder: Node, key: string): void {
    node.at = { folder, name: key }
    folder.entries.set(key, node)
  }

  #add(folder: Node, key: string, isFolder: boolean): void {
    if (folder.entries.has(key)) return
    const node = this.#node(this.#ino, did(1000 + this.#ino++), isFolder)
    this.#link(node, folder, key)
    this.nodes.push(node)
    this.volume.put(folder.ino, key, this.#row(node), false)
  }

  #change(node: Node, bytes: Buffer): void {
    node.working = bytes
    node.sec = ++this.#sec
  }

  #close(node: Node): void {
    if (!node.working) return
    node.closed = node.working
    node.working = undefined
    node.versions.push(node.closed.toString('latin1'))
    this.volume.frame((j) => {
      const bytes = node.closed
      if (bytes.length > 600) {
        const lsn = j.write(node.ino, 0, bytes, node.sec, 5)
        const content: LiveContent = { kind: 'journal', lsn, size: bytes.length }
        j.inode(this.#row(node, { content }), true)
      } else j.inode(this.#row(node), true)
    })
  }

  #remove(node: Node): void {
    const { folder, name: key } = node.at!
    folder.entries.delete(key)
    this.nodes = this.nodes.filter((other) => other !== node)
    this.volume.frame((j) => {
      j.entryGone(folder.ino, Buffer.from(key))
      j.inodeGone(node.ino)
    })
  }

  /** As rename(2) does it, with the document of a file that is replaced going over. */
  #move(node: Node, folder: Node, key: string): void {
    const from = node.at!
    const target = folder.entries.get(key)
    if (target === node || target?.folder || target?.working || node.working) return
    from.folder.entries.delete(from.name)
    if (target) {
      node.document = target.document
      node.versions = [...target.versions, ...(node.versions.length > 0 ? [node.closed.toString('latin1')] : [])]
      this.nodes = this.nodes.filter((other) => other !== target)
    }
    this.#link(node, folder, key)
    this.volume.frame((j) => {
      j.inode(this.#row(node), target !== undefined)
      if (target) j.inodeGone(target.ino)
      j.entryGone(from.folder.ino, Buffer.from(from.name))
      j.entry(folder.ino, Buffer.from(key), { ino: node.ino, type: node.mode >> 12, stamp: stamp() })
    })
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case 'create':
      case 'mkdir':
        return this.#add(this.#pick(this.#folders(), step.folder)!, `n${step.name}`, step.do === 'mkdir')
      case 'flush':
        await this.volume.flush()
        return this.check(false)
      case 'pause':
        this.volume.committer.wake()
        return new Promise((resolve) => setTimeout(resolve, 1))
      case 'crash':
        await this.volume.crash()
        this.#listen()
        for (const node of this.nodes) {
          if (!node.working) continue
          node.closed = node.working
          node.versions.push(node.closed.toString('latin1'))
          node.working = undefined
        }
        return this.check(true)
    }
    const node = this.#pick(this.#files(), step.file)
    if (!node) return
    switch (step.do) {
      case 'write': {
        const data = Buffer.from(step.text, 'latin1')
        const before = node.working ?? node.closed
        const bytes = Buffer.alloc(Math.max(before.length, step.offset + data.length))
        before.copy(bytes)
        data.copy(bytes, step.offset)
        this.#change(node, bytes)
        this.volume.frame((j) => j.write(node.ino, step.offset, data, node.sec, 5))
        return
      }
      case 'truncate': {
        const bytes = Buffer.alloc(step.size)
        ;(node.working ?? node.closed).copy(bytes)
        this.#change(node, bytes)
        this.volume.frame((j) => j.truncate(node.ino, step.size, node.sec, 5))
        return
      }
      case 'close':
        return this.#close(node)
      case 'unlink':
        return this.#remove(node)
      case 'chmod':
        node.mode = 0o100000 | step.mode
        this.volume.frame((j) => j.inode(this.#row(node), false))
        return
      case 'move':
        return this.#move(node, this.#pick(this.#folders(), step.folder)!, `n${step.name}`)
    }
  }

  check(settled: boolean): void {
    const { volume } = this
    const { reader } = volume
    reader.refresh()
    const rows = [...reader.inodes()]
    assert.deepEqual(
      rows.map(({ ino }) => ino),
      this.nodes.map(({ ino }) => ino).sort((a, b) => a - b),
    )
    for (const node of this.nodes) {
      const row = reader.inode(node.ino)!
      assert.equal(row.mode, node.mode)
      assert.deepEqual(row.document, node.document)
      assert.deepEqual(reader.document(node.document)?.ino, node.ino)
      if (node.folder) {
        const names = reader.entries(node.ino).map((e) => [Buffer.from(e.name).toString(), e.entry.ino])
        const expected = [...node.entries].map(([key, child]) => [key, child.ino]).sort()
        assert.deepEqual(names.sort(), expected)
        continue
      }
      assert.ok(volume.content(node.document).equals(node.closed), `content of ${node.ino}`)
      assert.equal(volume.revision(node.document)?.attributes.mode, node.mode)
      this.#checkVersions(node)
    }
    volume.checkSealed()
    assert.deepEqual(checkVolume({ reader, layout: volume.layout }), [])
    assert.deepEqual(
      volume.reports.filter((text) => !/kept as a version|off the/.test(text)),
      [],
      String(settled),
    )
  }

  /** Every closed content, in this order, among the contents of the revisions. */
  #checkVersions(node: Node): void {
    const seen: string[] = []
    const visit = (rid: Uint8Array, known: Set<string>) => {
      const key = Buffer.from(rid).toString('hex')
      if (known.has(key)) return
      known.add(key)
      const revision = this.volume.decode(rid)
      for (const parent of revision.parents) visit(parent, known)
      const part = revision.parts.get('content')
      if (part) seen.push(Buffer.from(this.volume.read(part)).toString('latin1'))
    }
    visit(this.volume.reader.document(node.document)!.head, new Set())
    for (const version of node.versions) assert.ok(seen.includes(version), `a version of ${node.ino} is lost`)
  }
}

describe('store against a model', () => {
  it('is what it should be after any history', async function () {
    this.timeout(60_000)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 70 }), fc.nat(3), async (steps, lazyMs) => {
        const volume = await TestVolume.create({ lazyMs, packMax: 20_000 })
        try {
          const model = new Model(volume)
          for (const one of steps) await model.run(one)
          await model.run({ do: 'flush' })
          await model.run({ do: 'crash' })
        } finally {
          await volume.close()
        }
      }),
      { numRuns: 60, interruptAfterTimeLimit: 8000, markInterruptAsFailure: false },
    )
  })
})
