// Whether who asks is in a group: the protocol tells one group of a caller, /proc the others. Owns nothing. Reads a file of /proc,
// so it is for what happens seldom.

import fs from 'node:fs'
import type { Caller } from '../../fuse/file-system.js'

/** Root counts as a member of every group. Who cannot be looked up (another pid namespace) has no other groups. */
export function isInGroup(caller: Caller, gid: number): boolean {
  return caller.uid === 0 || caller.gid === gid || otherGroups(caller.pid).includes(gid)
}

function otherGroups(pid: number): number[] {
  if (pid === 0) return []
  try {
    const line = /^Groups:(.*)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))
    return (line?.[1].match(/\d+/g) ?? []).map(Number)
  } catch {
    return []
  }
}
