// What a tool that talks to a server may touch of the outside: where it prints, and when it should end.
import type { CommandContext } from './command.ts'
import type { TextSink } from './load/progress.ts'

export interface ToolIo {
  readonly stdout: TextSink
  readonly stderr: TextSink
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

/** Takes the signals over: Ctrl-C aborts, and the tool ends in its own way. */
export function toolIo(context: CommandContext): ToolIo {
  const interrupt = new AbortController()
  context.takeSignals(() => interrupt.abort())
  return { stdout: context.stdout, stderr: context.stderr, signal: interrupt.signal }
}
