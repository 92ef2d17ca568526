// The TypeScript client library of PeerDrive: one connection to the node of this user, used by the command line itself.
// Every method is one call of NodeServices; failures arrive as ServiceError with the node's code and sentence.

import { connect, type Socket } from 'node:net'
import type { ActorNode } from '../actors/index.js'
import { readFrames, writeFrame } from './frames.js'
import { type AnyResponse, Request, type RequestBody, Response } from './messages.js'
import {
  type BackupInfo,
  type CheckCountsInfo,
  type CheckInfo,
  type ConflictInfo,
  type DeviceInfo,
  type HoldOptions,
  type InvitationInfo,
  type JoinOptions,
  type NodeEvent,
  type NodeInfo,
  type NodeServices,
  type RestoredInfo,
  type RuleField,
  type RuleInfo,
  ServiceError,
  type SteerAction,
  type VersionInfo,
  type VolumeInfo,
  type WhyInfo,
} from './services.js'

type Waiting = { each: (response: AnyResponse) => void; fail: (error: Error) => void }

/** All calls of NodeServices over the socket; `actors` is a promise here, and `close` ends the connection. */
export class ApiClient implements Omit<NodeServices, 'actors' | 'subscribe'> {
  readonly #socket: Socket
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #ended?: Error

  /** Resolves when connected. Rejects with ServiceError NODE_NOT_RUNNING if nothing listens at `socketPath`. */
  static connect(socketPath: string): Promise<ApiClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(socketPath)
      socket.once('connect', () => resolve(new ApiClient(socket)))
      socket.once('error', (error: NodeJS.ErrnoException) => {
        const gone = error.code === 'ENOENT' || error.code === 'ECONNREFUSED'
        reject(
          gone
            ? new ServiceError('NODE_NOT_RUNNING', 'No PeerDrive node is running. Start one with `peerdrive start`.')
            : new ServiceError(
                'NODE_NOT_REACHABLE',
                `The node's socket ${socketPath} cannot be used: ${error.message}`,
              ),
        )
      })
    })
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', (error) => this.#end(error))
    this.#receive().then(
      () => this.#end(new ServiceError('NODE_GONE', 'The node ended the connection.')),
      (error) => this.#end(error as Error),
    )
  }

  async info(): Promise<NodeInfo> {
    const { info } = await this.#call({ info: {} })
    return info as unknown as NodeInfo
  }

  async log(path: Uint8Array, limit: number): Promise<VersionInfo[]> {
    const { log } = await this.#call({ log: { path, limit } })
    return (log?.versions ?? []) as VersionInfo[]
  }

  async cat(path: Uint8Array, version: string, sink: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    let order: Promise<void> = Promise.resolve()
    await this.#call({ cat: { path, version } }, ({ data }) => {
      if (data) order = order.then(() => sink(data))
    })
    await order
  }

  async restore(path: Uint8Array, version: string): Promise<RestoredInfo> {
    return (await this.#call({ restore: { path, version } })).restored as RestoredInfo
  }

  async conflicts(): Promise<ConflictInfo[]> {
    return ((await this.#call({ conflicts: {} })).conflicts?.conflicts ?? []) as ConflictInfo[]
  }

  async resolve(path: Uint8Array, version?: string, both = false): Promise<VersionInfo> {
    return (await this.#call({ resolve: { path, version, both } })).version as VersionInfo
  }

  async invite(minutes: number): Promise<InvitationInfo> {
    return (await this.#call({ invite: { minutes } })).invitation as InvitationInfo
  }

  async pair(token: string): Promise<DeviceInfo> {
    return (await this.#call({ pair: { token } })).device as DeviceInfo
  }

  async unpair(peer: string): Promise<void> {
    await this.#call({ unpair: { peer } })
  }

  async join(options: JoinOptions): Promise<VolumeInfo> {
    return (await this.#call({ join: options })).volume as unknown as VolumeInfo
  }

  async steer(volume: string, peer: string, action: SteerAction, path?: Uint8Array): Promise<void> {
    await this.#call({ steer: { volume, peer, action, path } })
  }

  async rules(): Promise<RuleInfo[]> {
    return ((await this.#call({ rules: {} })).rules?.rules ?? []) as RuleInfo[]
  }

  async addRule(rule: RuleInfo): Promise<RuleInfo> {
    return (await this.#call({ addRule: rule })).rule as RuleInfo
  }

  async setRule(rule: RuleInfo, fields: RuleField[]): Promise<RuleInfo> {
    return (await this.#call({ setRule: { rule, fields } })).rule as RuleInfo
  }

  async removeRule(id: string): Promise<void> {
    await this.#call({ removeRule: { id } })
  }

  async why(path: Uint8Array): Promise<WhyInfo[]> {
    return ((await this.#call({ why: { path } })).whys?.whys ?? []) as WhyInfo[]
  }

  async backups(): Promise<BackupInfo[]> {
    return ((await this.#call({ backups: {} })).backups?.backups ?? []) as BackupInfo[]
  }

  async addBackup(options: Parameters<NodeServices['addBackup']>[0]): Promise<VolumeInfo> {
    return (await this.#call({ addBackup: options })).volume as unknown as VolumeInfo
  }

  async endBackup(label: string, how: 'eject' | 'remove'): Promise<void> {
    await this.#call({ endBackup: { label, how } })
  }

  async check(volume: string, progress: (counts: CheckCountsInfo) => void): Promise<CheckInfo[]> {
    const { checked } = await this.#call({ check: { volume } }, ({ checking }) => {
      if (checking) progress(checking as CheckCountsInfo)
    })
    return (checked?.volumes ?? []) as CheckInfo[]
  }

  async hold(volume: string, { hold, budget, retainMs }: HoldOptions): Promise<VolumeInfo> {
    const call = { volume, hold, budget, retainMs, forEver: retainMs === 0 }
    return (await this.#call({ hold: call })).volume as unknown as VolumeInfo
  }

  async pin(path: Uint8Array, pinned: boolean): Promise<void> {
    await this.#call({ pin: { path, pinned } })
  }

  async actors(): Promise<ActorNode> {
    return JSON.parse((await this.#call({ actors: {} })).actors ?? 'null')
  }

  async kill(actor: string): Promise<void> {
    await this.#call({ kill: { actor } })
  }

  /** Calls `listener` for each event until the connection ends (then the promise settles). */
  async watch(listener: (event: NodeEvent) => void): Promise<void> {
    await this.#call({ watch: {} }, ({ event }) => {
      if (event) listener(JSON.parse(event))
    })
  }

  /** Asks the node to stop; resolves when it has said yes, before it is gone. */
  async stop(): Promise<void> {
    await this.#call({ stop: {} })
  }

  close(): void {
    this.#socket.destroy()
  }

  /** Resolves when the connection is gone, e.g. after `stop`. */
  closed(): Promise<void> {
    if (this.#socket.destroyed) return Promise.resolve()
    return new Promise((resolve) => this.#socket.once('close', () => resolve()))
  }

  #call(body: RequestBody, each: (response: AnyResponse) => void = () => {}): Promise<AnyResponse> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended)
      const id = ++this.#lastId
      this.#waiting.set(id, {
        fail: reject,
        each: (response) => {
          if (!response.done) return each(response)
          this.#waiting.delete(id)
          const { failure } = response
          if (failure) reject(new ServiceError(failure.code ?? 'UNKNOWN', failure.message ?? 'The node said no.'))
          else resolve(response)
        },
      })
      writeFrame(this.#socket, Request.encode({ id, ...body } as Parameters<typeof Request.encode>[0]).finish())
    })
  }

  async #receive(): Promise<void> {
    for await (const frame of readFrames(this.#socket)) {
      const response = Response.toObject(Response.decode(frame), { defaults: true, arrays: true }) as AnyResponse
      this.#waiting.get(response.id ?? 0)?.each(response)
    }
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const { fail } of this.#waiting.values()) fail(this.#ended)
    this.#waiting.clear()
    this.#socket.destroy()
  }
}
