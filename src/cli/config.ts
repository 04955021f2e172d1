// `polyloop config print` and `polyloop config check [FILE]`.
import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { shardCountOf } from '../config/automatic.ts'
import { effectiveYaml } from '../config/description.ts'
import { THREAD } from '../lib/thread.ts'
import { formatSize } from '../lib/units.ts'
import type { CommandContext } from './command.ts'
import { addConfigOptions, type ConfigArguments, loadEffectiveConfig } from './effective-config.ts'

export function register(command: Command, context: CommandContext): void {
  addConfigOptions(command.command('print'))
    .description('the effective configuration, each value with its origin; secrets are masked')
    .action(async (given: ConfigArguments) => {
      const { options, config, origins } = await loadEffectiveConfig(given, context.environment)
      context.stdout.write(effectiveYaml(options, config, origins))
      const shards = shardCountOf(config.shards, availableParallelism())
      context.stdout.write(`\n${ringMemory(shards, config.ring.capacity, config.ring.controlCapacity)}\n`)
    })
  addConfigOptions(command.command('check'))
    .description('all problems at once; exit status 1 if there are any')
    .argument('[file]', 'YAML file, the same as --config')
    .action(async (file: string | undefined, given: ConfigArguments) => {
      const { origins } = await loadEffectiveConfig(
        file === undefined ? given : { ...given, config: file },
        context.environment,
      )
      const set = [...origins.values()].filter((origin) => origin !== 'default').length
      context.stdout.write(`the configuration is valid: ${set} of ${origins.size} options set\n`)
    })
}

/** The worst case: every ordered pair of threads talks. Rings are allocated on first use, so it is rarely reached. */
export function ringMemory(shards: number, capacityBytes: number, controlCapacityBytes: number): string {
  const others = Object.keys(THREAD).length - 2 // all but firstShard and the acceptor's successor
  const lineOf = (threads: number): string => {
    const pairs = threads * (threads - 1)
    const bytes = pairs * (capacityBytes + controlCapacityBytes)
    return `${pairs} pairs of ${threads} threads x (${formatSize(capacityBytes)} + ${formatSize(controlCapacityBytes)}) = ${(bytes / 1024 ** 2).toFixed(1)} MiB`
  }
  return [
    `# Rings at worst (shards: ${shards}): ${lineOf(others + shards)}`,
    `# During a reload (twice the shards, two acceptors): ${lineOf(others + 1 + 2 * shards)}`,
  ].join('\n')
}
