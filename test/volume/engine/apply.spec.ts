import assert from 'node:assert/strict'
import fc from 'fast-check'
import { hex } from '../../../lib/model/bytes.js'
import { hashOf } from '../../../lib/model/hash.js'
import { Replica } from './replica.js'
import { name, ok, ROOT, Shell, TestVolume } from './support.js'

describe('engine: applying what sync asks', () => {
  let a: TestVolume
  let b: TestVolume
  let at: Shell
  let bt: Shell
  let replica: Replica
  beforeEach(async () => {
    a = await TestVolume.create()
    b = await TestVolume.create({}, a.root)
    at = new Shell(a)
    bt = new Shell(b)
    replica = new Replica(a, b)
  })
  afterEach(() => {
    a.remove()
    b.remove()
  })

  /** Everything but inode numbers and ctimes, with documents. */
  function tree(volume: TestVolume, path = '', found: Record<string, unknown> = {}): Record<string, unknown> {
    const sh = new Shell(volume)
    const { ino, mode, nlink, uid, gid, size, mtimeSec, mtimeNsec } = sh.stat(path)
    const bytes = (mode & 0o170000) === 0o100000 ? hex(hashOf(sh.read(path))) : ''
    const document = hex(volume.engine.state.inode(ino)!.document)
    found[path] = { document, mode, nlink, uid, gid, size, mtimeSec, mtimeNsec, bytes }
    if ((mode & 0o170000) === 0o040000) for (const e of sh.list(path)) tree(volume, `${path}/${e.name}`, found)
    return found
  }

  function same(): void {
    const { results } = replica.sync()
    assert.ok(
      results.every((r) => r === 'applied'),
      results.join(),
    )
    assert.deepEqual(tree(b), tree(a))
    b.fold(true)
    assert.deepEqual(tree(b), tree(a), 'committed')
    b.reader.refresh()
    for (const { document } of a.reader.changes(0, 10_000)) {
      assert.deepEqual(b.reader.document(document)?.head, a.reader.document(document)?.head, 'no head of its own')
    }
    assert.deepEqual(b.reports, [])
  }

  it('a tree, its changes, and again', () => {
    at.mkdir('d')
    at.mkdir('d/e')
    at.write('d/e/f', 'one')
    at.write('g', Buffer.alloc(300_000, 'g'))
    ok(a.fs.symlink(ROOT, 1, name('s'), name('target')))
    ok(a.fs.link(ROOT, at.stat('g').ino, at.stat('d').ino, name('g2')))
    same()
    at.write('d/e/f', 'two')
    ok(a.fs.setattr(ROOT, at.stat('g').ino, { mode: 0o600, uid: 3, mtime: { sec: 5, nsec: 6 } }))
    ok(at.unlink('d/g2'))
    ok(at.unlink('s'))
    at.write('new', 'x')
    same()
    assert.equal(bt.read('d/e/f').toString(), 'two')
    b.crash()
    assert.deepEqual(tree(b), tree(a), 'after a crash')
  })

  it('a folder that moves keeps its inode, and what is below it', () => {
    at.mkdir('d')
    at.mkdir('d/e')
    at.mkdir('x')
    at.write('d/e/f', 'one')
    same()
    const before = [bt.stat('d').ino, bt.stat('d/e').ino, bt.stat('d/e/f').ino]
    ok(at.rename('d', 'x/moved'))
    same()
    assert.deepEqual([bt.stat('x/moved').ino, bt.stat('x/moved/e').ino, bt.stat('x/moved/e/f').ino], before)
    ok(at.rename('x/moved/e', 'e'))
    ok(at.rename('x/moved', 'e/back'))
    same()
    assert.equal(bt.stat('e/back').ino, before[0])
  })

  it('a folder that is removed and comes back', () => {
    at.mkdir('d')
    at.mkdir('d/e')
    at.write('d/e/f', 'one')
    at.write('d/g', 'two')
    same()
    ok(at.unlink('d/g'))
    ok(at.unlink('d/e/f'))
    ok(at.rmdir('d/e'))
    ok(at.rmdir('d'))
    same()
    at.mkdir('d')
    at.write('d/f', 'three')
    same()
  })

  it('busy: what is not committed here, and what is being written', () => {
    at.write('f', 'one')
    at.write('g', 'one')
    at.mkdir('d')
    same()
    at.write('f', 'two')
    at.write('g', 'two')
    const { request } = replica.plan()
    bt.write('f', 'mine')
    const held = bt.open('g')
    ok(b.fs.write(ROOT, held.ino, held.handle, 0, Buffer.from('MINE'), false))
    const { results } = b.engine.applier.apply(request)
    assert.deepEqual(new Set(results), new Set(['busy']))
    assert.equal(bt.read('f').toString(), 'mine')
    b.fold(true)
    // Its own revision is the head now.
    const again = b.engine.applier.apply(request).results
    assert.deepEqual(again.toSorted(), ['busy', 'stale'])
    b.fs.release(held.ino, held.handle)
  })

  it('busy: a folder with entries that are not sealed, or with a removed file that is being written', () => {
    at.mkdir('d')
    at.write('d/f', 'one')
    same()
    ok(at.unlink('d/f'))
    const { request } = replica.plan()
    const held = bt.open('d/f')
    ok(b.fs.write(ROOT, held.ino, held.handle, 0, Buffer.from('edit'), false))
    assert.ok(b.engine.applier.apply(request).results.includes('busy'))
    b.fs.release(held.ino, held.handle)
    b.fold(true)
    bt.write('d/other', '')
    b.fold(false)
    // Sealed meanwhile, or not.
    assert.ok(!b.engine.applier.apply(request).results.includes('applied'))
    assert.equal(bt.read('d/f').toString(), 'edit')
  })

  it('stale: the head is another one; nothing changes', () => {
    at.write('f', 'one')
    same()
    at.write('f', 'two')
    const { request } = replica.plan()
    assert.deepEqual(b.engine.applier.apply(request).results, ['applied'])
    const before = tree(b)
    assert.deepEqual(b.engine.applier.apply(request).results, ['stale'])
    assert.deepEqual(tree(b), before)
  })

  it('head after head without a commit between', () => {
    at.write('f', 'one')
    same()
    const { ino } = bt.stat('f')
    const live = (text: string, head: number) => ({
      head: new Uint8Array(33).fill(head),
      attributes: { mode: 0o100644, uid: 0, gid: 0, rdev: 0, xattrs: [] },
      modified: { sec: head, nsec: 0 },
      created: { sec: 1, nsec: 0 },
      content: { size: text.length, inline: Buffer.from(text), levels: 0 },
    })
    const { document } = b.engine.state.inode(ino)!
    let expected = b.reader.document(document)!.head
    for (let i = 1; i < 4; i++) {
      const change = { document, expected, live: live(`text ${i}`, i) }
      assert.deepEqual(b.engine.applier.apply({ changes: [change] }).results, ['applied'])
      assert.equal(bt.read('f').toString(), `text ${i}`)
      expected = change.live.head
    }
  })

  it('tells the kernel what to forget', () => {
    at.write('f', 'one')
    at.write('g', 'one')
    same()
    at.write('f', 'two')
    ok(at.unlink('g'))
    at.write('h', '')
    const f = bt.stat('f').ino
    const g = bt.stat('g').ino
    const { invalidations } = replica.sync()
    const text = invalidations.map((i) =>
      i.kind === 'inode' ? `inode ${i.ino} ${i.data}` : `${i.kind} ${i.parent} ${Buffer.from(i.name)}`,
    )
    for (const want of [`inode ${f} true`, 'inode 1 true', 'entry 1 h', 'delete 1 g'])
      assert.ok(text.includes(want), want)
    assert.ok(invalidations.some((i) => i.kind === 'delete' && i.child === g))
  })

  it('an open file that is removed by sync lives on in its handle', () => {
    at.write('f', 'one')
    same()
    const { ino, handle } = bt.open('f', 0)
    ok(at.unlink('f'))
    same()
    const into = Buffer.alloc(10)
    assert.equal(b.fs.read(ROOT, ino, handle, 0, into), 3)
    assert.equal(b.fs.getattr(ROOT, ino) instanceof Object, true)
    b.fs.release(ino, handle)
  })

  it('a folder asked for in two places stays in the later one, and the other folder changes here', () => {
    for (const folder of ['d', 'x', 'y']) at.mkdir(folder)
    same()
    const ino = bt.stat('d').ino
    const { document } = b.engine.state.inode(ino)!
    const x = b.engine.state.inode(bt.stat('x').ino)!
    const head = b.reader.document(x.document)!.head
    const put = (stamp: number) => ({
      document: x.document,
      expected: head,
      live: {
        head: new Uint8Array(33).fill(1),
        attributes: { mode: x.mode, uid: 0, gid: 0, rdev: 0, xattrs: [] },
        modified: { sec: 1, nsec: 0 },
        created: { sec: 1, nsec: 0 },
      },
      entries: [
        { name: name('d'), after: { name: name('d'), document, type: 4, stamp: new Uint8Array(8).fill(stamp) } },
      ],
    })
    const links = () => ['', 'x'].map((f) => bt.stat(f).nlink)
    const before = links()
    // Earlier than where it is: left out.
    assert.deepEqual(b.engine.applier.apply({ changes: [put(0)] }).results, ['applied'])
    assert.equal(bt.stat('d').ino, ino)
    assert.deepEqual(bt.list('x'), [])
    assert.deepEqual(links(), before)
    assert.equal(b.reports.length, 1)
    assert.ok(x.localLsn > 0, 'a change made here')
  })

  it('a folder asked to be below itself stays where it is', () => {
    at.mkdir('d')
    at.mkdir('d/e')
    same()
    const d = b.engine.state.inode(bt.stat('d').ino)!
    const e = b.engine.state.inode(bt.stat('d/e').ino)!
    const change = {
      document: e.document,
      expected: b.reader.document(e.document)!.head,
      live: {
        head: new Uint8Array(33).fill(1),
        attributes: { mode: e.mode, uid: 0, gid: 0, rdev: 0, xattrs: [] },
        modified: { sec: 1, nsec: 0 },
        created: { sec: 1, nsec: 0 },
      },
      entries: [
        {
          name: name('l'),
          after: { name: name('l'), document: d.document, type: 4, stamp: new Uint8Array(8).fill(255) },
        },
      ],
    }
    assert.deepEqual(b.engine.applier.apply({ changes: [change] }).results, ['applied'])
    assert.equal(bt.stat('d').ino, d.ino)
    assert.deepEqual(bt.list('d/e'), [])
    assert.equal(bt.stat('d').nlink, 3)
    assert.equal(bt.stat('d/e').nlink, 2)
  })

  it('restores an older content as a new version', () => {
    at.write('f', 'one')
    at.write('f', 'two')
    a.fold(true)
    const { ino } = at.stat('f')
    const inode = a.engine.state.inode(ino)!
    const live = {
      head: new Uint8Array(33),
      attributes: { mode: 0o100644, uid: 0, gid: 0, rdev: 0, xattrs: [] },
      modified: { sec: 1, nsec: 0 },
      created: { sec: 1, nsec: 0 },
      content: { size: 3, inline: Buffer.from('one'), levels: 0 },
    }
    const head = a.reader.document(inode.document)?.head
    assert.equal(a.engine.applier.restore(ino, live)!.result, 'done')
    assert.equal(at.read('f').toString(), 'one')
    a.fold()
    a.reader.refresh()
    assert.notDeepEqual(a.reader.document(inode.document)?.head, head)
    const { handle } = at.open('f')
    assert.equal(a.engine.applier.restore(ino, live)!.result, 'busy')
    a.fs.release(ino, handle)
    assert.equal(a.engine.applier.restore(1, live), undefined)
  })

  const NAMES = ['a', 'b', 'c']
  const step = fc.record({
    op: fc.constantFrom('mkdir', 'mkdir', 'write', 'write', 'move', 'move', 'move', 'link', 'remove', 'chmod', 'sync'),
    from: fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }),
    to: fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }),
    n: fc.nat(1000),
  })

  it('any changes of a tree arrive as they are', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        for (const { op, from, to, n } of steps) {
          const [source, target] = [from.join('/'), to.join('/')]
          const has = (path: string) => typeof at.find(path) !== 'number'
          const parent = (path: string[]) => has(path.slice(0, -1).join('/'))
          if (!parent(from)) continue
          const [folder, last] = at.split(source)
          if ((at.stat(from.slice(0, -1).join('/')).mode & 0o170000) !== 0o040000) continue
          if (op === 'mkdir') a.fs.mkdir(ROOT, folder, last, 0o755)
          else if (op === 'remove') {
            if (a.fs.unlink(ROOT, folder, last) < 0) a.fs.rmdir(ROOT, folder, last)
          } else if (op === 'write') {
            if (!has(source) || (at.stat(source).mode & 0o170000) === 0o100000) at.write(source, `${source} ${n}`)
          } else if (op === 'sync') same()
          else if (op === 'chmod') {
            if (has(source)) ok(a.fs.setattr(ROOT, at.stat(source).ino, { mode: n % 512 }))
          } else if (has(source) && parent(to)) {
            if ((at.stat(to.slice(0, -1).join('/')).mode & 0o170000) !== 0o040000) continue
            if (op === 'move') at.rename(source, target, n % 3)
            else a.fs.link(ROOT, at.stat(source).ino, ...at.split(target))
          }
        }
        same()
      }),
      { numRuns: Number(process.env.MODEL_RUNS ?? 20) },
    )
  })
})
