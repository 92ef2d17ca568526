// The node's log: JSON lines in its data directory, for whoever looks after it; people get sentences on the terminal.
// Kept small: a log of more than 8 MiB becomes `node.log.old` at the next start.

import { renameSync, statSync } from 'node:fs'
import { type DestinationStream, type Logger, pino } from 'pino'

const MAX_BYTES = 8 << 20

export function openLog(file: string): Logger {
  try {
    if (statSync(file).size > MAX_BYTES) renameSync(file, `${file}.old`)
  } catch {
    // the first start
  }
  const destination = pino.destination({ dest: file, mode: 0o600, sync: true, mkdir: true }) as DestinationStream
  return pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}
