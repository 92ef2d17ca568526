// The volumes of this node: opens what the configuration names, makes the home volume at the first start, takes part in
// volumes of other devices. Owns the open volumes (they outlive the actors that work for them) and the configuration file.

import { existsSync } from 'node:fs'
import path from 'node:path'
import type { ChildSpec } from '../actors/index.js'
import { type HandleInfo, type JoinOptions, ServiceError } from '../api/services.js'
import type { DriverName } from '../fuse/driver.js'
import { equal } from '../model/bytes.js'
import { createVolume } from '../store/volume-store.js'
import type { Offer } from '../sync/messages.js'
import type { Volume } from '../volume/contract.js'
import type { HandleEntry } from '../volume/handle-table.js'
import { HasherPool } from '../volume/hashing/pool.js'
import type { NamedDevice } from '../volume/history/devices.js'
import { leaveVolume, type OpenedVolumeParts, openVolume } from '../volume/open-volume.js'
import type { VolumeResources } from '../volume/resources.js'
import { Attachments } from './attachments.js'
import { type NodeConfig, readConfig, type VolumeEntry, writeConfig } from './config.js'
import type { NodePaths } from './paths.js'

export interface OpenVolume {
  volume: Volume
  /** A replica for this device alone: a backup on one of its disks. */
  attached: boolean
  directory: string
  mountPoint?: string
  mounted(): boolean
  handles(): Promise<HandleInfo[]>
  /** A chunk turned out to be damaged. */
  damaged(chunk: Uint8Array): void
}

export interface VolumeListComponents {
  /** This device, 32 bytes. */
  author: Uint8Array
  report(text: string): void
  /** This device and the paired ones, as versions name them. */
  devices(): NamedDevice[]
  /** The supervisor of a volume, as data; and starting and stopping it in the running tree. */
  supervise(volume: VolumeResources): ChildSpec
  start(volume: VolumeResources): Promise<void>
  stop(volume: VolumeResources): Promise<void>
}

export interface VolumeListInit {
  paths: NodePaths
  config: NodeConfig
  driver: DriverName
  /** Where the home volume is to be mounted from now on. */
  mountPoint?: string
}

interface Opened {
  entry: VolumeEntry
  parts: OpenedVolumeParts
  face: OpenVolume
}

const SLASH = 0x2f

export class VolumeList {
  /** Called when a volume came or went. */
  onChange: () => void = () => {}
  readonly #parts: VolumeListComponents
  readonly #init: VolumeListInit
  readonly #hashers = new HasherPool()
  readonly #open: Opened[] = []
  /** Open, and nobody else's business yet. */
  #preparing: Opened | undefined

  constructor(components: VolumeListComponents, init: VolumeListInit) {
    this.#parts = components
    this.#init = init
    this.attachments = new Attachments({
      author: components.author,
      config: init.config,
      save: () => this.#save(),
      open: (entry, prepare) => this.#attach(entry, prepare),
      close: (entry) => this.#detach(entry),
      opened: (entry) => this.#open.find((one) => one.entry === entry)?.face.volume,
    })
  }

  /** Of this device, wherever they are. */
  readonly attachments: Attachments

  list(): OpenVolume[] {
    return this.#open.filter((one) => one !== this.#preparing).map(({ face }) => face)
  }

  /** Supervisors of the open volumes, for the tree. */
  specs(): ChildSpec[] {
    return this.#open.map(({ parts }) => this.#parts.supervise(parts.resources))
  }

