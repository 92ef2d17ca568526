// The node's log: JSON lines in its data directory, for whoever looks after it; people get sentences on the terminal.
// Kept small: a log of more than 8 MiB becomes `node.log.old` at the next start. Never a reason for anything else to fail: lines
// that the disk has no room for wait in memory, a bounded number of them, and go first when there is room again.

import { renameSync, statSync } from 'node:fs'
import { type DestinationStream, type Logger, pino } from 'pino'

const MAX_BYTES = 8 << 20
/** Characters that may wait for room on the disk; what comes then is not logged. */
const WAITING_MAX = 1 << 20

export function openLog(file: string): Logger {
  try {
    if (statSync(file).size > MAX_BYTES) renameSync(file, `${file}.old`)
  } catch {
    // the first start
  }
  const destination = pino.destination({ dest: file, mode: 0o600, sync: true, mkdir: true, maxLength: WAITING_MAX })
  destination.on('error', () => {
    // What it could not write it keeps, and tries again with the next line.
  })
  return pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination as DestinationStream)
}
