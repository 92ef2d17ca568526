// The policy of a volume's mount point: whoever takes the mount away from outside (`umount`) gets it back; the delay grows
// while that fails. Never owns the mount: its descriptors are the volume's, so that the end of this actor changes nothing, and
// the next one finds the mount as it is.

import type { Behaviour, ChildSpec } from '../actors/index.js'
import type { MountPoint } from './mount-point.js'

export type MountMessage = { type: 'lost' }

interface State {
  mountPoint: MountPoint
  remounts: number
}

const behaviour: Behaviour<State, MountMessage, MountPoint> = {
  async init(context, mountPoint) {
    const remounts = mountPoint.mounted ? 0 : 1
    await mountPoint.mount()
    mountPoint.onLost = () => void context.self.cast({ type: 'lost' })
    return { mountPoint, remounts }
  },

  async handle(state) {
    await state.mountPoint.mount()
    state.remounts++
  },

  terminate({ mountPoint }) {
    mountPoint.onLost = () => {}
  },

  summarize: ({ mountPoint, remounts }) => ({
    'mount point': mountPoint.mountPoint,
    mounted: mountPoint.mounted,
    remounts,
  }),
}

export function mountSpec(mountPoint: MountPoint): ChildSpec<MountPoint> {
  return { id: 'mount', behaviour, args: mountPoint, backoff: { minMs: 100, maxMs: 30_000 } }
}
