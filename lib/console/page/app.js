// The console's page: shows the snapshots that the node streams, and calls the node for what is clicked. Keeps nothing.

import { html, render } from '/preact.js'

const root = document.getElementById('app')
const token = takeToken()
let notice = ''
let snapshot
let connected = false
let invitation

/** The token comes in the address once (`#token=…`) and then lives in this tab only. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  if (given) {
    sessionStorage.setItem('token', given)
    history.replaceState(null, '', '/')
  }
  return given ?? sessionStorage.getItem('token') ?? ''
}

async function call(method, url, body) {
  const response = await fetch(url, {
    method,
    headers: { Authorization: `Bearer ${token}` },
    body: body && JSON.stringify(body),
  })
  const value = await response.json()
  if (!response.ok) throw new Error(value.error)
  return value
}

/** An event handler that does `work` and shows how it went. */
const doing = (work) => async (event) => {
  event?.preventDefault()
  try {
    notice = (await work(event)) ?? ''
  } catch (error) {
    notice = error.message
  }
  draw()
}

async function follow() {
  for (;;) {
    try {
      const response = await fetch('/api/live', { headers: { Authorization: `Bearer ${token}` } })
      if (response.status === 401) {
        root.textContent =
          'Open the address that `peerdrive start` or `peerdrive console` prints: it carries the key to this page.'
        return
      }
      await readLines(response.body)
    } catch {
      // the node is gone or restarts: shown below, and tried again
    }
    connected = false
    draw()
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

async function readLines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader()
  let held = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    held += value
    const lines = held.split('\n')
    held = lines.pop()
    if (!lines.length) continue
    snapshot = JSON.parse(lines[lines.length - 1])
    connected = true
    draw()
  }
}

const bytes = (n) => {
  if (n < 1024) return `${n} B`
  const unit = Math.min(4, Math.floor(Math.log2(n) / 10))
  return `${(n / 1024 ** unit).toFixed(n / 1024 ** unit < 10 ? 1 : 0)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`
}
const span = (ms) => {
  const s = Math.max(0, Math.round(ms / 1000))
  return s < 90
    ? `${s} s`
    : s < 5400
      ? `${Math.round(s / 60)} min`
      : s < 129600
        ? `${Math.round(s / 3600)} h`
        : `${Math.round(s / 86400)} days`
}

function Volumes({ volumes }) {
  return html`<section>
    <h2>Volumes</h2>
    ${volumes.map(
      (v) => html`<div class="volume" key=${v.sid}>
        <div class="row">
          <strong>${v.label}</strong>
          <span class="grow dim">${v.mounted ? v.mountPoint : 'not mounted'}</span>
          <span>${v.documents} documents</span>
          <span class=${v.backlog ? 'warn' : 'good'}>${v.backlog ? `${bytes(v.backlog)} to commit` : 'all committed'}</span>
        </div>
        ${
          (v.holding.hold !== 'everything' || v.holding.pins.length > 0 || v.holding.retainMs > 0) &&
          html`<div class="row dim">
            ${v.holding.hold === 'everything' ? 'holds everything' : `on demand, within ${bytes(v.holding.budget)}`}
            ${v.holding.bytes > 0 && html`<span>${bytes(v.holding.bytes)} here</span>`}
            ${v.holding.pins.length > 0 && html`<span>pinned: ${v.holding.pins.join(', ')}</span>`}
            ${v.holding.lacking > 0 && html`<span class="warn">${v.holding.lacking} files lack something</span>`}
          </div>`
        }
        ${v.conflicts > 0 && html`<div class="row warn">${v.conflicts} conflicts</div>`}
        ${v.openHandles.map(
          (h) => html`<div class="row dim" key=${h.handle}>
            <span class="grow">open: ${h.path || '(no name)'}</span><span>${bytes(h.size)}</span><span>${h.state}</span>
          </div>`,
        )}
        ${v.reports.map((r) => html`<div class="row warn"><span>${r}</span></div>`)}
      </div>`,
    )}
  </section>`
}

