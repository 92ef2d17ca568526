#!/usr/bin/env node
// Entry of the command line: one file per command, loaded here. Knows nothing of what they do.

import { Command } from 'commander'
import * as cat from './commands/cat.js'
import * as check from './commands/check.js'
import * as conflicts from './commands/conflicts.js'
import * as console_ from './commands/console.js'
import * as log from './commands/log.js'
import * as pair from './commands/pair.js'
import * as restore from './commands/restore.js'
import * as start from './commands/start.js'
import * as status from './commands/status.js'
import * as stop from './commands/stop.js'
import * as sync from './commands/sync.js'

const program = new Command('peerdrive')
  .description('A versioned, peer-to-peer file system: mounted, synchronized, without a server.')
  .showHelpAfterError('(`peerdrive --help` lists the commands)')

for (const command of [start, status, log, cat, restore, pair, conflicts, sync, check, console_, stop])
  command.register(program)

// Without a command a node is started: a command that does not exist must not be taken for an argument of that.
const [first] = process.argv.slice(2)
if (first && !first.startsWith('-') && first !== 'help' && !program.commands.some((known) => known.name() === first))
  program.error(`peerdrive: There is no command '${first}'.`, { exitCode: 1 })

await program.parseAsync()
