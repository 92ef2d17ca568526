// One connection of a client: reads its requests, answers each from NodeServices. Owns the socket and the subscriptions
// of this client, nothing else; requests run side by side, at most `MAX_RUNNING` of them.

import type { Socket } from 'node:net'
import { readFrames, writeFrame } from './frames.js'
import { type AnyRequest, Request, Response, type ResponseBody } from './messages.js'
import { type NodeServices, RULE_FIELDS, type RuleInfo, ServiceError, steerAction } from './services.js'

const MAX_RUNNING = 64
const MAX_LOG = 10_000
const PIECE = 1 << 20

export interface SessionComponents {
  services: NodeServices
  /** What the request `stop` does. */
  stop(): void
}

export class Session {
  /** Requests answered so far. */
  answered = 0
  #running = 0
  readonly #ends: (() => void)[] = []

  constructor(
    private readonly components: SessionComponents,
    private readonly socket: Socket,
  ) {}

  /** Serves until the client is gone. Rejects if the client broke the protocol. */
  async run(): Promise<void> {
    this.socket.on('error', () => this.socket.destroy())
    try {
      for await (const frame of readFrames(this.socket)) {
        const request = Request.decode(frame) as AnyRequest
        const answer = this.#answer(request)
        if (++this.#running >= MAX_RUNNING) await answer
      }
    } finally {
      this.close()
    }
  }

  close(): void {
    for (const end of this.#ends.splice(0)) end()
    this.socket.destroy()
  }

  async #answer(request: AnyRequest): Promise<void> {
    const id = request.id ?? 0
    const send = (body: ResponseBody, done: boolean) =>
      writeFrame(this.socket, Response.encode({ id, done, ...body } as Parameters<typeof Response.encode>[0]).finish())
    try {
      await send(await this.#perform(request, send), true)
    } catch (error) {
      const { code, message } = asFailure(error)
      await send({ failure: { code, message } }, true)
    } finally {
      this.#running--
      this.answered++
    }
  }

  async #perform(
    request: AnyRequest,
    send: (body: ResponseBody, done: boolean) => Promise<void>,
  ): Promise<ResponseBody> {
    const { services } = this.components
    if (request.info) return { info: (await services.info()) as unknown as ResponseBody['info'] }
    if (request.log) {
      const limit = Math.min(request.log.limit || 100, MAX_LOG)
      return { log: { versions: await services.log(bytesOf(request.log.path), limit) } }
    }
    if (request.cat) {
      await services.cat(bytesOf(request.cat.path), request.cat.version ?? '', async (bytes) => {
        for (let at = 0; at < bytes.length; at += PIECE) await send({ data: bytes.subarray(at, at + PIECE) }, false)
      })
      return { ok: {} }
    }
    if (request.restore)
      return { restored: await services.restore(bytesOf(request.restore.path), request.restore.version ?? '') }
    if (request.conflicts) return { conflicts: { conflicts: await services.conflicts() } }
    if (request.resolve) {
      const { path, version, both } = request.resolve
      return { version: await services.resolve(bytesOf(path), version || undefined, both ?? false) }
    }
    if (request.invite) return { invitation: await services.invite(request.invite.minutes || 10) }
    if (request.pair) return { device: await services.pair(request.pair.token ?? '') }
    if (request.unpair) {
      await services.unpair(request.unpair.peer ?? '')
      return { ok: {} }
    }
    if (request.join) {
      const { volume, peer, label, mountPoint, onDemand } = request.join
      const joined = await services.join({
        volume: volume ?? '',
        peer: peer || undefined,
        label: label || undefined,
        mountPoint: mountPoint || undefined,
        onDemand: onDemand || undefined,
      })
      return { volume: joined as unknown as ResponseBody['volume'] }
    }
    if (request.steer) {
      const { volume, peer, action, path } = request.steer
      await services.steer(volume ?? '', peer ?? '', steerAction(action), path?.length ? path : undefined)
      return { ok: {} }
    }
    if (request.check) {
      const volumes = await services.check(request.check.volume ?? '', (checking) => void send({ checking }, false))
      return { checked: { volumes } }
    }
    const ofRules = await this.#performRules(request)
    if (ofRules) return ofRules
    if (request.hold) {
      const { volume, hold, budget, retainMs, forEver } = request.hold
      const held = await services.hold(volume ?? '', {
        ...(hold ? { hold: holdOf(hold) } : {}),
        ...(budget ? { budget } : {}),
        ...(retainMs || forEver ? { retainMs: forEver ? 0 : (retainMs ?? 0) } : {}),
      })
      return { volume: held as unknown as ResponseBody['volume'] }
    }
    if (request.pin) {
      await services.pin(bytesOf(request.pin.path), request.pin.pinned ?? false)
      return { ok: {} }
    }
    if (request.actors) return { actors: JSON.stringify(services.actors()) }
    if (request.kill) {
      await services.kill(request.kill.actor ?? '')
      return { ok: {} }
    }
    if (request.watch) return this.#watch(send)
    if (request.stop) {
      setImmediate(() => this.components.stop())
      return { ok: {} }
    }
    throw new ServiceError('BAD_REQUEST', 'This node does not know that request; it may be older than the client.')
  }

  async #performRules(request: AnyRequest): Promise<ResponseBody | undefined> {
    const { services } = this.components
    if (request.rules) return { rules: { rules: await services.rules() } }
    if (request.addRule) return { rule: await services.addRule(ruleOf(request.addRule)) }
    if (request.setRule) {
      const fields = RULE_FIELDS.filter((field) => request.setRule?.fields?.includes(field))
      return { rule: await services.setRule(ruleOf(request.setRule.rule ?? {}), fields) }
    }
    if (request.removeRule) {
      await services.removeRule(request.removeRule.id ?? '')
      return { ok: {} }
    }
    if (request.why) return { whys: { whys: await services.why(bytesOf(request.why.path)) } }
    if (request.backups) return { backups: { backups: await services.backups() } }
    if (request.addBackup) {
      const { directory, volume, label, mountPoint, only } = request.addBackup
      const options = { volume: volume || undefined, label: label || undefined, mountPoint: mountPoint || undefined }
      const added = await services.addBackup({ directory: directory ?? '', ...options, only: only ?? [] })
      return { volume: added as unknown as ResponseBody['volume'] }
    }
    if (request.endBackup) {
      const { label, how } = request.endBackup
      await services.endBackup(label ?? '', how === 'remove' ? 'remove' : 'eject')
      return { ok: {} }
    }
    return undefined
  }

