// What `polyloop actors` prints, made of one report. Pure.
import type { ActorsReport } from '../observe/actor-report.ts'
import { countText, secondsText } from './figure-text.ts'
import { tableLines } from './table.ts'

const HANDLERS_SHOWN_MAX = 10

/** What the report says of one kind; undefined if it knows none of that name. Dead letters are not told apart by kind. */
export function ofKind(report: ActorsReport, kind: string): ActorsReport | undefined {
  const kinds = report.kinds.filter((row) => row.kind === kind)
  if (kinds.length === 0) return undefined
  return { kinds, deepest: report.deepest.filter(({ actor }) => actor.startsWith(`${kind}/`)), dead_letters: {} }
}

export function actorLines({ kinds, deepest, dead_letters }: ActorsReport): string[] {
  if (kinds.length === 0) return ['no kinds of actors: a module brings them']
  const handlers = kinds
    .flatMap(({ kind, handlers }) => handlers.map((row) => ({ kind, ...row })))
    .sort((a, b) => b.mean_seconds - a.mean_seconds)
    .slice(0, HANDLERS_SHOWN_MAX)
  const reasons = Object.entries(dead_letters).filter(([, count]) => count > 0)
  return [
    ...tableLines(
      [{ title: 'KIND' }, ...rightOf('ACTIVE', 'MAILBOX', 'OK', 'FAILED', 'REFUSED', 'DEAD')],
      kinds.map(({ kind, active, mailbox_depth, messages: { ok, failed, refused, dead } }) => [
        kind,
        ...[active, mailbox_depth, ok, failed, refused, dead].map(countText),
      ]),
    ),
    ...section(
      'Slowest handlers',
      [{ title: 'KIND' }, { title: 'HANDLER' }, ...rightOf('CALLS', 'MEAN', 'MAX')],
      handlers.map(({ kind, method, count, mean_seconds, max_seconds }) => [
        ...[kind, method, countText(count)],
        ...[mean_seconds, max_seconds].map(secondsText),
      ]),
    ),
    ...section(
      'Fullest mailboxes',
      [{ title: 'ACTOR' }, ...rightOf('SHARD', 'MESSAGES')],
      deepest.map(({ actor, shard, mailbox_depth }) => [actor, String(shard), countText(mailbox_depth)]),
    ),
    ...section(
      'Messages that no actor handled',
      [{ title: 'REASON' }, ...rightOf('MESSAGES')],
      reasons.map(([reason, count]) => [reason, countText(count)]),
    ),
  ]
}

function section(
  title: string,
  columns: Parameters<typeof tableLines>[0],
  rows: readonly (readonly string[])[],
): readonly string[] {
  return rows.length === 0 ? [] : ['', title, ...tableLines(columns, rows)]
}

function rightOf(...titles: readonly string[]): { title: string; right: true }[] {
  return titles.map((title) => ({ title, right: true }))
}
