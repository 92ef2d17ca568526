#!/usr/bin/env node
// Entry of the command line: one file per command, loaded here. Knows nothing of what they do.

import { Command } from 'commander'
import * as backup from './commands/backup.js'
import * as cat from './commands/cat.js'
import * as check from './commands/check.js'
import * as conflicts from './commands/conflicts.js'
import * as console_ from './commands/console.js'
import * as hold from './commands/hold.js'
import * as log from './commands/log.js'
import * as pair from './commands/pair.js'
import * as restore from './commands/restore.js'
import * as rule from './commands/rule.js'
import * as start from './commands/start.js'
import * as status from './commands/status.js'
import * as stop from './commands/stop.js'
import * as sync from './commands/sync.js'
import * as why from './commands/why.js'

const program = new Command('peerdrive')
  .description('A versioned, peer-to-peer file system: mounted, synchronized, without a server.')
  .showHelpAfterError('(`peerdrive --help` lists the commands)')

for (const command of [
  start,
  status,
  log,
  cat,
  restore,
  pair,
  conflicts,
  why,
  sync,
  rule,
  backup,
  hold,
  check,
  console_,
  stop,
])
  command.register(program)

// Without a command a node is started: a command that does not exist must not be taken for an argument of that.
const words = process.argv.slice(2)
let command = program as Command
for (const [i, word] of words.entries()) {
  if (word.startsWith('-') || word === 'help' || !command.commands.length) break
  const known = command.commands.find((one) => one.name() === word)
  if (!known) program.error(`peerdrive: There is no command '${words.slice(0, i + 1).join(' ')}'.`, { exitCode: 1 })
  else command = known
}

await program.parseAsync()
