// A volume thread that ends itself at one of its requests: before it is served, before or after the write of its journal frame, or before
// its answer. Otherwise the real one. Not a spec.

import { workerData } from 'node:worker_threads'
import { JournalWriter } from '../../../lib/store/journal.js'
import { VersionedFileSystem } from '../../../lib/volume/history/versioned-file-system.js'

export type CrashAt = 'request' | 'before frame' | 'after frame' | 'answer'

export interface CrashingThreadData {
  at: CrashAt
  /** The so many-th request, or frame. */
  count: number
}

const { at, count } = workerData as CrashingThreadData
let seen = 0

type Methods = Record<string, (...args: unknown[]) => unknown>

/** Ends the thread before or after the `count`-th of these calls. */
function crash(methods: Methods, names: string[], after: boolean): void {
  for (const name of names) {
    const original = methods[name]
    methods[name] = function (...args) {
      const last = ++seen === count
      if (last && !after) process.exit(1)
      const result = original.apply(this, args)
      if (last) process.exit(1)
      return result
    }
  }
}

const operations = Object.getOwnPropertyNames(VersionedFileSystem.prototype).filter(
  (name) => typeof Object.getOwnPropertyDescriptor(VersionedFileSystem.prototype, name)?.value === 'function',
)
if (at === 'request' || at === 'answer') {
  const names = operations.filter((name) => name !== 'constructor')
  crash(VersionedFileSystem.prototype as unknown as Methods, names, at === 'answer')
} else crash(JournalWriter.prototype as unknown as Methods, ['commitFrame', 'defer'], at === 'after frame')

await import('../../../lib/volume/engine/thread.js')
