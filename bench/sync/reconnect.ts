// What it costs two devices with very many documents to meet again: with nothing changed, and with a hundred changes.

import * as fs from 'node:fs'
import path from 'node:path'
import { resting } from '../processes.js'
import { once, type Row } from '../timing.js'
import type { PeerDrivePair } from './pair.js'

const PER_FOLDER = 1000
const CHANGES = 100

export async function reconnect(pair: PeerDrivePair, documents: number): Promise<Row[]> {
  const folder = (i: number) => path.join(pair.from, 'many', `d${Math.floor(i / PER_FOLDER)}`)
  for (let i = 0; i < documents; i++) {
    if (i % PER_FOLDER === 0) fs.mkdirSync(folder(i), { recursive: true })
    fs.writeFileSync(path.join(folder(i), `f${i}`), `document ${i}`)
    if (i % 10_000 === 0) await resting(pair.pids(), 20_000)
  }
  await resting(pair.pids(), 600_000)
  const rows: Row[] = []
  const tell = async (what: string, meanwhile?: () => void) => {
    const { ms, bytes } = await pair.reconnect(meanwhile)
    rows.push(once(what, 'ms', { peerdrive: ms }), once('  sent', 'KiB', { peerdrive: bytes / 1024 }))
    await resting(pair.pids())
  }
  await tell(`reconnect, ${documents} documents`)
  await tell(`  with ${CHANGES} changes`, () => {
    for (let i = 0; i < CHANGES; i++) {
      const at = Math.floor((i * documents) / CHANGES)
      fs.writeFileSync(path.join(folder(at), `f${at}`), `document ${at}, changed`)
    }
  })
  return rows
}
