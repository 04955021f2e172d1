// `polyloop hub`: a client of the hub that prints what its channels say.
import type { Readable } from 'node:stream'
import type { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { printable } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { FORMATS, type Format } from './hub/format.ts'
import { FramePrinter } from './hub/printer.ts'
import type { SteadySink } from './hub/steady-output.ts'
import { DEFAULT_URL, type HubOptions, targetOf } from './hub/target.ts'
import { COMMANDS_TEXT, channelsOf } from './hub/typed-command.ts'
import { watchHub } from './hub/watch.ts'
import { problemOf } from './problem.ts'
import { failureOf, type ToolIo, toolIo } from './tool-io.ts'

/** What one request takes. */
const CHANNELS_MAX = 64

/** The flags of the command, as typed. */
export interface HubClientOptions extends HubOptions {
  readonly subscribe?: string
  readonly format?: string
  readonly verbose?: boolean
  readonly interactive?: boolean
  readonly output?: string
}

export interface HubIo extends ToolIo {
  readonly stdout: SteadySink
  readonly stdin: Readable
  /** On a terminal. */
  readonly colours: boolean
}

export function register(command: Command, context: CommandContext): void {
  command
    .option('--url <url>', 'the hub', DEFAULT_URL)
    .option('--token <jwt>', 'who you are; without one you are nobody')
    .option('--subscribe <channels>', 'channels, separated by commas')
    .option('--format <format>', `how frames are printed: ${FORMATS.join(', ')}`, FORMATS[0])
    .option('--verbose', 'frames as they come and go, and stack traces')
    .option('--interactive', `takes commands: ${COMMANDS_TEXT}`)
    .option('--output <file>', 'appends frames to this file, too')
    .action(async (options: HubClientOptions) => {
      const { stdin, environment } = context
      const colours = (environment.NO_COLOR ?? '') === '' && environment.TERM !== 'dumb'
      const { stdout } = context
      context.setStatus(await runHub(options, { ...toolIo(context), stdout, stdin, colours }))
    })
}

/** 0 when the user left or the server closed in good order; 1 when it refuses or the connection is lost; 2 for senseless options. */
export async function runHub(options: HubClientOptions, io: HubIo): Promise<ExitStatus> {
  const { stderr, signal, stdin } = io
  const target = targetOf(options)
  const problems = 'problems' in target ? target.problems : []
  const format = FORMATS.find((name) => name === (options.format ?? FORMATS[0]))
  if (format === undefined) problems.push(`--format is ${FORMATS.join(', ')}, not "${printable(options.format)}"`)
  const channels = [...new Set(channelsOf(options.subscribe ?? ''))]
  if (channels.length > CHANNELS_MAX) problems.push(`--subscribe takes at most ${CHANNELS_MAX} channels`)
  for (const problem of problems) stderr.write(`hub: ${problem}\n`)
  if ('problems' in target || format === undefined || problems.length > 0) return 2

  const printer = openPrinter(options.output, format, io)
  if (typeof printer === 'string') return failureOf('hub', printer, io)
  using _file = printer
  const watched = { target, channels, printer, signal, verbose: options.verbose === true }
  const failure = await watchHub({ ...watched, stdin: options.interactive === true ? stdin : undefined })
  return failure === undefined ? 0 : failureOf('hub', failure, io)
}

function openPrinter(output: string | undefined, format: Format, io: HubIo): FramePrinter | string {
  const { stdout, stderr, colours } = io
  try {
    return new FramePrinter({ stdout, stderr, format, colours, wallMs: systemClock.wallMs, output })
  } catch (error) {
    return `cannot write ${printable(output)}: ${problemOf(error)}`
  }
}
