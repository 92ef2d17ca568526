// A real volume for tests: directory, mount, supervised threads, and helpers to kill parts of it. Everything it makes is gone
// after `destroy`.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type ActorNode, ActorSystem } from '../../lib/actors/index.js'
import { mountedType } from '../../lib/fuse/mount.js'
import type { DId, Revision } from '../../lib/model/types.js'
import { PART_CONTENT } from '../../lib/model/types.js'
import { createVolume } from '../../lib/store/volume-store.js'
import { HasherPool } from '../../lib/volume/hashing/pool.js'
import { leaveVolume, type OpenedVolumeParts, openVolume } from '../../lib/volume/open-volume.js'
import type { OpenedVolume } from '../../lib/volume/volume.js'
import { volumeSupervisor } from '../../supervisors/volume.js'
import { volumesSupervisor } from '../../supervisors/volumes.js'

export const AUTHOR = new Uint8Array(32).fill(7)

export class VolumeFixture {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'peerdrive-volume-'))
  readonly store = path.join(this.directory, 'store')
  readonly mountPoint = path.join(this.directory, 'mnt')
  readonly reports: string[] = []
  hashers!: HasherPool
  system!: ActorSystem
  #parts?: OpenedVolumeParts

  get volume(): OpenedVolume {
    return this.#parts!.volume
  }

  get resources(): OpenedVolumeParts['resources'] {
    return this.#parts!.resources
  }

  async create(init: { root?: DId } = {}): Promise<this> {
    await createVolume({ directory: this.store, label: 'test', author: AUTHOR, ...init })
    return this
  }

  async open({ mount = true } = {}): Promise<this> {
    this.hashers = new HasherPool({}, { idleMs: 1000 })
    this.system = new ActorSystem({})
    if (mount) mkdirSync(this.mountPoint, { recursive: true })
    this.#parts = await openVolume(
      { hashers: this.hashers },
      {
        directory: this.store,
        author: AUTHOR,
        mountPoint: mount ? this.mountPoint : undefined,
        onReport: (text) => this.reports.push(text),
      },
    )
    const { resources } = this.#parts
    await this.system.start(volumesSupervisor(() => [volumeSupervisor(resources)]))
    await resources.opened
    return this
  }

  async close(): Promise<void> {
    if (!this.#parts) return
    const parts = this.#parts
    this.#parts = undefined
    await leaveVolume(parts)
    await this.system.stop()
    await parts.resources.close()
    await this.hashers.close()
  }

  async destroy(): Promise<void> {
    try {
      await this.close()
      assert.equal(mountedType(this.mountPoint), undefined, 'the mount is left over')
    } finally {
      rmSync(this.directory, { recursive: true, force: true })
    }
  }

  path(...names: string[]): string {
    return path.join(this.mountPoint, ...names)
  }

  /** The node of the supervision tree at `id` below the volume's supervisor. */
  actor(...ids: string[]): ActorNode {
    let node = this.system.inspect().children[0]
    for (const id of ids) {
      const child = node.children.find((c) => c.id === id)
      assert.ok(child, `no actor ${id} in ${node.children.map((c) => c.id)}`)
      node = child
    }
    return node
  }

  /** Kills an actor (and its thread), and resolves when its successor runs. */
  async kill(id: string): Promise<void> {
    const { path: actorPath, restarts } = this.actor(id)
    await this.system.kill(actorPath)
    await this.until(() => this.actor(id).status === 'running' && this.actor(id).restarts > restarts)
  }

  /** Resolves when `condition` holds. */
  async until(condition: () => boolean): Promise<void> {
    const holds = () => {
      try {
        return condition()
      } catch {
        return false
      }
    }
    while (!holds()) await setTimeout(5)
  }

  /** Head of the document at a path, after a flush. */
  async revision(...names: string[]): Promise<Revision> {
    await this.volume.flush()
    const { document } = await this.volume.walk(names.map((name) => Buffer.from(name)))
    const head = this.volume.head(document)
    assert.ok(head, `${names.join('/')} has no head`)
    return this.volume.revision(head.head)!
  }

  /** All contents that a file ever had, oldest first; but the empty one, which it has or not before it is written. */
  async contents(...names: string[]): Promise<Buffer[]> {
    const found: Buffer[] = []
    let revision: Revision | undefined = await this.revision(...names)
    while (revision) {
      const content = revision.parts.get(PART_CONTENT)
      const bytes = content ? await this.volume.read(content, 0, content.size) : new Uint8Array(0)
      if (bytes.length > 0 && !found[0]?.equals(bytes)) found.unshift(Buffer.from(bytes))
      revision = revision.parents[0] && this.volume.revision(revision.parents[0])
    }
    return found
  }
}

/** Resolves when a child process has ended. */
export async function exited(child: import('node:child_process').ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
