// Three nodes in a line, laptop - desk - shed: laptop and shed never meet. They are cut off from each other, changed at the same
// time in every way that needs a decision, and brought together again.

import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import type { ConflictInfo } from '../../lib/api/services.js'
import { differences, manifest } from './manifest.js'
import { Namespaces, namespacesAllowed } from './namespaces.js'
import { eventually, hasFuse, info, isRoot, NodeProcess, pairAndJoin, scratch, volumeOf } from './support.js'

describe('Three nodes in a line', function () {
  this.timeout(300_000)
  let directory: string
  let network: Namespaces
  let nodes: NodeProcess[] = []
  /** Everything that was ever closed anywhere. */
  const closed = new Set<string>()

  const at = (node: NodeProcess, ...names: string[]) => path.join(node.mountPoint, ...names)
  const write = (node: NodeProcess, content: string, ...names: string[]) => {
    fs.writeFileSync(at(node, ...names), content)
    closed.add(content)
  }

  before(async function () {
    if (!isRoot || !hasFuse || !namespacesAllowed()) {
      console.log('skipped: three nodes need root, /dev/fuse and network namespaces (ip netns)')
      return this.skip()
    }
    directory = scratch()
    network = new Namespaces(3)
    nodes = ['laptop', 'desk', 'shed'].map(
      (name, i) =>
        new NodeProcess({ home: path.join(directory, name), prefix: network.prefix(i), args: ['--name', name] }),
    )
    await Promise.all(nodes.map((node) => node.start()))
    const [laptop, desk, shed] = nodes
    await pairAndJoin(laptop, desk)
    await pairAndJoin(desk, shed)
  })

  after(async () => {
    await Promise.all(nodes.map((node) => node.stop()))
    network?.destroy()
    if (directory) fs.rmSync(directory, { recursive: true, force: true })
  })

  /** Links that there should be are there, nothing waits anywhere, and all show the same. */
  async function atRest(): Promise<void> {
    await eventually(
      async () => {
        const infos = await Promise.all(
          nodes.map(async (node) => {
            // Asking for a log commits what was acknowledged and seals every folder.
            await node.with((api) => api.log(Buffer.from(node.mountPoint), 1))
            return info(node)
          }),
        )
        for (const [i, said] of infos.entries()) {
          assert.equal(volumeOf(nodes[i], said).backlog, 0)
          assert.deepEqual(
            said.sync.flatMap(({ pending }) => pending),
            [],
          )
          assert.equal(said.sync.length, i === 1 ? 2 : 1)
        }
        const [first, ...others] = nodes.map((node) => manifest(node.mountPoint))
        for (const other of others) assert.deepEqual(differences(first, other), [])
      },
      90_000,
      300,
    )
  }

  async function apart(...work: (() => void)[]): Promise<void> {
    for (let i = 0; i < 3; i++) network.link(i, false)
    for (const one of work) one()
    // Folders and versions are made while nobody hears of them.
    for (const node of nodes) await node.with((api) => api.log(Buffer.from(node.mountPoint), 1))
    network.link(0, true)
    network.link(1, true)
    await eventually(async () => assert.ok((await info(nodes[0])).peers.some(({ connected }) => connected)), 60_000)
    network.link(2, true)
    await atRest()
  }

  const conflictsOf = (node: NodeProcess): Promise<ConflictInfo[]> => node.with((api) => api.conflicts())

  function read(...names: string[]): string[] {
    return nodes.map((node) => {
      try {
        return fs.readFileSync(at(node, ...names), 'utf8')
      } catch (error) {
        return (error as { code: string }).code
      }
    })
  }
  const all = (content: string) => [content, content, content]

  it('carry a tree from one end to the other', async () => {
    const [laptop] = nodes
    for (const name of ['a', 'b', 'old', 'x', 'y']) fs.mkdirSync(at(laptop, name))
    write(laptop, 'one\ntwo\nthree\n', 'text')
    for (const name of ['edited', 'moved', 'gone']) write(laptop, `${name} at first`, name)
    write(laptop, 'inside', 'old', 'inside')
    write(laptop, 'also inside', 'old', 'also')
    write(laptop, '\0binary', 'binary')
    for (const name of ['a', 'b']) write(laptop, `file of ${name}`, name, 'file')
    await atRest()
    assert.deepEqual(read('old', 'inside'), all('inside'))
  })

  it('come together after all three were changed at once', async () => {
    const [laptop, desk, shed] = nodes
    await apart(
      () => {
        fs.rmSync(at(laptop, 'edited'))
        fs.rmSync(at(laptop, 'gone'))
        fs.rmSync(at(laptop, 'old'), { recursive: true })
        fs.renameSync(at(laptop, 'moved'), at(laptop, 'x', 'moved'))
        fs.renameSync(at(laptop, 'a'), at(laptop, 'b', 'a'))
        write(laptop, 'ONE\ntwo\nthree\n', 'text')
        write(laptop, 'by laptop', 'new.txt')
        write(laptop, '\0of laptop', 'binary')
      },
      () => {
        write(desk, 'edited by desk', 'edited')
        fs.renameSync(at(desk, 'moved'), at(desk, 'y', 'moved'))
        write(desk, 'by desk', 'new.txt')
        fs.mkdirSync(at(desk, 'folder'))
        write(desk, 'desk', 'folder', 'desk')
      },
      () => {
        write(shed, 'changed by shed', 'old', 'inside')
        fs.renameSync(at(shed, 'b'), at(shed, 'a', 'b'))
        write(shed, 'one\ntwo\nTHREE\n', 'text')
        fs.mkdirSync(at(shed, 'folder'))
        write(shed, 'shed', 'folder', 'shed')
        write(shed, '\0of shed', 'binary')
      },
    )
    assert.deepEqual(read('edited'), all('edited by desk'), 'removed against edited: the edit stays')
    assert.deepEqual(read('gone'), all('ENOENT'), 'what one removed and nobody changed is gone')
    assert.deepEqual(read('old', 'inside'), all('changed by shed'))
    assert.deepEqual(read('old', 'also'), all('ENOENT'))
    assert.deepEqual(read('text'), all('ONE\ntwo\nTHREE\n'), 'both edits of a text')
    const tree = [...manifest(laptop.mountPoint).keys()]
    const named = (name: string) => tree.filter((file) => path.basename(file) === name)
    assert.equal(named('moved').length, 1, 'one place of what two moved')
    assert.deepEqual(named('file').length, 2, 'folders that were moved into each other are both there')
    assert.deepEqual(read('new.txt').length, 3)
    const news = tree.filter((file) => /^new(~[0-9a-f]{8})?\.txt$/.test(file))
    assert.deepEqual(news.map((file) => fs.readFileSync(at(shed, file), 'utf8')).sort(), ['by desk', 'by laptop'])
    assert.deepEqual(tree.filter((file) => /^folder(~[0-9a-f]{8})?$/.test(file)).length, 2)
  })

  it('list the same conflict, and end it everywhere from one end', async () => {
    const [laptop, , shed] = nodes
    const lists = await Promise.all(nodes.map(conflictsOf))
    for (const list of lists) {
      assert.deepEqual(
        list.map(({ path: file }) => path.basename(file)),
        ['binary'],
      )
      const others = list[0].versions.filter(({ merge }) => !merge)
      assert.deepEqual(others.map(({ device }) => device).sort().length, 2)
      assert.deepEqual(
        list[0].versions.map(({ rid }) => rid),
        lists[0][0].versions.map(({ rid }) => rid),
      )
    }
    const file = Buffer.from(at(shed, 'binary'))
    await shed.with((api) => api.resolve(file, undefined, true))
    await atRest()
    for (const node of nodes) assert.deepEqual(await conflictsOf(node), [])
    const shown = [...manifest(laptop.mountPoint).keys()].filter((name) => /^binary(~[0-9a-f]{8})?$/.test(name))
    const contents = shown.map((name) => fs.readFileSync(at(laptop, name), 'utf8'))
    assert.deepEqual(contents.sort(), ['\0of laptop', '\0of shed'])
  })

  it('have lost nothing that was ever closed', async () => {
    for (const node of nodes) {
      const found = new Set<string>()
      for (const name of [...manifest(node.mountPoint).keys(), 'gone', 'old/also']) {
        const file = Buffer.from(at(node, name))
        const versions = await node.with((api) => api.log(file, 1000))
        for (const { rid, type } of versions) {
          if (type === 'inode/directory') continue
          const pieces: Uint8Array[] = []
          await node.with((api) => api.cat(file, rid, async (bytes) => void pieces.push(Uint8Array.from(bytes))))
          found.add(Buffer.concat(pieces).toString())
        }
      }
      for (const content of closed) assert.ok(found.has(content), `${JSON.stringify(content)} is lost`)
    }
  })
})
