// Changes the rules of a volume: a new revision of their document, on top of the one that is there. Owns nothing.

import { encodeRevision } from '../model/codec.js'
import { rulesDocument, rulesRevision } from '../model/rule.js'
import type { MetadataValue } from '../model/types.js'
import type { Volume } from '../volume/contract.js'
import { settled } from './settled.js'

const ATTEMPTS = 5

type Fields = Map<string, MetadataValue>

/** Durable when resolved. Throws what `change` throws and what the volume throws; false if others keep changing them. */
export async function changeRules(
  volume: Volume,
  change: (metadata: Fields) => Fields,
  nowMs: number,
): Promise<boolean> {
  const document = rulesDocument(volume.root)
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const rid = volume.head(document)?.head
    const revision = rid && volume.revision(rid)
    const before = rid && revision && { rid, revision }
    const made = rulesRevision(before, change(revision?.metadata ?? new Map()), { author: volume.author, nowMs })
    const [head] = await volume.importRevisions([encodeRevision(made)])
    const changes = [{ document, expected: rid, head }]
    const [{ result }] = await volume.apply(changes)
    if (result === 'applied') {
      await settled(volume, changes)
      return true
    }
    await volume.flush()
  }
  return false
}
