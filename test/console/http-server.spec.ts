import assert from 'node:assert/strict'
import { request } from 'node:http'
import { ConsoleServer } from '../../lib/console/http-server.js'
import { FakeServices } from '../support/fake-services.js'

const TOKEN = 'secret-token'

describe('The web console', () => {
  let services: FakeServices
  let server: ConsoleServer

  beforeEach(async () => {
    services = new FakeServices()
    server = new ConsoleServer({ services }, { port: 0, token: TOKEN })
    await server.start()
  })

  afterEach(() => server.stop())

  /** A call with headers that fetch would not let us set. */
  function call(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string,
  ): Promise<{ status: number; text: string; headers: NodeJS.Dict<string | string[]> }> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: server.port, method, path, headers }, (response) => {
        let text = ''
        response.on('data', (data) => {
          text += data
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }))
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }
  const authorized = { authorization: `Bearer ${TOKEN}` }

  it('serves the page and its parts to anyone on this machine, with a strict content policy', async () => {
    for (const path of ['/', '/app.js', '/style.css', '/preact.js']) {
      const { status, headers } = await call('GET', path)
      assert.equal(status, 200, path)
      assert.match(String(headers['content-security-policy']), /default-src 'none'/)
    }
    assert.match((await call('GET', '/')).text, /PeerDrive/)
  })

  it('gives nothing else without the token', async () => {
    for (const [method, path] of [
      ['GET', '/api/state'],
      ['GET', '/api/live'],
      ['GET', '/metrics'],
      ['POST', '/api/kill'],
      ['GET', '/nothing'],
    ]) {
      assert.equal((await call(method, path)).status, 401, path)
      assert.equal((await call(method, path, { authorization: 'Bearer wrong-secret' })).status, 401, path)
    }
    assert.deepEqual(services.asked, [])
  })

  it('refuses foreign hosts and origins, so that no other page reaches it', async () => {
    assert.equal((await call('GET', '/api/state', { ...authorized, host: 'evil.example' })).status, 421)
    assert.equal(
      (await call('POST', '/api/kill', { ...authorized, origin: 'http://evil.example' }, '{"actor":"root"}')).status,
      403,
    )
    const own = `http://127.0.0.1:${server.port}`
    assert.equal((await call('GET', '/api/state', { ...authorized, origin: own })).status, 200)
    assert.deepEqual(services.asked, [])
  })

  it('shows the state and kills the actor named', async () => {
    const state = JSON.parse((await call('GET', '/api/state', authorized)).text)
    assert.equal(state.info.device.name, 'laptop')
    assert.equal(state.actors.id, 'root')
    assert.equal((await call('POST', '/api/kill', authorized, '{"actor":"root/volumes"}')).status, 200)
    assert.deepEqual(services.asked, [['kill', 'root/volumes']])
  })

  it('answers bad requests with a sentence', async () => {
    assert.match((await call('POST', '/api/kill', authorized, 'no json')).text, /not a JSON object/)
    assert.match((await call('POST', '/api/steer', authorized, '{"action":"explode"}')).text, /no action 'explode'/)
    const long = await call('POST', '/api/kill', authorized, `{"actor":"${'x'.repeat(100_000)}"}`)
    assert.equal(long.status, 400)
  })

  it('offers figures in the Prometheus format', async () => {
    const { text } = await call('GET', '/metrics', authorized)
    assert.match(text, /^peerdrive_resident_bytes 100000000$/m)
    assert.match(text, /^peerdrive_volume_documents\{volume="home"\} 3$/m)
  })

  it('streams a snapshot when something happened, and forgets a page that left', async () => {
    const lines: string[] = []
    await new Promise<void>((resolve, reject) => {
      const sent = request(
        { host: '127.0.0.1', port: server.port, path: '/api/live', headers: authorized },
        (response) => {
          response.on('data', (data) => {
            lines.push(String(data))
            if (lines.length === 1) {
              services.tree = { ...services.tree, restarts: 5 }
              for (const listener of services.listeners) listener({ kind: 'actors' })
            } else {
              sent.destroy()
              resolve()
            }
          })
        },
      )
      sent.on('error', reject)
      sent.end()
    })
    assert.equal(JSON.parse(lines[1]).actors.restarts, 5)
    while (server.streams > 0) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(services.listeners.size, 0)
  })
})
