// Orders a move of connections (a reload, another number of shards) and follows it to its end, for `polyloop reload` and
// `polyloop shards`.
import { setTimeout as pause } from 'node:timers/promises'
import type { MigrationReport } from '../observe/report.ts'
import type { AdminAnswer, AdminClient } from './admin-client.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { countText } from './figure-text.ts'
import { moveLine } from './move-view.ts'
import { StatusLine } from './status-line.ts'

const POLL_MS = 200
/** New threads load their modules before anything moves. */
const BEGIN_MS_MAX = 60_000
/** Answers that may fail in a row: a busy machine is no lost server. */
const LOST_MAX = 5

/** 0 when all that can move has moved, or after Ctrl-C, which the move survives; 1 with one line otherwise. */
export async function follow(
  name: string,
  client: AdminClient,
  order: () => Promise<AdminAnswer<unknown>>,
  context: CommandContext,
): Promise<ExitStatus> {
  const interrupt = new AbortController()
  context.takeSignals(() => interrupt.abort())
  const line = new StatusLine(context.stdout)
  try {
    const before = await client.runtime()
    if (!before.ok) throw new Failure(before.problem)
    const ordered = await order()
    if (!ordered.ok) throw new Failure(ordered.problem)
    const isTerminal = context.stdout.isTTY === true
    const show = (migration: MigrationReport): void => line.show(moveLine(migration, isTerminal))
    const last = await endOf(client, before.value.migration, interrupt.signal, show)
    line.end()
    if (last.error !== undefined) throw new Failure(last.error)
    context.stdout.write(`${name}: done, ${outcomeOf(last)}\n`)
    return 0
  } catch (error) {
    line.end()
    if (interrupt.signal.aborted) {
      context.stdout.write(`${name}: no longer watched; it goes on in the server\n`)
      return 0
    }
    if (!(error instanceof Failure)) throw error
    context.stderr.write(`${name}: ${error.message}\n`)
    return 1
  }
}

/** One line for stderr. */
class Failure extends Error {}

/** Polls until a move that began after `before` has nothing left to move. Connections that linger are not waited for. */
async function endOf(
  client: AdminClient,
  before: MigrationReport,
  signal: AbortSignal,
  show: (migration: MigrationReport) => void,
): Promise<MigrationReport> {
  const beginMs = performance.now()
  let lost = 0
  for (;;) {
    const answer = await client.runtime()
    signal.throwIfAborted()
    if (answer.ok) {
      lost = 0
      const { migration } = answer.value
      if (migration.started_ms !== before.started_ms) {
        if (migration.state !== 'moving') return migration
        show(migration)
      } else if (performance.now() - beginMs > BEGIN_MS_MAX) {
        throw new Failure(`accepted, but nothing has begun in ${BEGIN_MS_MAX / 1_000} s`)
      }
    } else if (++lost > LOST_MAX) throw new Failure(answer.problem)
    await pause(POLL_MS, undefined, { signal })
  }
}

function outcomeOf({ moved, failed, lingering, started_ms, finished_ms }: MigrationReport): string {
  const seconds = started_ms === null || finished_ms === null ? undefined : (finished_ms - started_ms) / 1_000
  return [
    `${countText(moved)} connections moved${seconds === undefined ? '' : ` in ${seconds.toFixed(1)} s`}`,
    ...(failed === 0 ? [] : [`${countText(failed)} failed`]),
    ...(lingering === 0 ? [] : [`${countText(lingering)} lingering on the old shard`]),
  ].join(', ')
}
