// The actor that runs discovery. A crash forgets who is near (they announce themselves again within seconds); links stay.
// The Discovery object outlives it, since connections listen to it.
import type { Behaviour, ChildSpec } from '../actors/index.js'
import type { Discovery } from './discovery.js'

export type DiscoveryMessage =
  /** Told by discovery; only for whoever watches the actor. */
  { type: 'found'; id: string } | { type: 'gone'; id: string } | { type: 'problems'; codes: string[] }

interface State {
  discovery: Discovery
  forget(): void
}

const behaviour: Behaviour<State, DiscoveryMessage, { discovery: Discovery }> = {
  async init({ self }, { discovery }) {
    const onSeen = (one: { id: string; firstSeen: number; lastSeen: number }): void => {
      if (one.firstSeen === one.lastSeen) self.cast({ type: 'found', id: one.id })
    }
    const onGone = ({ id }: { id: string }): void => void self.cast({ type: 'gone', id })
    const onProblems = (problems: { code: string }[]): void =>
      void self.cast({ type: 'problems', codes: problems.map(({ code }) => code) })
    discovery.on('seen', onSeen).on('gone', onGone).on('problems', onProblems)
    const forget = (): void => void discovery.off('seen', onSeen).off('gone', onGone).off('problems', onProblems)
    await discovery.start()
    return { discovery, forget }
  },

  handle() {},

  async terminate({ discovery, forget }) {
    forget()
    await discovery.stop()
  },

  summarize: ({ discovery }) => {
    const nearby = discovery.nearby()
    return {
      nearby: nearby.length,
      paired: nearby.filter((one) => one.paired).length,
      problems: discovery
        .problems()
        .map(({ code }) => code)
        .join(', '),
    }
  },
}

export function discoverySpec(discovery: Discovery): ChildSpec {
  const backoff = { minMs: 200, maxMs: 10_000 }
  return { id: 'discovery', behaviour, args: { discovery }, restart: 'permanent', backoff } as ChildSpec
}
