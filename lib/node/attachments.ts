// Volumes on disks that come and go: replicas of a volume of this device, stored where somebody said (`peerdrive backup`). Opens them
// when their disk is there and closes them when it is not; what is to be done meanwhile waits at its anchor. Owns which are
// ejected: closed so that the disk can be taken out, until it was.

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Behaviour, ChildSpec } from '../actors/index.js'
import { type BackupInfo, ServiceError } from '../api/services.js'
import { equal, hex } from '../model/bytes.js'
import type { DId, SId } from '../model/types.js'
import { createVolume } from '../store/volume-store.js'
import type { Volume } from '../volume/contract.js'
import type { NodeConfig, VolumeEntry } from './config.js'

export interface AttachmentsComponents {
  author: Uint8Array
  config: NodeConfig
  save(): void
  /** `prepare`: what has to be before anything travels. */
  open(entry: VolumeEntry, prepare?: (volume: Volume) => Promise<void>): Promise<void>
  close(entry: VolumeEntry): Promise<void>
  /** The volume of an entry, if it is open. */
  opened(entry: VolumeEntry): Volume | undefined
}

const LOOK_MS = 1000

export class Attachments {
  readonly #c: AttachmentsComponents
  readonly #ejected = new Set<VolumeEntry>()
  readonly #problems = new Map<VolumeEntry, string>()
  /** One thing at a time. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(components: AttachmentsComponents) {
    this.#c = components
  }

  list(): BackupInfo[] {
    return this.#entries().map((entry) => ({
      label: entry.label,
      directory: entry.directory,
      state: this.#c.opened(entry) ? 'open' : this.#ejected.has(entry) ? 'ejected' : 'not there',
      problem: this.#problems.get(entry),
    }))
  }

  /** Opens what has come, closes what has gone. Never rejects. */
  look(): Promise<void> {
    return this.#inTurn(async () => {
      for (const entry of this.#entries()) await this.#lookAt(entry)
    })
  }

  /**
   * Makes a replica of `of` there, or takes the one that is there already. `only`: it gets contents of these documents, and what is in
   * them, alone; everything if not given. `rule` is called before anything can travel.
   * Rejects with ServiceError, and with the store's errors.
   */
  add(
    directory: string,
    of: Volume,
    options: { label?: string; mountPoint?: string; only?: DId[] },
    rule: (target: SId) => Promise<void>,
  ): Promise<VolumeEntry> {
    return this.#inTurn(async () => {
      const { config, author, save, open } = this.#c
      const label = options.label ?? path.basename(directory)
      if (config.volumes.some((entry) => entry.directory === directory))
        throw new ServiceError('ATTACHED_ALREADY', `${directory} is a volume of this device already.`)
      if (config.volumes.some((entry) => entry.mountPoint && isWithin(directory, entry.mountPoint)))
        throw new ServiceError('WITHIN_ITSELF', `${directory} is in a volume: a backup cannot be inside itself.`)
      if (config.volumes.some((entry) => entry.label === label))
        throw new ServiceError('LABEL_TAKEN', `There is a volume '${label}' already: say --label NAME.`)
      const there = await describe(directory)
      if (there && !equal(there.root, of.root))
        throw new ServiceError(
          'ANOTHER_VOLUME',
          `${directory} holds another volume, which is no backup of '${of.label}'.`,
        )
      const { sid } = there ?? (await createVolume({ directory, label, author, root: of.root }))
      await rule(sid)
      const entry: VolumeEntry = { label, directory, mountPoint: options.mountPoint, attached: true }
      await open(entry, (volume) => holdOnly(volume, options.only))
      config.volumes.push(entry)
      save()
      return entry
    })
  }

  /** Closes it, so that its disk can be taken out. It is opened again when the disk has been away. */
  eject(label: string): Promise<void> {
    return this.#inTurn(async () => {
      const entry = this.#find(label)
      this.#ejected.add(entry)
      if (this.#c.opened(entry)) await this.#c.close(entry)
    })
  }

  /** Is no volume of this device any more; its files stay. Answers which it was, as far as that can be seen. */
  remove(label: string): Promise<SId | undefined> {
    return this.#inTurn(async () => {
      const { config, opened, close, save } = this.#c
      const entry = this.#find(label)
      const sid = opened(entry)?.sid ?? (await describe(entry.directory))?.sid
      if (opened(entry)) await close(entry)
      config.volumes = config.volumes.filter((other) => other !== entry)
      this.#ejected.delete(entry)
      this.#problems.delete(entry)
      save()
      return sid
    })
  }

  #entries(): VolumeEntry[] {
    return this.#c.config.volumes.filter(({ attached }) => attached)
  }

  #find(label: string): VolumeEntry {
    const entry = this.#entries().find((one) => one.label === label || one.directory === label)
    if (entry) return entry
    throw new ServiceError('NO_SUCH_BACKUP', `There is no backup '${label}'; \`peerdrive backup list\` lists them.`)
  }

  async #lookAt(entry: VolumeEntry): Promise<void> {
    const { opened, open, close } = this.#c
    const there = await describe(entry.directory)
    const volume = opened(entry)
    try {
      if (volume && !(there && equal(there.sid, volume.sid))) await close(entry)
      if (!there) this.#ejected.delete(entry)
      else if (!volume && !this.#ejected.has(entry)) await open(entry)
      this.#problems.delete(entry)
    } catch (error) {
      this.#problems.set(entry, (error as Error).message)
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }
}

const isWithin = (directory: string, mount: string) => directory === mount || directory.startsWith(`${mount}/`)

async function holdOnly({ holding }: Volume, only: DId[] | undefined): Promise<void> {
  if (!only?.length) return
  await holding.set({ hold: 'on-demand' })
  for (const document of only) await holding.pin(document)
}

/** Which volume is stored in a directory. Undefined: none, or it cannot be seen. */
async function describe(directory: string): Promise<{ sid: SId; root: Uint8Array } | undefined> {
  try {
    const { sid, root } = JSON.parse(await readFile(path.join(directory, 'volume.json'), 'utf8'))
    const [a, b] = [Buffer.from(sid, 'hex'), Buffer.from(root, 'hex')]
    return hex(a) === sid && hex(b) === root ? { sid: a, root: b } : undefined
  } catch {
    return undefined
  }
}

/** The actor that looks after them. */
export function attachmentsSpec(attachments: Attachments): ChildSpec<Attachments> {
  return { id: 'backups', name: 'backups', behaviour: looker, args: attachments }
}

const looker: Behaviour<Attachments, { type: 'look' }, Attachments> = {
  init(context, attachments) {
    context.every(LOOK_MS, { type: 'look' })
    return attachments
  },
  async handle(attachments) {
    // Where there are none, nothing is looked at.
    if (attachments.list().length) await attachments.look()
  },
  summarize: (attachments) => ({ backups: attachments.list().length }),
}
