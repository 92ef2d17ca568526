// A device in a process of its own, for tests that kill, freeze or isolate it. Argument: PeersInit as JSON. Tells what
// happens as JSON lines on stdout; takes commands as JSON lines on stdin: {"invite":true}, {"join":"<text>"}, {"stop":true}.
import { createInterface } from 'node:readline'
import { Peers, type PeersInit } from '../../lib/peers/index.js'

const tell = (event: string, facts: object = {}): void =>
  void process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`)

const peers = await Peers.open(JSON.parse(process.argv[2]) as PeersInit)
peers.links.on('up', (link) => tell('up', { peer: link.peer, address: link.address }))
peers.links.on('down', (link, error) => tell('down', { peer: link.peer, error: error?.message }))
peers.discovery.on('seen', ({ id, addresses, paired }) => tell('seen', { id, addresses, paired }))
peers.discovery.on('gone', ({ id }) => tell('gone', { id }))
peers.discovery.on('problems', (problems) => tell('problems', { codes: problems.map(({ code }) => code) }))
peers.trust.on('paired', ({ id, name }) => tell('paired', { id, name }))
tell('ready', { id: peers.node.id, port: peers.node.port, addresses: peers.node.addresses })
await peers.start()

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as { invite?: boolean; join?: string; stop?: boolean }
  if (command.invite) tell('invitation', { token: peers.pairing.invite().token })
  if (command.join)
    await peers.pairing.join(command.join).catch((error: Error) => tell('failed', { error: error.message }))
  if (command.stop) break
}
await peers.stop()
process.exit(0)