function Devices({ info }) {
  return html`<section>
    <h2>Devices</h2>
    ${info.peers.map(
      (p) => html`<div key=${p.id}>
        <div class="row">
          <strong>${p.name}</strong>
          <span class="grow dim">${p.address ?? ''}</span>
          ${p.rttMs > 0 && html`<span class="dim">${p.rttMs.toFixed(0)} ms</span>`}
          <span class=${p.connected ? 'good' : 'dim'}>${p.state}</span>
        </div>
        ${p.offers.map(
          (o) => html`<div class="row dim" key=${o.sid}>
            <span class="grow">volume ${o.label}</span>
            ${o.joined ? 'joined' : html`<button onClick=${doing(() => call('POST', '/api/join', { volume: o.root, peer: p.id }).then((v) => `Joined: ${v.mountPoint}`))}>join</button>`}
          </div>`,
        )}
      </div>`,
    )}
    ${info.nearby
      .filter((n) => !n.paired)
      .map(
        (n) =>
          html`<div class="row" key=${n.id}><span class="grow">${n.name}</span><span class="dim">nearby, not paired</span></div>`,
      )}
    ${info.peers.length + info.nearby.length === 0 && html`<p class="dim">No other device is known or seen.</p>`}
    ${info.discoveryProblems.map((p) => html`<p class="warn">${p}</p>`)}
    <div class="row">
      <button onClick=${doing(async () => {
        invitation = await call('POST', '/api/invite', {})
      })}>invite a device</button>
      <form class="row" onSubmit=${doing((e) => call('POST', '/api/pair', { token: new FormData(e.target).get('token') }).then((d) => `Paired with ${d.name}.`))}>
        <input name="token" placeholder="invitation of the other device" required autocomplete="off" />
        <button>pair</button>
      </form>
    </div>
    ${invitation && html`<p>On the other device, within 10 minutes: <code>peerdrive pair ${invitation.token}</code></p>`}
  </section>`
}

let conflicts
let conflictCount = 0
let conflictsAt = 0

/** Asked for when their number changes, and now and then while there are some. */
function lookAtConflicts(info) {
  const count = info.volumes.reduce((sum, v) => sum + v.conflicts, 0)
  if (count === conflictCount && (count === 0 || Date.now() - conflictsAt < 3000)) return
  conflictCount = count
  conflictsAt = Date.now()
  call('GET', '/api/conflicts').then(
    (list) => {
      conflicts = list
      draw()
    },
    () => {
      conflictCount = -1
    },
  )
}

function Conflicts() {
  if (!conflicts?.length || conflictCount === 0) return null
  const keep = (path, version, both = false) =>
    doing(() =>
      call('POST', '/api/resolve', { path, version, both }).then((v) => `Resolved: ${path}, version ${v.version}.`),
    )
  return html`<section id="conflicts">
    <h2>Conflicts</h2>
    ${conflicts.map(
      (c) => html`<div key=${c.document}>
        <div class="row"><strong class="grow">${c.path || c.document}</strong>
          <button onClick=${keep(c.path, '')}>keep what is shown</button>
          <button onClick=${keep(c.path, '', true)}>keep all, side by side</button>
        </div>
        ${c.versions
          .filter((v) => !v.current)
          .map(
            (v) => html`<div class="row dim" key=${v.rid}>
              <span class="grow">${v.version}, ${new Date(v.modified).toLocaleString()}, ${v.device}</span><span>${bytes(v.size)}</span>
              <button onClick=${keep(c.path, v.version)}>keep this</button>
            </div>`,
          )}
      </div>`,
    )}
  </section>`
}

/** Not by a rule: that is resumed where the rule is. */
const isPausedHere = (s) => s.waits === 'paused on this device'

function Rules({ rules }) {
  const set = ({ id, paused }) => doing(() => call('POST', '/api/rule', { id, paused: !paused }).then(() => ''))
  return html`<section>
    <h2>Rules</h2>
    ${rules.map(
      (r) => html`<div class="row" key=${r.id}>
        <strong>${r.volume}</strong>
        <span class="grow">${r.kind} ${r.source || 'any'} ${r.kind === 'two-way' ? '⇄' : '→'} ${r.target || 'any'}, ${r.strategy}
          ${r.schedule.length > 0 && ` at ${r.schedule.join('; ')}`}${r.limit > 0 && `, ${bytes(r.limit)}/s`}</span>
        <span class="dim">${r.id}</span>
        <span>${r.paused ? 'paused' : ''}</span>
        <button onClick=${set(r)}>${r.paused ? 'resume' : 'pause'}</button>
      </div>`,
    )}
    ${rules.length === 0 && html`<p class="dim">None: volumes go both ways, merging, all of them, at once.</p>`}
  </section>`
}

