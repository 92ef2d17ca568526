// Entry point of the thread that checks a volume while others work on it: reads one snapshot of the tables. What it finds it looks for
// in a second one, as files that were removed meanwhile are no faults. Owns its readers; writes nothing.
//
// workerData: the volume's directory. Out: { counts } now and then, and at last { counts, findings }. In: anything, which ends it.

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { type CheckCounts, checkVolume, type Finding } from './check.js'
import { VolumeLayout } from './layout.js'
import { StoreReader } from './tables.js'

/** Milliseconds between two reports. */
const REPORT_MS = 200

export interface CheckAnswer {
  counts: CheckCounts
  /** With the last one. */
  findings?: Finding[]
}

const keyOf = ({ kind, about }: Finding) => `${kind} ${about}`

async function check(directory: string): Promise<void> {
  const port = parentPort!
  const layout = new VolumeLayout(directory)
  const reader = StoreReader.open(layout.db)
  let counts: CheckCounts = { chunks: 0, bytes: 0, documents: 0, inodes: 0 }
  let told = performance.now()
  const step = (now: CheckCounts) => {
    counts = now
    if (performance.now() - told < REPORT_MS) return
    told = performance.now()
    if (receiveMessageOnPort(port)) process.exit(1)
    port.postMessage({ counts } satisfies CheckAnswer)
  }
  const look = () => {
    reader.refresh()
    return checkVolume({ reader, layout }, { step })
  }
  let findings = look()
  if (findings.length > 0) {
    const again = new Set(look().map(keyOf))
    findings = findings.filter((finding) => again.has(keyOf(finding)))
  }
  await reader.close()
  port.postMessage({ counts, findings } satisfies CheckAnswer)
  // Nothing is awaited any more: the thread ends by itself.
  port.close()
}

void check(workerData as string)
