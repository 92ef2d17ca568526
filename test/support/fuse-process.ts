// A process that mounts a file system in memory on the directory it is told, says so, and serves until it is killed or its input
// ends. Prints errors as JSON.

import { MemoryMount } from './fuse-mount.js'

try {
  const mount = await MemoryMount.create({ path: process.argv[2] })
  await mount.thread.ask()
  console.log(JSON.stringify({ mounted: true }))
  process.stdin.resume()
  process.stdin.once('end', async () => {
    await mount.mounted.unmount()
    await mount.thread.end()
    await mount.mounted.close()
    process.exit(0)
  })
} catch (error) {
  const { name, code, message } = error as NodeJS.ErrnoException
  console.log(JSON.stringify({ name, code, message }))
  process.exit(1)
}
