// What others use of lib/actors: a thin OTP on nact. docs/runtime.md states the guarantees.

export { ActorRef, type Reply } from './actor.js'
export { systemClock } from './clock.js'
export { endThread } from './end-thread.js'
export * from './errors.js'
export {
  type Strategy,
  type SupervisorInit,
  type SupervisorMessage,
  startChild,
  stopChild,
  supervisor,
} from './supervisor.js'
export { ActorSystem, type ActorSystemComponents, type ActorSystemInit, whenDown } from './system.js'
export type {
  ActorNode,
  Behaviour,
  ChildSpec,
  Clock,
  Context,
  Crash,
  Down,
  ExitReason,
  Restart,
  Summary,
} from './types.js'
