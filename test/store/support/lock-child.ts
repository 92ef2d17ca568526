// Child process of layout.spec.ts: opens the volume, says so, and waits to be killed.

import { openVolume } from '../../../lib/store/volume-store.js'

openVolume(process.argv[2])
process.send!('open')
setInterval(() => {}, 1000)
