// A system whose actors write down what happens to them. Test support only.

import {
  type ActorRef,
  ActorSystem,
  type Behaviour,
  type ChildSpec,
  type Reply,
  type SupervisorMessage,
  supervisor,
} from '../../lib/actors/index.js'
import { ManualClock } from '../support/manual-clock.js'

export type Message =
  | { type: 'crash' }
  | { type: 'leave' }
  | { type: 'tick' }
  | { type: 'ticks'; reply: Reply<number> }
  | { type: 'after' | 'every'; ms: number }
  | { type: 'cancel' }

interface State {
  ticks: number
  cancel?: () => void
}

export class Recorder {
  readonly clock = new ManualClock()
  readonly crashes: string[] = []
  readonly system = new ActorSystem({ clock: this.clock }, { onCrash: (path) => this.crashes.push(path) })
  /** `+id` for each start, `-id` for each end, in order. */
  log: string[] = []

  readonly #behaviour: Behaviour<State, Message, string> = {
    init: (_context, id) => {
      this.log.push(`+${id}`)
      return { ticks: 0 }
    },
    handle: (state, message, context) => {
      switch (message.type) {
        case 'crash':
          throw new Error('boom')
        case 'leave':
          return context.exit()
        case 'tick':
          return void state.ticks++
        case 'ticks':
          return message.reply(state.ticks)
        case 'cancel':
          return state.cancel?.()
        default:
          state.cancel = context[message.type](message.ms, { type: 'tick' })
      }
    },
  }

  worker(id: string, more: Partial<ChildSpec<string>> = {}): ChildSpec<string> {
    const behaviour: Behaviour<State, Message, string> = {
      ...this.#behaviour,
      terminate: () => void this.log.push(`-${id}`),
    }
    return { id, name: id, behaviour, args: id, ...more }
  }

  of(name: string): ActorRef<Message> {
    const found = this.system.whereis<Message>(name)
    if (!found) throw new Error(`no actor is named '${name}'`)
    return found
  }

  alive(name: string): boolean {
    return this.system.whereis(name)?.alive ?? false
  }

  ticks(name: string): Promise<number> {
    return this.of(name).call<number>((reply) => ({ type: 'ticks', reply }))
  }

  async empty(): Promise<ActorRef<SupervisorMessage>> {
    await this.system.start(supervisor({ id: 'root', name: 'root', strategy: 'one_for_one', children: [] }))
    return this.system.whereis<SupervisorMessage>('root') as ActorRef<SupervisorMessage>
  }
}

/** A promise that the test settles. (Node 20 has no Promise.withResolvers.) */
export function held(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