  /** Opens and mounts what the configuration names; makes the home volume if it names none. */
  async openAll(): Promise<void> {
    const { config, paths } = this.#init
    if (config.volumes.length === 0) {
      const directory = path.join(paths.data, 'volumes', 'home')
      if (!existsSync(path.join(directory, 'volume.json')))
        await createVolume({ directory, label: 'home', author: this.#parts.author })
      config.volumes.push({ label: 'home', directory, mountPoint: paths.mountPoint })
    }
    if (this.#init.mountPoint) {
      const home = config.volumes.find(({ label }) => label === 'home') ?? config.volumes[0]
      home.mountPoint = this.#init.mountPoint
    }
    const before = JSON.stringify(readConfig(paths.config))
    for (const entry of config.volumes) if (!entry.attached) await this.#openOne(entry)
    // Not before: a mount point that does not work must not be remembered.
    if (JSON.stringify(config) !== before) this.#save()
  }

  /** Resolves when every volume serves. Rejects with the error of the first that cannot. */
  async ready(): Promise<void> {
    await Promise.all(this.#open.map(({ parts }) => parts.resources.opened))
  }

  /** By its name; without one the only one that there is, but for those of backups. Throws ServiceError. */
  find(label: string): OpenVolume {
    const found = this.#open.filter(({ face }) => (label ? face.volume.label === label : !face.attached))
    if (found.length === 1) return found[0].face
    if (found.length === 0)
      throw new ServiceError('NO_SUCH_VOLUME', `There is no volume '${label}' here; \`peerdrive status\` lists them.`)
    throw new ServiceError('AMBIGUOUS_VOLUME', 'There are several volumes here: say which one (--volume NAME).')
  }

  /** The volume in which an absolute path lies, and the names from its root. Throws ServiceError. */
  locate(file: Uint8Array): { volume: Volume; names: Uint8Array[] } {
    const bytes = Buffer.from(file)
    for (const { face } of this.#open) {
      // One that is not mounted is named by where it is stored.
      const mount = Buffer.from(face.mountPoint ?? face.directory)
      if (!mount.length || !bytes.subarray(0, mount.length).equals(mount)) continue
      if (bytes.length > mount.length && bytes[mount.length] !== SLASH) continue
      return { volume: face.volume, names: namesOf(bytes.subarray(mount.length)) }
    }
    throw new ServiceError('NOT_IN_A_VOLUME', `${bytes.toString()} is not in a PeerDrive volume that is mounted here.`)
  }

  /**
   * Takes part in a volume of another device: a replica with the same root document, filled by sync. A home volume in which
   * nothing was ever stored makes way for it.
   */
  async join(offer: Offer, options: Omit<JoinOptions, 'volume'>): Promise<OpenVolume> {
    const known = this.#open.find(({ face }) => !face.attached && equal(face.volume.root, offer.root))
    if (known) throw new ServiceError('JOINED_ALREADY', `That volume is here already, at ${known.face.mountPoint}.`)
    const { config, paths } = this.#init
    const label = options.label ?? offer.label
    const unused = this.#open.find(
      ({ entry, face }) => !options.mountPoint && entry.mountPoint && isUnused(face.volume),
    )
    const mountPoint = options.mountPoint ?? unused?.entry.mountPoint ?? freePath(`${paths.mountPoint}-${label}`)
    const directory = freePath(path.join(paths.data, 'volumes', label))
    const holding = options.onDemand ? { hold: 'on-demand' as const } : undefined
    await createVolume({ directory, label, author: this.#parts.author, root: offer.root, holding })
    if (unused) await this.#closeOne(unused)
    const entry = { label, directory, mountPoint }
    config.volumes.push(entry)
    try {
      await this.#openOne(entry)
    } catch (error) {
      config.volumes = config.volumes.filter((other) => other !== entry)
      if (unused) {
        config.volumes.push(unused.entry)
        await this.#openOne(unused.entry)
      }
      throw error
    }
    this.#save()
    const opened = this.#open[this.#open.length - 1]
    await this.#parts.start(opened.parts.resources)
    await opened.parts.resources.opened
    this.onChange()
    return opened.face
  }

  /** `prepare`: what has to be before anything travels. */
  async #attach(entry: VolumeEntry, prepare?: (volume: Volume) => Promise<void>): Promise<void> {
    await this.#openOne(entry)
    this.#preparing = this.#open[this.#open.length - 1]
    const { parts, face } = this.#preparing
    try {
      await this.#parts.start(parts.resources)
      await parts.resources.opened
      await prepare?.(face.volume)
    } catch (error) {
      await this.#detach(entry)
      throw error
    } finally {
      this.#preparing = undefined
    }
    this.onChange()
  }

  /** Its disk may be gone: nothing of it is waited for that is not there. */
  async #detach(entry: VolumeEntry): Promise<void> {
    const at = this.#open.findIndex((one) => one.entry === entry)
    const [one] = this.#open.splice(at, 1)
    this.onChange()
    await leaveVolume(one.parts)
    await this.#parts.stop(one.parts.resources)
    await one.parts.resources.close()
  }

  /** Gives the mounts back, before the actors are stopped. */
  async unmount(): Promise<void> {
    await Promise.all(this.#open.map(({ parts }) => leaveVolume(parts)))
  }

  /** After the actors have been stopped. */
  async close(): Promise<void> {
    for (const { parts } of this.#open.splice(0)) await parts.resources.close()
    await this.#hashers.close()
  }

  /** Devices came, or have other names. */
  nameDevices(): void {
    for (const { parts } of this.#open) parts.resources.nameDevices(this.#parts.devices())
  }

  async #openOne(entry: VolumeEntry): Promise<void> {
    const parts = await openVolume(
      { hashers: this.#hashers },
      {
        directory: entry.directory,
        author: this.#parts.author,
        devices: this.#parts.devices(),
        mountPoint: entry.mountPoint,
        driver: this.#init.driver,
        onReport: (text) => this.#parts.report(`${entry.label}: ${text}`),
      },
    )
    const { resources } = parts
    this.#open.push({
      entry,
      parts,
      face: {
        volume: parts.volume,
        attached: entry.attached ?? false,
        directory: entry.directory,
        mountPoint: entry.mountPoint,
        mounted: () => resources.mountPoint?.mounted ?? false,
        handles: async () => resources.handles.all().map(handleInfo),
        damaged: (chunk) => resources.damaged.add(new Uint8Array(chunk)),
      },
    })
  }

  async #closeOne(one: Opened): Promise<void> {
    const { config } = this.#init
    await leaveVolume(one.parts)
    await this.#parts.stop(one.parts.resources)
    await one.parts.resources.close()
    this.#open.splice(this.#open.indexOf(one), 1)
    config.volumes = config.volumes.filter((entry) => entry !== one.entry)
  }

  #save(): void {
    writeConfig(this.#init.paths.config, this.#init.config)
  }
}

/** Where an inode can be seen, in the mount if there is one; empty if it has no name or there is none. */
export async function shownPath({ volume, mountPoint }: OpenVolume, ino: number): Promise<string> {
  const names = ino > 0 ? await volume.path(ino).catch(() => undefined) : undefined
  return names ? [mountPoint ?? '', ...names.map((name) => Buffer.from(name).toString())].join('/') : ''
}

function namesOf(relative: Buffer): Uint8Array[] {
  return relative
    .toString('latin1')
    .split('/')
    .filter((name) => name !== '')
    .map((name) => Buffer.from(name, 'latin1'))
}

/** Nothing but its root was ever in it. */
function isUnused(volume: Volume): boolean {
  return volume.status().documents <= 1 && volume.status().backlog === 0
}

function freePath(wanted: string): string {
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? wanted : `${wanted}-${n}`
    if (!existsSync(candidate)) return candidate
  }
}

function handleInfo(entry: HandleEntry): HandleInfo {
  return {
    handle: entry.handle,
    path: entry.path?.map((name) => Buffer.from(name).toString()).join('/') ?? '',
    dirty: entry.state === 'dirty',
    size: entry.size,
    state: entry.state,
  }
}
