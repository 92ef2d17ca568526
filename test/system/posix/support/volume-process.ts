// A process that makes a volume and mounts it on a directory of its own, says where, and serves until its input ends. So whoever
// started it may make blocking system calls on the mount.

import { VolumeFixture } from '../../../volume/volume-fixture.js'

const volume = await new VolumeFixture().create()
await volume.open()
console.log(volume.mountPoint)
process.stdin.resume()
process.stdin.once('end', async () => {
  await volume.destroy()
  for (const text of volume.reports) console.error(text)
  process.exit(0)
})
