// What a command file exports, and what it is given. Commands reach for nothing of the process themselves.
import type { Readable, Writable } from 'node:stream'
import type { Command } from 'commander'

/** 0 success, 1 failure, 2 usage error. */
export type ExitStatus = 0 | 1 | 2

export interface CommandContext {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: Writable & { readonly isTTY?: boolean }
  /** Ctrl-C ends a tool at once with 0, unless it takes SIGINT and SIGTERM over to end in its own way. */
  takeSignals(handler: (signal: 'SIGINT' | 'SIGTERM') => void): void
  /** SIGHUP, which ends the process otherwise. */
  takeHangups(handler: () => void): void
  /** For a failure that was already reported; an error thrown by an action is reported and sets 1. */
  setStatus(status: ExitStatus): void
}

/** A file of src/cli/ that is named in registry.ts. */
export interface CommandModule {
  /** Adds arguments, options and the action. The name and its summary are there already. */
  register(command: Command, context: CommandContext): void
}

/** A command as the list of commands knows it, before its file is loaded. */
export interface CommandRow {
  readonly name: string
  readonly summary: string
  load(): Promise<CommandModule>
}
