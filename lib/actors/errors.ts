// Typed errors of the actor system.

/** The actor that was called is gone, or went before it answered. */
export class ActorDownError extends Error {
  override name = 'ActorDownError'
  readonly code = 'ACTOR_DOWN'
  constructor(path: string, why: string) {
    super(`${path} does not run: ${why}.`)
  }
}

/** The actor did not answer in time; it may still do what it was asked. */
export class CallTimeoutError extends Error {
  override name = 'CallTimeoutError'
  readonly code = 'CALL_TIMEOUT'
  constructor(path: string, ms: number) {
    super(`${path} did not answer within ${ms} ms.`)
  }
}

/** The actor has as many messages waiting as it may have. */
export class MailboxFullError extends Error {
  override name = 'MailboxFullError'
  readonly code = 'MAILBOX_FULL'
  constructor(path: string) {
    super(`${path} is too busy: its mailbox is full.`)
  }
}

/** Children crashed more often than their supervisor may restart them: it gives up, and its own supervisor decides. */
export class RestartIntensityError extends Error {
  override name = 'RestartIntensityError'
  readonly code = 'RESTART_INTENSITY'
  constructor(path: string, child: string, restarts: number, windowMs: number) {
    super(`${path}: more than ${restarts} restarts within ${windowMs} ms, the last of '${child}'.`)
  }
}

/** There is no such actor, or the name or id is taken. */
export class ActorNameError extends Error {
  override name = 'ActorNameError'
  readonly code = 'ACTOR_NAME'
}
