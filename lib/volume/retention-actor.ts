// Retention of what is no version: looks for spool files that nothing refers to any more, left over by a crash, and removes them.
// Every revision is kept; contents that another device keeps are given away by the actor of holding (holding-actor.ts).
// Invariant: a file whose spool has a row, or that is younger than the last fold, is never touched.

import { readdir, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Behaviour, ChildSpec } from '../actors/index.js'
import type { VolumeLayout } from '../store/layout.js'
import type { StoreReader } from '../store/tables.js'
import type { CommitterClient } from './committer-client.js'

export interface RetentionComponents {
  reader: StoreReader
  layout: VolumeLayout
  committer: Pick<CommitterClient, 'fold'>
  report(text: string): void
}

export interface RetentionInit {
  /** Milliseconds between two looks. Default: an hour. */
  everyMs?: number
  /** A file younger than this may be one that is being made. Default: a minute. */
  youngMs?: number
}

export type RetentionMessage = { type: 'look' }

interface State {
  components: RetentionComponents
  youngMs: number
  removed: number
  bytes: number
  looks: number
}

interface RetentionArgs {
  components: RetentionComponents
  init?: RetentionInit
}

const behaviour: Behaviour<State, RetentionMessage, RetentionArgs> = {
  init(context, { components, init = {} }) {
    context.every(init.everyMs ?? 3_600_000, { type: 'look' })
    return { components, youngMs: init.youngMs ?? 60_000, removed: 0, bytes: 0, looks: 0 }
  },

  async handle(state) {
    const { components } = state
    const found = await orphans(state)
    state.looks++
    if (found.length === 0) return
    for (const file of found) {
      await rm(file.path, { force: true })
      state.removed++
      state.bytes += file.bytes
    }
    components.report(`Removed ${found.length} spool files that nothing referred to any more`)
  },

  summarize: ({ looks, removed, bytes }) => ({
    keeps: 'every revision',
    looks,
    'spool files removed': removed,
    'bytes freed': bytes,
  }),
}

/** Spool files without a row, older than a minute: a spool's row is folded long before that. */
async function orphans({ components, youngMs }: State): Promise<{ path: string; bytes: number }[]> {
  const { layout, reader } = components
  const names = await readdir(layout.spools)
  if (names.length === 0) return []
  const old: { id: number; path: string; bytes: number }[] = []
  for (const name of names) {
    const id = Number(name)
    if (!Number.isSafeInteger(id) || String(id) !== name) continue
    const file = path.join(layout.spools, name)
    const info = await stat(file).catch(() => undefined)
    if (info && Date.now() - info.ctimeMs > youngMs) old.push({ id, path: file, bytes: info.blocks * 512 })
  }
  if (old.length === 0) return []
  await components.committer.fold()
  reader.refresh()
  return old.filter(({ id }) => reader.spool(id) === undefined)
}

export function retentionSpec(components: RetentionComponents, init?: RetentionInit): ChildSpec<RetentionArgs> {
  return { id: 'retention', behaviour, args: { components, init } }
}
