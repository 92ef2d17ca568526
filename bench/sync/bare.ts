// What the transport alone reaches between two processes, with nothing read, hashed or stored: libp2p's noise, and the lane.
// This file is also the program of the other process.

import { fork } from 'node:child_process'
import { once as onceEvent } from 'node:events'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Channel } from '../../lib/peers/channel.js'
import { type Link, Peers } from '../../lib/peers/index.js'
import type { Lane } from '../../lib/peers/lane.js'
import { processorTime } from '../processes.js'
import { once, type Row } from '../timing.js'

const MIB = 1 << 20

function open(directory: string): Promise<Peers> {
  return Peers.open({ directory, port: 0, listen: ['127.0.0.1'], discovery: { enabled: false } })
}

async function linked(peers: Peers): Promise<{ channel: Channel; lane: Lane }> {
  await peers.start()
  const [link] = peers.links.list().length
    ? peers.links.list()
    : ((await onceEvent(peers.links, 'up')) as unknown as [Link])
  if (!link.lane) await onceEvent(link, 'lane')
  return { channel: link.channel.bulk, lane: link.lane! }
}

/** Answers a byte when `mebibytes` have come. */
async function receive(way: Channel | Lane, mebibytes: number): Promise<void> {
  for (let got = 0; got < mebibytes; got++) await way.read()
  await way.send(Uint8Array.of(1))
}

/** MiB/s, and seconds of processor time of both processes for a GiB. */
async function send(way: Channel | Lane, mebibytes: number, pids: number[]): Promise<{ speed: number; cost: number }> {
  const frame = Buffer.alloc(MIB, 'bare')
  const [begin, cpu] = [performance.now(), processorTime(pids)]
  for (let sent = 0; sent < mebibytes; sent++) await way.send(frame)
  await way.read()
  const speed = mebibytes / ((performance.now() - begin) / 1000)
  return { speed, cost: ((processorTime(pids) - cpu) / 1000) * (1024 / mebibytes) }
}

export async function bare(scratch: string, mebibytes: number): Promise<Row[]> {
  const peers = await open(path.join(scratch, 'bare-a'))
  const { token } = peers.pairing.invite()
  const child = fork(fileURLToPath(import.meta.url), [path.join(scratch, 'bare-b'), token, String(mebibytes)])
  try {
    const { channel, lane } = await linked(peers)
    const pids = [process.pid, child.pid!]
    const figures = { lane: await send(lane, mebibytes, pids), noise: await send(channel, mebibytes, pids) }
    const of = (kind: 'speed' | 'cost') => ({ lane: figures.lane[kind], noise: figures.noise[kind] })
    const speed = { ...once('the transport alone', 'MiB/s', of('speed')), higherIsBetter: true }
    return [speed, once('  processor for a GiB', 's', of('cost'))]
  } finally {
    child.kill()
    await peers.stop()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [directory, token, mebibytes] = process.argv.slice(2)
  const peers = await open(directory)
  await peers.pairing.join(token)
  const { channel, lane } = await linked(peers)
  for (const way of [lane, channel]) await receive(way, Number(mebibytes))
}
