// What a tool that talks to a server may touch of the outside: where it prints, and when it should end.
import type { CommandContext, ExitStatus } from './command.ts'
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

/** Of a tool that cannot go on: 1, and it says why; 0 without a word when Ctrl-C was the reason. */
export function failureOf(tool: string, reason: string, { signal, stderr }: ToolIo): ExitStatus {
  if (signal.aborted) return 0
  stderr.write(`${tool}: ${reason}\n`)
  return 1
}

/** The same, and Ctrl-C is told. */
export function endOf(tool: string, reason: string, io: ToolIo): ExitStatus {
  if (io.signal.aborted) io.stdout.write('interrupted\n')
  return failureOf(tool, reason, io)
}
