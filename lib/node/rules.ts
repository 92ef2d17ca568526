// Rules as people name them: lists, makes, changes and removes them, and finds out which volumes are meant. Owns nothing; errors are
// sentences for people.

import { randomBytes } from 'node:crypto'
import { RULE_FIELDS, type RuleField, type RuleInfo, ServiceError } from '../api/services.js'
import { equal, hex, unhex } from '../model/bytes.js'
import { RULE_KINDS, type Rule, ruleFault, STRATEGIES, withoutRule, withRule } from '../model/rule.js'
import type { SId } from '../model/types.js'
import type { Peers } from '../peers/index.js'
import { changeRules } from '../sync/change-rules.js'
import { knownPairs } from '../sync/known-pairs.js'
import { isLocal } from '../sync/manager.js'
import { rulesOf } from '../sync/pair-rules.js'
import type { Session } from '../sync/session.js'
import type { Volume } from '../volume/contract.js'
import { findPeer } from './devices.js'
import type { OpenVolume, VolumeList } from './volume-list.js'

export interface RulesComponents {
  volumes: VolumeList
  peers: Peers
  sessions: Map<string, Session>
}

/** Rules of backups on disks are known by their targets. */
const backupRule = (target: SId): string => hex(target).slice(0, 8)

export class Rules {
  readonly #c: RulesComponents

  constructor(components: RulesComponents) {
    this.#c = components
  }

  list(): RuleInfo[] {
    return this.#own().flatMap(({ volume }) => rulesOf(volume).map((rule) => this.#info(volume, rule)))
  }

  async add(info: RuleInfo): Promise<RuleInfo> {
    const { volume } = this.find(info.volume)
    const rule: Rule = {
      id: randomBytes(4).toString('hex'),
      kind: RULE_KINDS.find((kind) => kind === info.kind) ?? 'unknown',
      strategy: STRATEGIES.find((strategy) => strategy === (info.strategy || 'merge')) ?? 'unknown',
      paused: info.paused,
      schedule: info.schedule,
      ...(info.source && { source: this.#end(volume, info.source) }),
      ...(info.target && { target: this.#end(volume, info.target) }),
      ...(info.limit > 0 && { limit: Math.round(info.limit) }),
    }
    await this.#write(volume, rule)
    return this.#info(volume, rule)
  }

  async set(info: RuleInfo, fields: RuleField[]): Promise<RuleInfo> {
    const { volume, rule } = this.#rule(info.id)
    if (!fields.length)
      throw new ServiceError('BAD_REQUEST', `Say what is to be changed: ${RULE_FIELDS.join(', ')} can be.`)
    const after: Rule = { ...rule }
    if (fields.includes('strategy'))
      after.strategy = STRATEGIES.find((strategy) => strategy === info.strategy) ?? 'unknown'
    if (fields.includes('paused')) after.paused = info.paused
    if (fields.includes('schedule')) after.schedule = info.schedule
    if (fields.includes('limit')) after.limit = info.limit > 0 ? Math.round(info.limit) : undefined
    await this.#write(volume, after)
    return this.#info(volume, after)
  }

  async remove(id: string): Promise<void> {
    const { volume, rule } = this.#rule(id)
    await this.#change(volume, (metadata) => withoutRule(metadata, rule.id))
  }

  /** The rule of a backup on a disk; the one that there is, if it was changed since. */
  async backUp(volume: Volume, target: SId): Promise<void> {
    const id = backupRule(target)
    if (rulesOf(volume).some((rule) => rule.id === id)) return
    const ends = { source: volume.sid, target }
    await this.#write(volume, { id, kind: 'backup', strategy: 'merge', paused: false, schedule: [], ...ends })
  }

  async backUpNoMore(target: SId): Promise<void> {
    const id = backupRule(target)
    for (const { volume } of this.#own())
      if (rulesOf(volume).some((rule) => rule.id === id))
        await this.#change(volume, (metadata) => withoutRule(metadata, id))
  }

  /** Throws ServiceError if it makes no sense. */
  async #write(volume: Volume, rule: Rule): Promise<void> {
    const fault = ruleFault(rule)
    if (fault) throw new ServiceError('BAD_RULE', `That is no rule: ${fault}.`)
    await this.#change(volume, (metadata) => withRule(metadata, rule))
  }

  async #change(volume: Volume, change: Parameters<typeof changeRules>[1]): Promise<void> {
    if (await changeRules(volume, change, Date.now())) return
    throw new ServiceError(
      'BUSY',
      'The rules were changed by somebody else at this moment. Look at them and try again.',
    )
  }

  /** Volumes of this device that are not somebody's backup. */
  #own(): OpenVolume[] {
    return this.#c.volumes.list().filter(({ attached }) => !attached)
  }

  /** The volume of this name; without one the only one, or the home volume. Throws ServiceError. */
  find(label: string): OpenVolume {
    const own = this.#own()
    const wanted = label || (own.length > 1 ? 'home' : own[0]?.volume.label)
    const found = own.find(({ volume }) => volume.label === wanted)
    if (found) return found
    const labels = own.map(({ volume }) => volume.label).join(', ')
    throw new ServiceError('NO_SUCH_VOLUME', `There is no volume '${wanted}' here; there are: ${labels}.`)
  }

  #rule(id: string): { volume: Volume; rule: Rule } {
    for (const { volume } of this.#own()) {
      const rule = rulesOf(volume).find((one) => one.id === id)
      if (rule) return { volume, rule }
    }
    throw new ServiceError('NO_SUCH_RULE', `There is no rule ${id}; \`peerdrive rule list\` lists the rules.`)
  }

  /** Which replica of the volume is meant: one of this device, that of another device, or an id. */
  #end(volume: Volume, said: string): SId {
    const { volumes, peers, sessions } = this.#c
    const isSame = (one: Volume) => equal(one.root, volume.root) && (one.label === said || hex(one.sid) === said)
    const here = said === peers.name ? volume : volumes.list().find((open) => isSame(open.volume))?.volume
    if (here) return here.sid
    if (/^[0-9a-f]{32}$/.test(said)) return unhex(said)
    // A backup whose disk is away.
    const away = knownPairs(volume).find((pair) => isLocal(pair) && pair.name === said)
    if (away) return unhex(away.peerVolume)
    const { id, name } = findPeer(peers, said)
    const offer = sessions.get(id)?.offers.find(({ root }) => equal(root, volume.root))
    if (offer) return offer.sid
    const known = knownPairs(volume).find(({ peer }) => peer === id)
    if (known) return unhex(known.peerVolume)
    throw new ServiceError(
      'NOT_JOINED',
      `${name} does not take part in '${volume.label}' as far as is known here: \`peerdrive join\` there, and connect once.`,
    )
  }

  #info(volume: Volume, rule: Rule): RuleInfo {
    const { id, kind, strategy, source, target, paused, schedule, limit } = rule
    const name = (sid: SId | undefined) => (sid ? this.#name(volume, sid) : '')
    const ends = { source: name(source), target: name(target) }
    return { id, volume: volume.label, kind, strategy, ...ends, paused, schedule, limit: limit ?? 0 }
  }

  #name(volume: Volume, sid: SId): string {
    if (equal(volume.sid, sid)) return this.#c.peers.name
    const here = this.#c.volumes.list().find((open) => equal(open.volume.sid, sid))
    return here?.volume.label ?? knownPairs(volume).find((pair) => pair.peerVolume === hex(sid))?.name ?? hex(sid)
  }
}
