// Waits until applied heads are durable. Applying changes the live tree at once, and the heads some time later; a position in
// the peer's feed must not be kept before, or a power cut could lose a change that nobody would tell again.

import { equal } from '../model/bytes.js'
import type { HeadChange, Volume } from '../volume/contract.js'
import { deferred } from './deferred.js'

/** After this long without news the volume is asked to commit. */
const PATIENCE_MS = 2000

/** Resolves when none of the documents has the head any more that it had before the change. */
export async function settled(volume: Volume, changes: HeadChange[]): Promise<void> {
  // A document may be among them twice, so all are looked at each time.
  const look = (): boolean =>
    changes.every(({ document, expected }) => {
      const head = volume.head(document)?.head
      return head !== undefined && (expected === undefined || !equal(head, expected))
    })
  if (look()) return
  const done = deferred()
  const unlisten = volume.on('heads', () => {
    if (look()) done.resolve()
  })
  const timer = setTimeout(() => volume.flush().then(done.resolve, done.reject), PATIENCE_MS)
  try {
    if (!look()) await done.promise
  } finally {
    clearTimeout(timer)
    unlisten()
  }
}
