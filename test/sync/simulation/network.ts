// A few devices in one process that synchronize volumes in memory: real managers, workers and sessions, links that can be cut.
// The actors' clock is moved by `settle`, so nothing waits for seconds. Test support only.

import assert from 'node:assert/strict'
import {
  ActorSystem,
  type ChildSpec,
  type Clock,
  type SupervisorMessage,
  supervisor,
} from '../../../lib/actors/index.js'
import { hex, unhex } from '../../../lib/model/bytes.js'
import type { ChunkId, DId } from '../../../lib/model/types.js'
import {
  type ManagerArgs,
  type ManagerMessage,
  manager,
  type Permission,
  type SteerAction,
} from '../../../lib/sync/manager.js'
import type { Session } from '../../../lib/sync/session.js'
import { livingWorkers, type WorkerView } from '../../../lib/sync/worker-view.js'
import type { Volume } from '../../../lib/volume/contract.js'
import { giveAway } from '../../../lib/volume/give-away.js'
import { SYNC, syncSupervisor } from '../../../supervisors/sync.js'
import { ManualClock } from '../../support/manual-clock.js'
import { type LinkEnd, MemoryLink, type MemoryLinkInit } from './link.js'
import { idOf, MemoryVolume, type MemoryVolumeInit } from './volume.js'

export const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** What synchronizes the volumes of one device: manager and workers in an actor system of their own. */
export class Host<V extends Volume = Volume> {
  readonly volumes: V[] = []
  readonly links = new Set<LinkEnd>()
  readonly sessions = new Map<string, Session>()
  readonly reports: string[] = []
  readonly crashes: string[] = []
  /** Hex root → peer → what it may. Everything, unless said otherwise. */
  permission: (peer: string, root: Uint8Array) => Permission | undefined = () => 'write'
  /** Of the workers; the system's if not given. */
  now?: () => number
  system!: ActorSystem

  constructor(
    readonly id: string,
    readonly clock?: Clock,
  ) {}

  get volume(): V {
    return this.volumes[0]
  }

  async start(): Promise<void> {
    this.system = new ActorSystem(
      { clock: this.clock },
      { onCrash: (path, crash) => this.crashes.push(`${path}: ${crash.reason}\n${crash.stack ?? ''}`) },
    )
    const args: ManagerArgs = {
      volumes: () => this.volumes,
      links: () => [...this.links],
      permission: (peer, root) => this.permission(peer, root),
      workers: () => this.system.whereis<SupervisorMessage>(SYNC),
      sessions: this.sessions,
      changed: () => {},
      report: (text) => this.reports.push(text),
      now: this.now,
    }
    const managerSpec: ChildSpec<ManagerArgs> = { id: 'manager', name: 'manager', behaviour: manager, args }
    await this.system.start(
      supervisor({
        id: 'root',
        strategy: 'rest_for_one',
        children: [syncSupervisor(() => []), managerSpec as ChildSpec],
      }) as ChildSpec,
    )
  }

  async stop(): Promise<void> {
    await this.system.stop()
  }

  /** Kills the manager or a worker; supervisors start them again. */
  async killSomething(random: () => number): Promise<void> {
    const actors = this.system.inspect().children.flatMap((node) => (node.id === 'sync' ? node.children : [node]))
    const actor = actors[Math.floor(random() * actors.length)]
    if (actor?.status === 'running') await this.system.kill(actor.path)
  }

  look(): void {
    this.system.whereis<ManagerMessage>('manager')?.cast({ type: 'changed' })
  }

  steer(action: SteerAction, document?: DId): void {
    const message: ManagerMessage = { type: 'steer', volume: '', peer: '', action, document }
    this.system.whereis<ManagerMessage>('manager')?.cast(message)
  }

  workers(): WorkerView[] {
    return this.volumes.flatMap((volume) => livingWorkers(volume))
  }
}

export class Device extends Host<MemoryVolume> {
  /** A crash and a new start. `lost`: the power was cut, and applied changes were not durable yet. */
  async restart(lost = false): Promise<void> {
    for (const link of [...this.links]) link.abort(new Error('The device is restarted.'))
    await this.system.stop()
    this.volumes[0] = this.volume.restarted(lost)
    await this.start()
  }
}

export class Network {
  readonly clock = new ManualClock()
  readonly devices: Device[] = []
  readonly links: MemoryLink[] = []
  /** Chunks, by everybody. */
  givenAway = 0

  /** A device with a volume of the root that all share. */
  async device(
    id: string,
    init: Partial<MemoryVolumeInit> = {},
    hold: 'everything' | 'on-demand' = 'everything',
  ): Promise<Device> {
    const device = new Device(id, this.clock)
    const after = (ms: number, callback: () => void) => this.clock.after(ms, callback)
    const elsewhere = (chunk: ChunkId) => this.#find(chunk)
    const volume = MemoryVolume.create({ seed: id, root: idOf('the root'), after, elsewhere, ...init })
    if (hold === 'on-demand') await volume.holding.set({ hold })
    device.volumes.push(volume)
    await device.start()
    this.devices.push(device)
    return device
  }

