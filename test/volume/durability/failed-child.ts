// Child process of faults.spec.ts: does the load on a volume whose database fails, which may end the whole process. Says "opened",
// waits, then says the number of each operation that was acknowledged, and "done". Not a spec.

import fs from 'node:fs'
import { TestVolume } from '../engine/support.js'
import { FaultLoad, steps } from './fault-load.js'

export interface FailedChildInit {
  directory: string
  root: string
  errno: number
}

const say = (text: string | number) => fs.writeSync(1, `${text}\n`)

const { directory, root, errno } = JSON.parse(process.argv[2]) as FailedChildInit
const volume = new TestVolume(directory, Buffer.from(root, 'hex'), { rotateAt: 100_000 })
volume.open()
process.once('message', () => {
  const load = new FaultLoad({ volume }, { errno })
  try {
    for (const [index, step] of steps().entries()) {
      if (load.take(step)) say(index)
      if (load.ended) break
    }
    say('done')
  } catch (error) {
    say(`failed ${(error as Error).stack?.replaceAll('\n', ' | ')}`)
  }
  process.exit(0)
})
process.send!('opened')