  #watch(send: (body: ResponseBody, done: boolean) => Promise<void>): Promise<ResponseBody> {
    return new Promise((resolve) => {
      const end = this.components.services.subscribe((event) => {
        void send({ event: JSON.stringify(event) }, false)
      })
      this.#ends.push(() => {
        end()
        resolve({ ok: {} })
      })
    })
  }
}

/** With all fields, as a client may leave out what is empty. */
function ruleOf(said: Partial<{ [K in keyof RuleInfo]: RuleInfo[K] | null }>): RuleInfo {
  const { id, volume, kind, strategy, source, target, paused, schedule, limit } = said
  return {
    ...{ id: id ?? '', volume: volume ?? '', kind: kind ?? '', strategy: strategy ?? '' },
    ...{ source: source ?? '', target: target ?? '', paused: paused ?? false },
    ...{ schedule: schedule ?? [], limit: limit ?? 0 },
  }
}

function holdOf(said: string): 'everything' | 'on-demand' {
  if (said === 'everything' || said === 'on-demand') return said
  throw new ServiceError('BAD_REQUEST', `A volume holds 'everything' or 'on-demand', not '${said}'.`)
}

function bytesOf(path: Uint8Array | null | undefined): Uint8Array {
  if (!path?.length) throw new ServiceError('BAD_REQUEST', 'A path is missing.')
  return path
}

function asFailure(error: unknown): { code: string; message: string } {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return {
    code: typeof code === 'string' ? code : 'INTERNAL',
    message: typeof message === 'string' ? message : String(error),
  }
}