  #find(chunk: ChunkId): Uint8Array | undefined {
    return this.devices.find(({ volume }) => volume.hasChunk(chunk))?.volume.source(chunk)
  }

  /** What a keeper that is connected has goes from this device. Never rejects. */
  async giveAway({ volume }: Device): Promise<void> {
    const { holding, wants } = volume
    const drop = async (ids: ChunkId[]) => {
      for (const id of ids) {
        volume.forgetChunk(id)
        this.givenAway++
      }
      return ids.length
    }
    await giveAway({ holding, suppliers: () => wants.suppliers, drop }, volume.data()).catch(() => {})
  }

  connect(a: Device, b: Device, init: MemoryLinkInit = {}): MemoryLink {
    const link = new MemoryLink(a.id, b.id, init)
    this.links.push(link)
    for (const [device, end] of [
      [a, link.ends[0]],
      [b, link.ends[1]],
    ] as const) {
      device.links.add(end)
      device.look()
      void link.closed.then(() => device.links.delete(end))
    }
    return link
  }

  cutAll(): void {
    for (const link of this.links.splice(0)) link.cut()
  }

  /** All devices linked with each other. */
  mesh(init: MemoryLinkInit = {}): void {
    for (const [i, a] of this.devices.entries()) for (const b of this.devices.slice(i + 1)) this.connect(a, b, init)
  }

  /** Runs everything until `done`; fails with `what` when that does not happen. */
  async until(done: () => boolean, what: () => string, seconds = 25): Promise<void> {
    const deadline = performance.now() + seconds * 1000
    for (let turns = 0; !done(); turns++) {
      await turn()
      if (turns % 20 === 19) this.clock.advance(250)
      if (performance.now() > deadline) assert.fail(`not in ${seconds} s: ${what()}`)
    }
  }

  /** Until all volumes have the same heads, durable, and nobody has anything left to tell or to do. */
  async converge(seconds = 25): Promise<void> {
    await this.until(
      () => this.#same() && this.#idle(),
      () => this.describe(),
      seconds,
    )
  }

  #same(): boolean {
    const [first, ...others] = this.devices.map(({ volume }) => JSON.stringify([...volume.heads()]))
    return others.every((heads) => heads === first) && this.devices.every(({ volume }) => volume.status().backlog === 0)
  }

  #idle(): boolean {
    return this.devices.every((device) =>
      device
        .workers()
        .every(({ feeder, fetcher }) => !fetcher.working && feeder.acknowledged >= device.volume.lastSeq()),
    )
  }

  describe(): string {
    return this.devices
      .map((device) => {
        const workers = device.workers().map(({ args, feeder, fetcher }) => {
          const waiting = fetcher.pending.list().map((w) => `${hex(w.document).slice(0, 6)} ${w.reason}`)
          const sent = `sent ${feeder.sent}/${feeder.acknowledged} of ${device.volume.lastSeq()}`
          return `  ${args.peerName}: ${sent}, received ${fetcher.anchor}/${fetcher.lastSeq} ${waiting.join('; ')}`
        })
        const { volume, reports, crashes } = device
        return [
          `${device.id}: ${volume.heads().size} heads, ${volume.status().backlog} drafts`,
          ...workers,
          ...reports,
          ...crashes,
        ].join('\n')
      })
      .join('\n')
  }

  /** Same heads, same trees, nothing promised that is missing, and no revision that one has and another has not. */
  assertEqual(): void {
    const [first, ...others] = this.devices.map((device) => device.volume)
    assert.deepEqual(first.audit(), [])
    for (const other of others) {
      assert.deepEqual([...other.heads()], [...first.heads()])
      assert.deepEqual([...other.tree()], [...first.tree()])
      assert.deepEqual(other.audit(), [])
    }
    assert.deepEqual(this.#differentMerges(), [], 'whoever merges the same heads makes the same revision')
    assert.deepEqual(first.treeFaults(), [])
    assert.deepEqual(first.silentConflicts(), [])
  }

  /** Heads of which several merges were made, on whatever devices. */
  #differentMerges(): string[] {
    const merges = new Map<string, Set<string>>()
    for (const { volume } of this.devices)
      for (const [rid, { author, parents }] of volume.revisions()) {
        if (author.length || parents.length < 2) continue
        const key = parents.map(hex).join()
        merges.set(key, (merges.get(key) ?? new Set()).add(rid))
      }
    return [...merges].filter(([, made]) => made.size > 1).map(([key]) => key)
  }

  /** No version that anybody made, and that ever was a head anywhere, is missing anywhere. */
  assertNothingLost(): void {
    const [first, ...others] = this.devices.map(({ volume }) => volume.versions())
    for (const other of others) assert.deepEqual(other, first)
    const versions = new Set(first)
    for (const { volume } of this.devices)
      for (const rid of volume.ledger)
        if (volume.revision(unhex(rid))!.author.length > 0) assert.ok(versions.has(rid), `version ${rid} is lost`)
  }

  /** Nothing crashed, but what was killed. */
  assertNoCrash(): void {
    const crashes = this.devices.flatMap((device) => device.crashes.filter((crash) => !crash.includes(': killed')))
    assert.deepEqual(crashes, [])
  }

  async stop(): Promise<void> {
    this.cutAll()
    await Promise.all(this.devices.map((device) => device.stop()))
  }
}
