// `polyloop drain`: ends the running server as SIGTERM does, and waits until it is gone.
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import type { RuntimeReport } from '../observe/report.ts'
import { type AdminArguments, AdminClient, addAdminOptions } from './admin-client.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { countText } from './figure-text.ts'
import { StatusLine } from './status-line.ts'

const POLL_MS = 200
/** `shutdown.grace` may be an hour. */
const DRAIN_MS_MAX = 2 * 3_600_000

export function register(command: Command, context: CommandContext): void {
  addAdminOptions(command).action(async (given: AdminArguments) => {
    context.setStatus(await drain(new AdminClient(given, context.environment), context))
  })
}

async function drain(client: AdminClient, context: CommandContext): Promise<ExitStatus> {
  const { stdout, stderr } = context
  const interrupt = new AbortController()
  context.takeSignals(() => interrupt.abort())
  const line = new StatusLine(stdout)
  const ordered = await client.control('drain')
  if (!ordered.ok) {
    stderr.write(`drain: ${ordered.problem}\n`)
    return 1
  }
  const startMs = performance.now()
  try {
    while (performance.now() - startMs < DRAIN_MS_MAX) {
      const answer = await client.runtime()
      // Gone, or another one has taken its place.
      if (!answer.ok || answer.value.readiness !== 'draining') {
        line.end()
        stdout.write('drain: the server has ended\n')
        return 0
      }
      line.show(`drain: connections left: ${countText(connectionsOf(answer.value))}`)
      await pause(POLL_MS, undefined, { signal: interrupt.signal })
    }
  } catch (error) {
    if (!interrupt.signal.aborted) throw error
    line.end()
    stdout.write('drain: no longer watched; it goes on in the server\n')
    return 0
  }
  line.end()
  stderr.write(`drain: the server still runs after ${DRAIN_MS_MAX / 3_600_000} h\n`)
  return 1
}

function connectionsOf({ shards }: RuntimeReport): number {
  return shards.reduce((sum, { connections }) => sum + connections, 0)
}
