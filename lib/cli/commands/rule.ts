// `peerdrive rule list|add|set|remove`: what travels between which volumes, how and when (docs/rules.md).

import type { Command } from 'commander'
import type { RuleField, RuleInfo } from '../../api/services.js'
import { action, withNode } from '../connect.js'
import { bytes, printable, table } from '../format.js'

interface Options {
  volume?: string
  from?: string
  to?: string
  strategy?: string
  at?: string[]
  limit?: string
  pause?: boolean
  resume?: boolean
}

export function register(program: Command): void {
  const rule = program.command('rule').description('what travels between which volumes, how and when')
  rule
    .command('list', { isDefault: true })
    .description('list the rules')
    .option('--json', 'as JSON')
    .action(
      action(async ({ json }: { json?: boolean }) => {
        const rules = await withNode((node) => node.rules())
        if (json) return console.log(JSON.stringify(rules, null, 2))
        if (!rules.length) return console.log('No rules: volumes go both ways, merging, all of them, at once.')
        console.log(table([['RULE', 'VOLUME', 'KIND', 'BETWEEN', 'STRATEGY', ''], ...rules.map(row)]))
      }),
    )
  settings(
    rule
      .command('add')
      .description('add a rule; --from and --to: a device, a volume of this one, or an id; one that is not said is any')
      .argument(
        '<kind>',
        'two-way, backup (one way, kept for ever) or mirror (one way, shows just what the source shows)',
      )
      .option('--volume <name>', 'the volume, as it is called here (default: the only one, or home)')
      .option('--from <device>', 'the source')
      .option('--to <device>', 'the target'),
  ).action(
    action(async (kind: string, options: Options) => {
      const { volume = '', from = '', to = '', strategy = 'merge', pause = false } = options
      const ends = { id: '', volume, kind, source: from, target: to }
      const rule = { ...ends, strategy, paused: pause, schedule: options.at ?? [], limit: limitOf(options.limit) }
      const added = await withNode((node) => node.addRule(rule))
      console.log(
        `Rule ${added.id}: ${added.kind} ${between(added)}. It travels to all devices of '${printable(added.volume)}'.`,
      )
    }),
  )
  settings(rule.command('set').description('change a rule').argument('<rule>'))
    .option('--resume', 'let it work again')
    .option('--always', 'at any time')
    .action(
      action(async (id: string, options: Options & { always?: boolean }) => {
        const fields: RuleField[] = []
        if (options.strategy !== undefined) fields.push('strategy')
        if (options.pause || options.resume) fields.push('paused')
        if (options.at || options.always) fields.push('schedule')
        if (options.limit !== undefined) fields.push('limit')
        const schedule = options.always ? [] : (options.at ?? [])
        const { strategy = '', pause = false } = options
        const empty = { volume: '', kind: '', source: '', target: '' }
        const rule = {
          id,
          ...empty,
          strategy,
          paused: pause && !options.resume,
          schedule,
          limit: limitOf(options.limit),
        }
        const changed = await withNode((node) => node.setRule(rule, fields))
        console.log(`Rule ${changed.id}: ${row(changed).slice(2).filter(Boolean).join(', ')}.`)
      }),
    )
  rule
    .command('remove')
    .description('remove a rule; nothing that was synchronized is deleted')
    .argument('<rule>')
    .action(
      action(async (id: string) => {
        await withNode((node) => node.removeRule(id))
        console.log('Removed. What it said holds no more, on any device that hears of it.')
      }),
    )
}

function settings(command: Command): Command {
  return command
    .option(
      '--strategy <strategy>',
      'of versions that parted: merge, latest (the later one is shown) or ff (they wait)',
    )
    .option('--at <times...>', "when it works, local time: 'mon-fri 22:00-06:00', 'sat,sun'")
    .option('--limit <rate>', 'content per second: 500K, 2M; 0: none')
    .option('--pause', 'nothing travels')
}

function row(rule: RuleInfo): string[] {
  const extras = [
    rule.paused ? 'paused' : '',
    rule.schedule.length ? `at ${rule.schedule.map(printable).join('; ')}` : '',
    rule.limit ? `${bytes(rule.limit)}/s` : '',
  ]
  const parts = [rule.id, printable(rule.volume), rule.kind, between(rule), rule.strategy]
  return [...parts, extras.filter(Boolean).join(', ')]
}

function between({ kind, source, target }: RuleInfo): string {
  const [from, to] = [source || 'any', target || 'any'].map(printable)
  return kind === 'two-way' ? `${from} ⇄ ${to}` : `${from} → ${to}`
}

/** `500K` → 512,000. Throws an Error for people. */
export function limitOf(text: string | undefined): number {
  if (text === undefined) return 0
  const found = /^(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?$/i.exec(text.trim())
  if (!found) throw new Error(`'${text}' is no rate: write bytes per second as 500K, 2M or 1G.`)
  return Math.round(Number(found[1]) * 1024 ** ['', 'k', 'm', 'g'].indexOf(found[2].toLowerCase()))
}
