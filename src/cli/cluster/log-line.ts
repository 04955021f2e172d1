// Which lines of a host's log are worth a look when several hosts share a terminal, and how they read there. Pure.

/** Beside warnings and errors. */
const SHOWN: ReadonlySet<unknown> = new Set(['bridge.up', 'runtime.move_done'])
const QUIET: ReadonlySet<unknown> = new Set(['trace', 'debug', 'info'])
/** What the reader sees already, and what is for who looks into the log itself. */
const LEFT_OUT: ReadonlySet<string> = new Set(['level', 'time', 'thread', 'event', 'stack'])

/** A line of a log, short; undefined: it is of no interest. What is no line of a log is of interest. */
export function worthALook(text: string): string | undefined {
  const fields = fieldsOf(text)
  if (fields === undefined) return text
  if (QUIET.has(fields.level) && !SHOWN.has(fields.event)) return undefined
  const rest = Object.entries(fields).filter(([key]) => !LEFT_OUT.has(key))
  return [fields.event, ...rest.map(([key, value]) => `${key}=${JSON.stringify(value)}`)].join(' ')
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined
  } catch {
    return undefined // Half a line of a process that was killed, or words of Node.
  }
}
