// The web console's HTTP server: loopback only, a token for everything but the page itself, checked Host and Origin.
// Owns the listening socket and the open live streams; all it shows and does goes through NodeServices.

import { timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { type NodeServices, ServiceError, steerAction } from '../api/services.js'
import { metricsText } from './metrics.js'

export interface ConsoleComponents {
  services: NodeServices
}

export interface ConsoleInit {
  /** Port on 127.0.0.1; 0 chooses a free one. */
  port: number
  /** Secret that every call must carry as `Authorization: Bearer …`. */
  token: string
}

const MAX_BODY = 64 << 10
const MAX_STREAMS = 16
/** A live stream sends a snapshot when something happened, but not more often, and at least so often. */
const LIVE_MIN_MS = 250
const LIVE_MAX_MS = 2000

const PAGE = fileURLToPath(new URL('./page/', import.meta.url))
const FILES: Record<string, [file: string, type: string]> = {
  '/': [path.join(PAGE, 'index.html'), 'text/html; charset=utf-8'],
  '/app.js': [path.join(PAGE, 'app.js'), 'text/javascript; charset=utf-8'],
  '/style.css': [path.join(PAGE, 'style.css'), 'text/css; charset=utf-8'],
  '/preact.js': [fileURLToPath(import.meta.resolve('htm/preact/standalone')), 'text/javascript; charset=utf-8'],
}

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
}

export class ConsoleServer {
  readonly #server: Server
  readonly #streams = new Set<ServerResponse>()
  #port = 0

  constructor(
    private readonly components: ConsoleComponents,
    private readonly init: ConsoleInit,
  ) {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error) => fail(response, error))
    })
  }

  /** Listens; rejects if the port is taken (EADDRINUSE). */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.init.port, '127.0.0.1', () => {
        this.#server.off('error', reject)
        this.#port = (this.#server.address() as { port: number }).port
        resolve()
      })
    })
  }

  stop(): Promise<void> {
    for (const stream of this.#streams) stream.destroy()
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
  }

  /** Address with the token, for the person who started the node. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}/#token=${this.init.token}`
  }

  get port(): number {
    return this.#port
  }

  get streams(): number {
    return this.#streams.size
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const local = [`127.0.0.1:${this.#port}`, `localhost:${this.#port}`]
    if (!local.includes(request.headers.host ?? '')) return answer(response, 421, { error: 'Wrong host.' })
    const { origin } = request.headers
    if (origin !== undefined && !local.some((host) => origin === `http://${host}`))
      return answer(response, 403, { error: 'Requests of other pages are not answered.' })
    const { pathname } = new URL(request.url ?? '/', 'http://console')
    const file = Object.hasOwn(FILES, pathname) ? FILES[pathname] : undefined
    if (file && request.method === 'GET') {
      const body = await readFile(file[0])
      response.writeHead(200, { ...HEADERS, 'Content-Type': file[1] }).end(body)
      return
    }
    if (!this.#authorized(request)) return answer(response, 401, { error: 'The token is missing or wrong.' })
    await this.#call(request, response, `${request.method} ${pathname}`)
  }

  async #call(request: IncomingMessage, response: ServerResponse, call: string): Promise<void> {
    const { services } = this.components
    switch (call) {
      case 'GET /api/state':
        return answer(response, 200, await this.#snapshot())
      case 'GET /api/live':
        return this.#live(response)
      case 'GET /api/conflicts':
        return answer(response, 200, await services.conflicts())
      case 'GET /metrics':
        response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/plain; version=0.0.4' })
        response.end(metricsText(await services.info(), services.actors()))
        return
      case 'POST /api/kill': {
        const { actor } = await body(request)
        await services.kill(String(actor))
        return answer(response, 200, {})
      }
      case 'POST /api/steer': {
        const { volume, peer, action } = await body(request)
        await services.steer(String(volume), String(peer), steerAction(action))
        return answer(response, 200, {})
      }
      case 'POST /api/rule': {
        const { id, paused } = await body(request)
        const empty = { volume: '', kind: '', strategy: '', source: '', target: '', schedule: [], limit: 0 }
        const rule = { ...empty, id: String(id), paused: paused === true }
        return answer(response, 200, await services.setRule(rule, ['paused']))
      }
      case 'POST /api/why':
        return answer(response, 200, await services.why(Buffer.from(String((await body(request)).path))))
      case 'POST /api/invite':
        return answer(response, 200, await services.invite(10))
      case 'POST /api/pair':
        return answer(response, 200, await services.pair(String((await body(request)).token)))
      case 'POST /api/join': {
        const { volume, peer } = await body(request)
        return answer(
          response,
          200,
          await services.join({ volume: String(volume), peer: peer ? String(peer) : undefined }),
        )
      }
      case 'POST /api/resolve': {
        const { path: file, version, both } = await body(request)
        return answer(
          response,
          200,
          await services.resolve(Buffer.from(String(file)), version ? String(version) : undefined, both === true),
        )
      }
      default:
        return answer(response, 404, { error: 'There is nothing here.' })
    }
  }

  async #snapshot(): Promise<unknown> {
    const { services } = this.components
    const [info, rules] = [await services.info(), await services.rules()]
    return { at: Date.now(), info, rules, actors: services.actors() }
  }

  /** Snapshots as lines of JSON for as long as the page reads them. */
  #live(response: ServerResponse): void {
    if (this.#streams.size >= MAX_STREAMS) return answer(response, 503, { error: 'Too many pages are open.' })
    this.#streams.add(response)
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'application/x-ndjson' })
    let dirty = true
    let lastSent = 0
    let sending = false
    const tick = async () => {
      const age = Date.now() - lastSent
      if (sending || response.writableNeedDrain || age < LIVE_MIN_MS || (!dirty && age < LIVE_MAX_MS)) return
      sending = true
      dirty = false
      lastSent = Date.now()
      try {
        const line = JSON.stringify(await this.#snapshot())
        if (!response.destroyed) response.write(`${line}\n`)
      } catch (error) {
        response.destroy(error as Error)
      } finally {
        sending = false
      }
    }
    const timer = setInterval(tick, LIVE_MIN_MS)
    const end = this.components.services.subscribe(() => {
      dirty = true
    })
    response.on('close', () => {
      clearInterval(timer)
      end()
      this.#streams.delete(response)
    })
    tick()
  }

  #authorized(request: IncomingMessage): boolean {
    const given = Buffer.from(request.headers.authorization ?? '')
    const wanted = Buffer.from(`Bearer ${this.init.token}`)
    return given.length === wanted.length && timingSafeEqual(given, wanted)
  }
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { ...HEADERS, 'Content-Type': 'application/json' }).end(JSON.stringify(value))
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy()
  const { code, message } = error as { code?: string; message?: string }
  answer(response, code === 'INTERNAL' || !code ? 500 : 400, { error: message ?? String(error), code })
}

async function body(request: IncomingMessage): Promise<Record<string, unknown>> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > MAX_BODY) throw new ServiceError('BAD_REQUEST', 'The request is too long.')
    pieces.push(piece)
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(pieces).toString() || '{}')
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // told below
  }
  throw new ServiceError('BAD_REQUEST', 'The request is not a JSON object.')
}
