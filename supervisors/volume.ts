// One open volume.
//
// Strategy: one_for_one, although order matters when several die: it is kept by what they wait for, not by restarting what
// still works. The committer recovers by itself (it folds what the journal has) and the engine goes on meanwhile: its
// journal is the only thing between them. A dead engine is started again only after the committer has folded the whole
// journal, since it begins with an empty overlay over LMDB; if the committer is dead as well, the request to fold waits for
// the new one, so recovery comes first by itself. The mount and its descriptors belong to the process and outlive all of
// these. A handle's actor that keeps failing is parked by itself, so handles never bring the volume down.

import { type ChildSpec, supervisor } from '../lib/actors/index.js'
import { committerSpec } from '../lib/volume/committer-actor.js'
import { engineSpec } from '../lib/volume/engine-actor.js'
import { handleSpec } from '../lib/volume/handle-actor.js'
import { holdingSpec } from '../lib/volume/holding-actor.js'
import { mountSpec } from '../lib/volume/mount-actor.js'
import type { VolumeResources } from '../lib/volume/resources.js'
import { retentionSpec } from '../lib/volume/retention-actor.js'
import { scrubSpec } from '../lib/volume/scrub-actor.js'

export function volumeSupervisor(volume: VolumeResources): ChildSpec {
  const spec = supervisor({
    id: volume.key,
    strategy: 'one_for_one',
    intensity: { restarts: 10, windowMs: 30_000 },
    children: [
      committerSpec(volume),
      engineSpec(volume),
      handlesSupervisor(volume),
      retentionSpec(volume),
      scrubSpec(volume),
      holdingSpec(volume),
      ...(volume.mountPoint ? [mountSpec(volume.mountPoint)] : []),
    ],
  }) as ChildSpec
  // It waits on its disk when it gives up: tried again, ever more slowly, and no fault of the other volumes.
  return { ...spec, backoff: { minMs: 100, maxMs: 60_000 } }
}

/** Handles open for writing: they come and go. The table of the volume knows who has to be there. */
function handlesSupervisor(volume: VolumeResources): ChildSpec {
  return supervisor({
    id: 'handles',
    name: volume.name('handles'),
    strategy: 'one_for_one',
    children: () => volume.handles.all().map((entry) => handleSpec({ components: volume, entry })),
  }) as ChildSpec
}
