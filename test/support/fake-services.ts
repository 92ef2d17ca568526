// NodeServices that remember what they were asked, for tests of the API and the consoles.

import type { ActorNode } from '../../lib/actors/index.js'
import {
  type CheckCountsInfo,
  type CheckInfo,
  type HoldOptions,
  type NodeEvent,
  type NodeInfo,
  type NodeServices,
  type RestoredInfo,
  type RuleInfo,
  ServiceError,
  type VersionInfo,
} from '../../lib/api/services.js'

export const VERSION: VersionInfo = {
  rid: '12'.repeat(33),
  version: '12121212',
  modified: 1_700_000_000_000,
  committed: 1_700_000_000_001,
  size: 4096,
  device: 'laptop',
  type: 'text/plain',
  mode: 0o100644,
  comment: '',
  current: true,
  merge: false,
  conflict: false,
}

export const RESTORED: RestoredInfo = { version: VERSION, files: 3, same: 2, later: 1, problems: ['a is a folder now'] }

export const CHECKED: CheckInfo = {
  counts: { volume: 'home', chunks: 2, bytes: 70_000, documents: 3, inodes: 4 },
  findings: ['A name leads to nothing: inode 5.'],
}

const RULE: RuleInfo = {
  ...{ id: '3f9a2c41', volume: 'home', kind: 'backup', strategy: 'merge', source: 'laptop', target: 'desk' },
  ...{ paused: true, schedule: ['sat,sun'], limit: 65_536 },
}

export class FakeServices implements NodeServices {
  readonly asked: unknown[][] = []
  readonly listeners = new Set<(event: NodeEvent) => void>()
  contents = Buffer.alloc(3 << 20, 'some bytes ')
  tree: ActorNode

  constructor(tree: Partial<ActorNode> = {}) {
    this.tree = {
      path: 'root',
      id: 'root',
      status: 'running',
      mailbox: 0,
      messages: 1,
      restarts: 0,
      children: [],
      ...tree,
    } as ActorNode
  }

  async info(): Promise<NodeInfo> {
    return {
      version: '0.1.0',
      device: { id: 'id', name: 'laptop' },
      pid: 42,
      startedAt: 1_700_000_000_000,
      volumes: [
        {
          sid: 'aa',
          root: 'bb',
          label: 'home',
          directory: '/v',
          mountPoint: '/m',
          mounted: true,
          documents: 3,
          seq: 7,
          backlog: 0,
          conflicts: 1,
          openHandles: [{ handle: 1, path: 'a.txt', dirty: true, size: 5, state: 'dirty' }],
          reports: ['repaired something'],
          holding: { hold: 'on-demand', budget: 1e9, retainMs: 0, pins: ['/music'], bytes: 1e6, lacking: 2 },
        },
      ],
      peers: [],
      nearby: [{ id: 'x', name: 'desk', addresses: ['/ip4/10.0.0.2/tcp/1'], paired: false }],
      discoveryProblems: [],
      sync: [],
      memory: { rss: 1e8, heap: 1e7 },
      cpuSeconds: 1.5,
    }
  }

  async log(path: Uint8Array, limit: number): Promise<VersionInfo[]> {
    this.asked.push(['log', Buffer.from(path).toString('latin1'), limit])
    return [VERSION]
  }

  async cat(path: Uint8Array, version: string, sink: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    this.asked.push(['cat', Buffer.from(path).toString(), version])
    if (version === 'none') throw new ServiceError('NO_SUCH_VERSION', 'There is no such version.')
    await sink(this.contents)
  }

  async restore(path: Uint8Array, version: string): Promise<RestoredInfo> {
    this.asked.push(['restore', Buffer.from(path).toString(), version])
    return RESTORED
  }

  async conflicts() {
    return [{ path: '/m/a', volume: 'home', document: 'dd', versions: [VERSION] }]
  }

  async resolve(path: Uint8Array, version?: string, both?: boolean): Promise<VersionInfo> {
    this.asked.push(['resolve', Buffer.from(path).toString(), version, ...(both ? ['both'] : [])])
    return VERSION
  }

  async check(volume: string, progress: (counts: CheckCountsInfo) => void): Promise<CheckInfo[]> {
    this.asked.push(['check', volume])
    progress(CHECKED.counts)
    return [CHECKED]
  }

  async invite(minutes: number) {
    this.asked.push(['invite', minutes])
    return { token: 'pd1token', expiresAt: 1_700_000_000_000 }
  }

  async pair(token: string) {
    this.asked.push(['pair', token])
    return { id: 'x', name: 'desk' }
  }

  async unpair(peer: string): Promise<void> {
    this.asked.push(['unpair', peer])
  }

  async join(options: { volume: string; peer?: string }) {
    this.asked.push(['join', options])
    return (await this.info()).volumes[0]
  }

  async steer(volume: string, peer: string, action: string, path?: Uint8Array): Promise<void> {
    this.asked.push(['steer', volume, peer, action, ...(path ? [Buffer.from(path).toString()] : [])])
  }

  async rules() {
    return [RULE]
  }

  async addRule(rule: RuleInfo) {
    this.asked.push(['addRule', rule])
    return RULE
  }

  async setRule(rule: RuleInfo, fields: string[]) {
    this.asked.push(['setRule', rule.id, ...fields])
    return RULE
  }

  async removeRule(id: string): Promise<void> {
    this.asked.push(['removeRule', id])
  }

  async why(path: Uint8Array) {
    this.asked.push(['why', Buffer.from(path).toString()])
    return [{ volume: 'home', peerName: 'desk', state: 'pending', reason: 'it is open', since: 5 }]
  }

  async backups() {
    return [{ label: 'disk', directory: '/media/disk', state: 'not there' as const, problem: 'no disk' }]
  }

  async addBackup(options: { directory: string; volume?: string }) {
    this.asked.push(['addBackup', options])
    return (await this.info()).volumes[0]
  }

  async endBackup(label: string, how: string): Promise<void> {
    this.asked.push(['endBackup', label, how])
  }

  async hold(volume: string, options: HoldOptions) {
    this.asked.push(['hold', volume, options])
    return (await this.info()).volumes[0]
  }

  async pin(path: Uint8Array, pinned: boolean): Promise<void> {
    this.asked.push(['pin', Buffer.from(path).toString(), pinned])
  }

  actors(): ActorNode {
    return this.tree
  }

  async kill(actor: string): Promise<void> {
    this.asked.push(['kill', actor])
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}
