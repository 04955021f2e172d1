// The frame of the command line: finds the command, loads its file, and turns every outcome into an exit status.
import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { PolyloopError } from '../lib/errors.ts'
import { normalizeArguments } from './argument.ts'
import type { CommandContext, CommandRow, ExitStatus } from './command.ts'
import { COMMANDS } from './registry.ts'

/** Runs one command line. Never throws: what goes wrong is on stderr, and in the exit status. */
export async function main(
  given: readonly string[],
  context: Omit<CommandContext, 'setStatus'>,
  commands: readonly CommandRow[] = COMMANDS,
): Promise<ExitStatus> {
  let status = 0 as ExitStatus
  const names = commands.map(({ name }) => name)
  const normal = normalizeArguments(given, names)
  const program = new Command('polyloop')
    .description('Thread-per-core actor runtime and realtime gateway for Node.js')
    .version(version())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
  const operands = normal.filter((argument) => !argument.startsWith('-'))
  const chosen = operands[0] === 'help' ? operands[1] : operands[0]
  let current = program
  try {
    for (const row of commands) {
      const command = program.command(row.name).description(row.summary)
      if (row.name === chosen) current = command
      const setStatus = (value: ExitStatus): void => {
        status = value
      }
      if (row.name === chosen) (await row.load()).register(command, { ...context, setStatus })
    }
    await program.parseAsync(normal, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0
      // Without a command, its help was the answer.
      if (error.code !== 'commander.help') context.stderr.write(usage(current))
      return 2
    }
    for (const line of report(error)) context.stderr.write(`polyloop: ${line}\n`)
    return 1
  }
  // A command that refuses its options has said why.
  if (status === 2) context.stderr.write(usage(current))
  return status
}

/** `main` with this process's arguments, streams and signals; sets its exit status. What bin/polyloop.js calls. */
export async function runProcess(commands: readonly CommandRow[] = COMMANDS): Promise<void> {
  let onSignal: (signal: 'SIGINT' | 'SIGTERM') => void = () => process.exit(0)
  process.on('SIGINT', () => onSignal('SIGINT'))
  // A reader that has seen enough (`| head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // A terminal that was closed sends a hangup as well, and that ends the tool, or the tool ends in its own way.
    if (error.code === 'EIO') return
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
  const context: Omit<CommandContext, 'setStatus'> = {
    environment: process.env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    takeSignals: (handler) => {
      // SIGTERM keeps Node's own behaviour until a command wants it.
      if (process.listenerCount('SIGTERM') === 0) process.on('SIGTERM', () => onSignal('SIGTERM'))
      onSignal = handler
    },
    takeHangups: (handler) => void process.on('SIGHUP', handler),
  }
  process.exitCode = await main(process.argv.slice(2), context, commands)
}

/** The version of the package. By its own name, because src/ and dist/src/ are not equally deep. */
export function version(): string {
  return (createRequire(import.meta.url)('polyloop/package.json') as { version: string }).version
}

/** What follows the line of every usage error. */
function usage(command: Command): string {
  const line = command.createHelp().commandUsage(command)
  const words = command.parent === null ? command.name() : `${command.parent.name()} ${command.name()}`
  return `Usage: ${line}\ntry: ${words} --help\n`
}

function report(error: unknown): string[] {
  if (!(error instanceof PolyloopError))
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)]
  const { problems } = error.details
  return Array.isArray(problems) ? problems.map(String) : [`${error.message} [${error.code}]`]
}
