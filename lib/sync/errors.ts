// Typed errors of synchronization.

/** The peer said something that the protocol does not allow. The link is dropped; nothing of it was believed. */
export class SyncProtocolError extends Error {
  override name = 'SyncProtocolError'
  readonly code = 'SYNC_PROTOCOL'
}

/** The link ended, or an answer did not come in time. What was stored stays; the next link goes on from there. */
export class SyncInterruptedError extends Error {
  override name = 'SyncInterruptedError'
  readonly code = 'SYNC_INTERRUPTED'
}

/** The peer does not have what one of its own revisions names. */
export class PeerLacksError extends Error {
  override name = 'PeerLacksError'
  readonly code = 'PEER_LACKS'
}

/** Too much history is missing here to be brought over at once. */
export class HistoryTooLongError extends Error {
  override name = 'HistoryTooLongError'
  readonly code = 'HISTORY_TOO_LONG'
  constructor(revisions: number) {
    super(`More than ${revisions} versions are missing here; that is more than can be brought over at once.`)
  }
}

/** Whether an error is not the fault of a single document: no link, a breach, no space, no volume. */
export function mustStop(error: unknown): boolean {
  if (error instanceof SyncInterruptedError || error instanceof SyncProtocolError) return true
  const { code } = error as { code?: string }
  return code === 'ENOSPC' || code === 'EIO' || code === 'VOLUME_CLOSED'
}