function Sync({ sync }) {
  const steer = (s, action) =>
    doing(() => call('POST', '/api/steer', { volume: s.volume, peer: s.peer, action }).then(() => ''))
  return html`<section>
    <h2>Sync</h2>
    ${sync.map(
      (s) => html`<div key=${s.volume + s.peer}>
        <div class="row">
          <strong>${s.volume} ⇄ ${s.peerName}</strong>
          <span class="grow">${s.state}${s.kind && `, ${s.kind} by rule ${s.rule}`}</span>
          <span class="dim">in ${bytes(s.bytesIn)}, out ${bytes(s.bytesOut)}</span>
          <button onClick=${steer(s, isPausedHere(s) ? 'resume' : 'pause')}>${isPausedHere(s) ? 'resume' : 'pause'}</button>
          ${s.pending.length > 0 && html`<button onClick=${steer(s, 'retry')}>retry</button>`}
        </div>
        ${s.waits && html`<div class="row"><span class="grow dim">${s.waits}</span></div>`}
        ${s.received < s.receivedOf && html`<div class="row"><progress max=${s.receivedOf} value=${s.received}></progress> receiving ${s.received} of ${s.receivedOf}</div>`}
        ${s.sent < s.sentOf && html`<div class="row"><progress max=${s.sentOf} value=${s.sent}></progress> sending ${s.sent} of ${s.sentOf}</div>`}
        ${s.pending.slice(0, 20).map((p) => html`<div class="row warn"><span class="grow">waiting: ${p.path || p.document}</span><span>${p.reason}, ${span(Date.now() - p.since)}</span></div>`)}
        ${s.lastError && html`<div class="row bad"><span class="grow">${s.lastError}</span>${s.state === 'halted' && html`<button onClick=${steer(s, 'allow')}>allow it</button>`}</div>`}
      </div>`,
    )}
    ${sync.length === 0 && html`<p class="dim">Nothing to synchronize with yet: pair a device and join a volume.</p>`}
  </section>`
}

const summaryText = (summary) =>
  Object.entries(summary ?? {})
    .map(([k, v]) => `${k} ${v}`)
    .join(' · ')

function rows(actor, depth) {
  const crash = actor.lastCrash
  return [
    html`<tr key=${actor.path} data-actor=${actor.path}>
      <td class="name" style=${{ paddingLeft: `${depth * 18}px` }}>${actor.id}</td>
      <td class=${actor.status === 'running' ? 'good' : 'warn'}>${actor.status}</td>
      <td class="number">${actor.mailbox}</td>
      <td class="number">${actor.messages}</td>
      <td class=${`number ${actor.restarts ? 'warn' : ''}`}>${actor.restarts}</td>
      <td class="summary" title=${summaryText(actor.summary)}>${summaryText(actor.summary)}</td>
      <td><button onClick=${doing(() => call('POST', '/api/kill', { actor: actor.path }).then(() => `Killed ${actor.path}.`))}>kill</button></td>
    </tr>`,
    crash &&
      html`<tr class="crash" key=${`${actor.path} crash`}><td colspan="7" style=${{ paddingLeft: `${depth * 18 + 10}px` }}>${span(Date.now() - crash.when)} ago: ${crash.reason}${crash.message ? `, on ${crash.message}` : ''}</td></tr>`,
    ...(actor.children ?? []).flatMap((child) => rows(child, depth + 1)),
  ]
}

function Actors({ actors }) {
  return html`<section>
    <h2>Actors</h2>
    <table>
      <thead>
        <tr><th>actor</th><th>state</th><th class="number">mailbox</th><th class="number">messages</th><th class="number">restarts</th><th>about</th><th></th></tr>
      </thead>
      <tbody>${rows(actors, 0)}</tbody>
    </table>
  </section>`
}

function draw() {
  if (!snapshot) return
  const { info, actors, rules } = snapshot
  lookAtConflicts(info)
  render(
    html`<header>
        <h1>PeerDrive</h1>
        <span>${info.device.name}</span>
        <span class="dim">up ${span(Date.now() - info.startedAt)}, ${bytes(info.memory.rss)}, ${info.cpuSeconds.toFixed(1)} s of processor time</span>
        <span id="connection" class=${connected ? 'good' : 'bad'}>${connected ? 'live' : 'the node does not answer'}</span>
      </header>
      ${notice && html`<section id="notice" role="status">${notice}</section>`}
      <div class="columns"><${Volumes} volumes=${info.volumes} /><${Devices} info=${info} /></div>
      <${Conflicts} />
      <${Sync} sync=${info.sync} />
      <${Rules} rules=${rules} />
      <${Actors} actors=${actors} />`,
    root,
  )
}

follow()
