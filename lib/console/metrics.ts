// The node's figures in the Prometheus text format (https://prometheus.io/docs/instrumenting/exposition_formats/). Pure.

import type { ActorNode } from '../actors/index.js'
import type { NodeInfo } from '../api/services.js'

/** One page of metrics, version 0.0.4 of the format. */
export function metricsText(info: NodeInfo, root: ActorNode): string {
  const lines: string[] = []
  const metric = (name: string, type: string, help: string, samples: [labels: string, value: number][]) => {
    lines.push(`# HELP peerdrive_${name} ${help}`, `# TYPE peerdrive_${name} ${type}`)
    for (const [labels, value] of samples) lines.push(`peerdrive_${name}${labels} ${value}`)
  }
  const actors = flatten(root)
  metric('resident_bytes', 'gauge', 'Memory of the node.', [['', info.memory.rss]])
  metric('cpu_seconds_total', 'counter', 'Processor time used.', [['', info.cpuSeconds]])
  metric('actors', 'gauge', 'Actors alive.', [['', actors.length]])
  metric('actor_restarts_total', 'counter', 'Restarts of all actors.', [
    ['', actors.reduce((n, a) => n + a.restarts, 0)],
  ])
  const volumes = (value: (v: NodeInfo['volumes'][number]) => number): [string, number][] =>
    info.volumes.map((v) => [`{volume="${escaped(v.label)}"}`, value(v)])
  metric(
    'volume_documents',
    'gauge',
    'Documents in the volume.',
    volumes((v) => v.documents),
  )
  metric(
    'volume_backlog_bytes',
    'gauge',
    'Journal not committed yet.',
    volumes((v) => v.backlog),
  )
  metric(
    'volume_conflicts',
    'gauge',
    'Documents in conflict.',
    volumes((v) => v.conflicts),
  )
  const pairs = (value: (s: NodeInfo['sync'][number]) => number): [string, number][] =>
    info.sync.map((s) => [`{volume="${escaped(s.volume)}",peer="${escaped(s.peerName)}"}`, value(s)])
  metric(
    'sync_received_bytes_total',
    'counter',
    'Bytes received.',
    pairs((s) => s.bytesIn),
  )
  metric(
    'sync_sent_bytes_total',
    'counter',
    'Bytes sent.',
    pairs((s) => s.bytesOut),
  )
  metric(
    'sync_pending',
    'gauge',
    'Documents that wait.',
    pairs((s) => s.pending.length),
  )
  return `${lines.join('\n')}\n`
}

export function flatten(node: ActorNode): ActorNode[] {
  return [node, ...node.children.flatMap(flatten)]
}

const escaped = (text: string) => text.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')
