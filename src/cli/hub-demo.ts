// `polyloop hub-demo`: shows what a hub does, on a running one.
import type { Command } from 'commander'
import type { CommandContext, ExitStatus } from './command.ts'
import { runAdvancedDemo } from './hub/advanced-demo.ts'
import { type DemoIo, runDemo } from './hub/demo.ts'
import { DEFAULT_URL, type HubOptions, targetOf } from './hub/target.ts'
import { failureOf, toolIo } from './tool-io.ts'

/** The flags of the command, as typed. */
export interface HubDemoOptions extends HubOptions {
  readonly advanced?: boolean
}

export function register(command: Command, context: CommandContext): void {
  command
    .option('--url <url>', 'the hub', DEFAULT_URL)
    .option('--token <jwt>', 'who you are; without one you are nobody')
    .option('--advanced', 'five demonstrations: resuming, permissions, rate limits, binary messages, metrics')
    .action(async (options: HubDemoOptions) => {
      context.setStatus(await runHubDemo(options, { ...toolIo(context), stdout: context.stdout }))
    })
}

/** 0 after Ctrl-C, when the server closed in good order, or when all went well; 1 otherwise; 2 for senseless options. */
export async function runHubDemo(options: HubDemoOptions, io: DemoIo): Promise<ExitStatus> {
  const target = targetOf(options)
  if ('problems' in target) {
    for (const problem of target.problems) io.stderr.write(`hub-demo: ${problem}\n`)
    return 2
  }
  if (options.advanced !== true) {
    const failure = await runDemo(target, io)
    return failure === undefined ? 0 : failureOf('hub-demo', failure, io)
  }
  const failed = await runAdvancedDemo(target, io)
  return failed === 0 ? 0 : failureOf('hub-demo', `${failed} of the demonstrations failed`, io)
}
