// What is asked of a hasher thread and what it answers. Plain values that cross the thread boundary; owns nothing.

import type { ChunkId, Content } from '../../model/types.js'

/** A closed large working copy: file `path` over `base`, as the row in table `spools` describes it. */
export interface HashJob {
  /** The spool file. */
  path: string
  /** Bytes of the resulting content; the file may be shorter (the rest is a hole). */
  size: number
  /** Where chunks of the base are read from: the directory of the volume. */
  volume: string
  /** What it lies on. Neither this nor `baseBytes`: the file is the content as it is. */
  base?: Content
  /** What it lies on, where that is small and not in the store yet. */
  baseBytes?: Uint8Array
  /** How many bytes of the base are still seen. */
  baseSize: number
  /** Ranges of the content that are the spool's own, [offset, length], sorted and merged. Unused without a base. */
  ranges: [number, number][]
}

/** A piece of the content that has to be stored: not one of the base's chunks. */
export interface HashedChunk {
  id: ChunkId
  /** Position in the content. */
  offset: number
  length: number
}

export interface HashResult {
  content: Content
  /** In order of `offset`; chunks shared with the base are left out. */
  chunks: HashedChunk[]
  /** List chunks of the content tree, leaves first. */
  lists: { id: ChunkId; bytes: Uint8Array }[]
  /** Bytes that went through the hash, for the figures. */
  hashed: number
}

export type HasherRequest = { id: number; job: HashJob }

/** Ends the thread, at the latest when it next tells how far it is. */
export type HasherLeave = { leave: true }

export type HasherAnswer =
  | { id: number; kind: 'progress'; bytes: number }
  | { id: number; kind: 'done'; result: HashResult }
  /** `missing`: a chunk of the base is not here. `unreadable`: the spool or its base cannot be read: trying again in another thread does not help. */
  | { id: number; kind: 'failed'; unreadable: boolean; message: string; missing?: ChunkId }
