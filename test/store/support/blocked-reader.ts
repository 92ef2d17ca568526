// Worker of layout.spec.ts: reads before and after a commit of another thread without ever turning its event loop.

import { parentPort, workerData } from 'node:worker_threads'
import { StoreReader } from '../../../lib/store/tables.js'

const { directory, shared } = workerData as { directory: string; shared: Int32Array }
const reader = StoreReader.open(directory)
const read = () => {
  const value = reader.setting('greeting')
  return value && Buffer.from(value).toString()
}

const before = read()
Atomics.store(shared, 0, 1)
Atomics.notify(shared, 0)
Atomics.wait(shared, 0, 1)
const still = read()
reader.refresh()
parentPort!.postMessage([before, still, read()])
await reader.close()
