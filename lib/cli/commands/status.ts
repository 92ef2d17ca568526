// `peerdrive status` and `peerdrive nearby`: what the node does and whom it sees.

import type { Command } from 'commander'
import type { NodeInfo, SyncInfo } from '../../api/services.js'
import { action, withNode } from '../connect.js'
import { bytes, holdingText, printable, span, table } from '../format.js'

export function register(program: Command): void {
  program
    .command('status')
    .description('show volumes, devices and sync')
    .option('--json', 'as JSON')
    .action(
      action(async (options: { json?: boolean }) => {
        const info = await withNode((node) => node.info())
        console.log(options.json ? JSON.stringify(info, null, 2) : statusText(info))
      }),
    )
  program
    .command('nearby')
    .description('list PeerDrive devices on this network')
    .option('--json', 'as JSON')
    .action(
      action(async (options: { json?: boolean }) => {
        const info = await withNode((node) => node.info())
        if (options.json) return console.log(JSON.stringify(info.nearby, null, 2))
        for (const problem of info.discoveryProblems) console.log(`! ${problem}`)
        if (!info.nearby.length) return console.log('No other PeerDrive device is seen on this network.')
        console.log(
          table(
            info.nearby.map((n) => [printable(n.name), n.id, n.paired ? 'paired' : 'not paired', n.addresses[0] ?? '']),
          ),
        )
      }),
    )
}

function statusText(info: NodeInfo): string {
  const lines = [
    `${printable(info.device.name)}, running for ${span(Date.now() - info.startedAt)} (pid ${info.pid}, ${bytes(info.memory?.rss ?? 0)})`,
  ]
  lines.push('', 'Volumes')
  for (const v of info.volumes) {
    const extras = [
      v.backlog ? `${bytes(v.backlog)} to commit` : '',
      v.conflicts ? `${v.conflicts} conflicts` : '',
    ].filter(Boolean)
    lines.push(
      `  ${printable(v.label)}  ${v.mounted ? v.mountPoint : 'not mounted'}  ${v.documents} documents${extras.length ? `, ${extras.join(', ')}` : ''}`,
    )
    if (v.holding.hold !== 'everything' || v.holding.retainMs > 0 || v.holding.pins.length > 0) {
      lines.push(`    ${holdingText(v.holding)}`)
      for (const pin of v.holding.pins) lines.push(`    pinned: ${printable(pin)}`)
    }
    for (const report of v.reports) lines.push(`    ! ${printable(report)}`)
  }
  lines.push('', 'Devices')
  if (!info.peers.length) lines.push('  none paired yet: `peerdrive pair` makes an invitation')
  for (const p of info.peers) {
    lines.push(`  ${printable(p.name)}  ${p.state}${p.address ? `  ${p.address}` : ''}`)
    for (const o of p.offers)
      lines.push(`    volume ${printable(o.label)} (${o.root.slice(0, 8)})${o.joined ? '' : ': `peerdrive join` it'}`)
  }
  if (info.sync.length) lines.push('', 'Sync', ...info.sync.flatMap(syncLines))
  for (const problem of info.discoveryProblems) lines.push('', `! ${problem}`)
  return lines.join('\n')
}

function syncLines(s: SyncInfo): string[] {
  const progress =
    s.received < s.receivedOf
      ? `receiving ${s.received} of ${s.receivedOf}`
      : s.sent < s.sentOf
        ? `sending ${s.sent} of ${s.sentOf}`
        : 'up to date'
  const rule = s.kind ? `, ${s.kind} by rule ${s.rule}` : ''
  const lines = [`  ${printable(s.volume)} ⇄ ${printable(s.peerName)}  ${s.state}, ${progress}${rule}`]
  if (s.waits) lines.push(`    waits: ${printable(s.waits)}`)
  for (const p of s.pending)
    lines.push(`    waiting: ${printable(p.path ?? p.document)}: ${p.reason} (${span(Date.now() - p.since)})`)
  if (s.lastError) lines.push(`    ! ${printable(s.lastError)}`)
  return lines
}
