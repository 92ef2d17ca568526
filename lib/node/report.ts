// What a node says of itself when it is asked how it is: its volumes, devices and what sync is doing. Reads, changes nothing.

import type { NodeInfo, PeerInfo, SyncInfo, VolumeInfo } from '../api/services.js'
import { hex } from '../model/bytes.js'
import type { Peers } from '../peers/index.js'
import type { Session } from '../sync/session.js'
import { livingWorkers, stateOf, type WorkerView, waitsOf } from '../sync/worker-view.js'
import { MAX_CONFLICTS } from './documents.js'
import { holdingInfo } from './holding.js'
import { type OpenVolume, shownPath, type VolumeList } from './volume-list.js'

const VERSION = '0.1.0'
const MAX_PENDING = 100

interface ReportParts {
  peers: Peers
  volumes: VolumeList
  sessions: Map<string, Session>
}

export async function nodeInfo(parts: ReportParts, startedAt: number): Promise<NodeInfo> {
  const { peers, volumes } = parts
  const { user, system } = process.cpuUsage()
  const memory = process.memoryUsage()
  return {
    version: VERSION,
    device: { id: peers.key.id, name: peers.name },
    pid: process.pid,
    startedAt,
    volumes: await Promise.all(volumes.list().map(volumeInfo)),
    peers: peerInfos(parts),
    nearby: peers.discovery.nearby().map((one) => ({
      id: one.id,
      name: one.name ?? one.fingerprint,
      addresses: one.addresses,
      paired: one.paired,
    })),
    discoveryProblems: peers.discovery.problems().map((problem) => problem.message),
    sync: await Promise.all(
      volumes.list().flatMap((open) => livingWorkers(open.volume).map((worker) => syncInfo(open, worker))),
    ),
    memory: { rss: memory.rss, heap: memory.heapUsed },
    cpuSeconds: (user + system) / 1e6,
  }
}

export async function volumeInfo(open: OpenVolume): Promise<VolumeInfo> {
  const status = open.volume.status()
  return {
    sid: hex(status.sid),
    root: hex(status.root),
    label: status.label,
    directory: open.directory,
    mountPoint: open.mountPoint,
    mounted: open.mounted(),
    documents: status.documents,
    seq: status.seq,
    backlog: status.backlog,
    conflicts: open.volume.conflicts(MAX_CONFLICTS).length,
    openHandles: await open.handles(),
    reports: status.reports.slice(-10),
    holding: await holdingInfo(open.volume),
  }
}

function peerInfos({ peers, sessions, volumes }: ReportParts): PeerInfo[] {
  const summaries = new Map(peers.links.summaries().map((summary) => [summary.peer, summary]))
  const joined = new Set(volumes.list().map(({ volume }) => hex(volume.root)))
  return peers.trust.list().map((device): PeerInfo => {
    const summary = summaries.get(device.id)
    const link = peers.links.get(device.id)
    return {
      id: device.id,
      name: device.name,
      connected: link !== undefined,
      state: summary?.state ?? 'waiting',
      address: link?.address,
      since: link?.since,
      bytesIn: link?.bytesIn ?? 0,
      bytesOut: link?.bytesOut ?? 0,
      rttMs: link?.rtt,
      offers: (sessions.get(device.id)?.offers ?? []).map((offer) => ({
        sid: hex(offer.sid),
        root: hex(offer.root),
        label: offer.label,
        joined: joined.has(hex(offer.root)),
      })),
    }
  })
}

async function syncInfo(open: OpenVolume, worker: WorkerView): Promise<SyncInfo> {
  const { args, feeder, fetcher, terms } = worker
  const pending = fetcher.pending.list().slice(0, MAX_PENDING)
  return {
    volume: open.volume.label,
    peer: args.session.peer,
    peerName: args.peerName,
    state: stateOf(worker),
    sent: feeder.acknowledged,
    sentOf: feeder.following && terms.sends ? open.volume.lastSeq() : feeder.acknowledged,
    received: fetcher.anchor,
    receivedOf: terms.receives ? Math.max(fetcher.lastSeq, fetcher.anchor) : fetcher.anchor,
    rule: terms.rule?.id ?? '',
    kind: terms.rule?.kind ?? '',
    waits: waitsOf(worker) ?? '',
    pending: await Promise.all(
      pending.map(async (waiting) => ({
        document: hex(waiting.document),
        path: (await shownPath(open, open.volume.head(waiting.document)?.ino ?? 0)) || undefined,
        reason: waiting.reason,
        since: waiting.since,
        attempts: waiting.attempts,
      })),
    ),
    bytesIn: args.session.bytesIn,
    bytesOut: args.session.bytesOut,
    lastError: worker.lastError,
  }
}
