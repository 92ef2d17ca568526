// The terminal console: draws snapshots of the node (devices, volumes, sync, the supervision tree) and can kill the
// chosen actor. `renderScreen` is pure; `runTerminal` owns the terminal's mode and gives it back however it ends.

import { emitKeypressEvents, type Key } from 'node:readline'
import type { ReadStream, WriteStream } from 'node:tty'
import type { ActorNode } from '../actors/index.js'
import type { NodeInfo } from '../api/services.js'
import { printable } from './printable.js'

export interface Snapshot {
  info: NodeInfo
  actors: ActorNode
}

export interface TerminalComponents {
  input: ReadStream
  output: WriteStream
  snapshot(): Promise<Snapshot>
  kill(actorPath: string): Promise<void>
}

const REFRESH_MS = 500
const dim = (s: string) => `\x1b[2m${s}\x1b[22m`
const bold = (s: string) => `\x1b[1m${s}\x1b[22m`
const red = (s: string) => `\x1b[31m${s}\x1b[39m`
const yellow = (s: string) => `\x1b[33m${s}\x1b[39m`
const green = (s: string) => `\x1b[32m${s}\x1b[39m`
const inverse = (s: string) => `\x1b[7m${s}\x1b[27m`

export interface Row {
  actor: ActorNode
  depth: number
}

/** The tree as rows, parents before children. */
export function actorRows(actor: ActorNode, depth = 0): Row[] {
  return [{ actor, depth }, ...actor.children.flatMap((child) => actorRows(child, depth + 1))]
}

/** Lines of one screen, at most `height` of them; `selected` indexes `actorRows` (-1: none). */
export function renderScreen(
  { info, actors }: Snapshot,
  view: { width: number; height: number; selected: number; notice: string },
): string[] {
  const head = [
    bold(`PeerDrive  ${printable(info.device.name)}`) +
      dim(`  ${(info.memory.rss / 2 ** 20).toFixed(0)} MiB, ${info.cpuSeconds.toFixed(1)} s CPU`),
    '',
  ]
  for (const v of info.volumes)
    head.push(
      `${bold(printable(v.label))}  ${v.mounted ? v.mountPoint : 'not mounted'}  ${v.documents} documents  ${
        v.backlog ? yellow(`${v.backlog} bytes to commit`) : green('all committed')
      }${v.holding.hold === 'on-demand' ? dim('  on demand') : ''}${v.conflicts ? yellow(`  ${v.conflicts} conflicts`) : ''}`,
    )
  for (const p of info.peers)
    head.push(
      `${printable(p.name)}  ${p.connected ? green(p.state) : dim(p.state)}${p.address ? dim(`  ${p.address}`) : ''}`,
    )
  for (const n of info.nearby.filter((n) => !n.paired)) head.push(dim(`nearby: ${printable(n.name)}`))
  for (const s of info.sync)
    head.push(
      `${printable(s.volume)} ⇄ ${printable(s.peerName)}  ${s.state}  in ${s.received}/${s.receivedOf}  out ${s.sent}/${s.sentOf}${
        s.pending.length ? yellow(`  ${s.pending.length} waiting`) : ''
      }`,
    )
  head.push('', dim(`${'ACTOR'.padEnd(46)}${'STATE'.padEnd(14)}MAILBOX  MESSAGES  RESTARTS`))
  const foot = ['', view.notice || dim('↑ ↓ choose   k kill   q leave')]
  const all = actorRows(actors)
  const room = Math.max(3, view.height - head.length - foot.length)
  const first = Math.max(0, Math.min(view.selected - (room >> 1), all.length - room))
  const rows = all.slice(first, first + room).map((row, i) => actorLine(row, first + i === view.selected, view.width))
  return [...head, ...rows, ...foot].slice(0, view.height)
}

function actorLine({ actor, depth }: Row, selected: boolean, width: number): string {
  const name = `${'  '.repeat(depth)}${printable(actor.id)}`.slice(0, 45).padEnd(46)
  const counts = `${String(actor.mailbox).padStart(7)}  ${String(actor.messages).padStart(8)}  ${String(actor.restarts).padStart(8)}`
  const crash = actor.lastCrash ? `  ${printable(actor.lastCrash.reason).slice(0, Math.max(0, width - 92))}` : ''
  const state = actor.status.padEnd(14)
  const line = `${name}${actor.status === 'running' ? green(state) : yellow(state)}${counts}${red(crash)}`
  return selected ? inverse(line) : line
}

/** Runs until `q`, Ctrl-C or the node's end. */
export async function runTerminal(components: TerminalComponents): Promise<void> {
  const { input, output } = components
  /** Path of the chosen actor: the tree may change between what is seen and what is pressed. */
  let chosen = ''
  let notice = ''
  let last: Snapshot | undefined
  let wake = () => {}
  let leaving = false

  const paths = () => (last ? actorRows(last.actors).map((row) => row.actor.path) : [])
  const selected = () => Math.max(0, paths().indexOf(chosen))
  const step = (by: number) => {
    const all = paths()
    chosen = all[Math.min(Math.max(selected() + by, 0), all.length - 1)] ?? ''
  }
  const key = (_text: string | undefined, { name, ctrl }: Key) => {
    if (name === 'q' || name === 'escape' || (ctrl && name === 'c')) leaving = true
    else if (name === 'up') step(-1)
    else if (name === 'down') step(1)
    else if (name === 'k' && paths().includes(chosen)) kill(chosen)
    wake()
  }
  const kill = (actor: string) => {
    components.kill(actor).then(
      () => {
        notice = `Killed ${actor}.`
      },
      (error) => {
        notice = red(String((error as Error).message))
      },
    )
  }

  input.setRawMode(true)
  emitKeypressEvents(input)
  input.on('keypress', key)
  output.write('\x1b[?1049h\x1b[?25l')
  try {
    while (!leaving) {
      last = await components.snapshot()
      const view = { width: output.columns ?? 100, height: output.rows ?? 40, selected: selected(), notice }
      output.write(
        `\x1b[H${renderScreen(last, view)
          .map((line) => `${line}\x1b[K`)
          .join('\r\n')}\x1b[J`,
      )
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, REFRESH_MS)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  } finally {
    output.write('\x1b[?25h\x1b[?1049l')
    input.setRawMode(false)
    input.off('keypress', key)
    input.pause()
  }
}
