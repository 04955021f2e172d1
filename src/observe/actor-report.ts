// What /api/v1/actors answers, and how the reports of the shards become one. Members are named as on the wire.
import type { MessageResult } from './family.ts'

export interface HandlerReport {
  readonly method: string
  readonly count: number
  readonly mean_seconds: number
  readonly max_seconds: number
}

export interface ActorKindReport {
  readonly kind: string
  /** Actors that have a state now. */
  readonly active: number
  /** Messages in the fullest mailbox. */
  readonly mailbox_depth: number
  /** Totals since the start of the shards that live. */
  readonly messages: Readonly<Record<MessageResult, number>>
  /** Slowest mean first, at most HANDLERS_MAX. */
  readonly handlers: readonly HandlerReport[]
}

export interface DeepMailboxReport {
  /** `kind/id`. */
  readonly actor: string
  readonly shard: number
  readonly mailbox_depth: number
}

/** Of one shard, or of all: the shape is the same. */
export interface ActorsReport {
  /** By name. */
  readonly kinds: readonly ActorKindReport[]
  /** Fullest first, at most DEEPEST_MAX. */
  readonly deepest: readonly DeepMailboxReport[]
  /** Reason (DEAD_REASONS) to messages that no actor handled. */
  readonly dead_letters: Readonly<Record<string, number>>
}

export const HANDLERS_MAX = 10
export const DEEPEST_MAX = 10

export const NO_ACTORS: ActorsReport = { kinds: [], deepest: [], dead_letters: {} }

/** One report of all shards. A handler that was too fast for the list of one shard lacks what it did there. */
export function mergeActorReports(reports: readonly ActorsReport[]): ActorsReport {
  const kinds = new Map<string, ActorKindReport>()
  const deadLetters: Record<string, number> = {}
  for (const report of reports) {
    for (const row of report.kinds) {
      const known = kinds.get(row.kind)
      kinds.set(row.kind, known === undefined ? row : mergeKinds(known, row))
    }
    for (const [reason, count] of Object.entries(report.dead_letters)) {
      deadLetters[reason] = (deadLetters[reason] ?? 0) + count
    }
  }
  const deepest = reports.flatMap((report) => report.deepest)
  return {
    kinds: [...kinds.values()]
      .sort((a, b) => (a.kind < b.kind ? -1 : 1))
      .map((row) => ({ ...row, handlers: slowestHandlers(row.handlers) })),
    deepest: deepest.sort((a, b) => b.mailbox_depth - a.mailbox_depth).slice(0, DEEPEST_MAX),
    dead_letters: deadLetters,
  }
}

/** In the order of a report, and as many as it shows. */
export function slowestHandlers(handlers: readonly HandlerReport[]): HandlerReport[] {
  return handlers.toSorted((a, b) => b.mean_seconds - a.mean_seconds).slice(0, HANDLERS_MAX)
}

function mergeKinds(a: ActorKindReport, b: ActorKindReport): ActorKindReport {
  return {
    kind: a.kind,
    active: a.active + b.active,
    mailbox_depth: Math.max(a.mailbox_depth, b.mailbox_depth),
    messages: {
      ok: a.messages.ok + b.messages.ok,
      failed: a.messages.failed + b.messages.failed,
      refused: a.messages.refused + b.messages.refused,
      dead: a.messages.dead + b.messages.dead,
    },
    handlers: mergeHandlers([...a.handlers, ...b.handlers]),
  }
}

function mergeHandlers(handlers: readonly HandlerReport[]): HandlerReport[] {
  const merged = new Map<string, HandlerReport>()
  for (const row of handlers) {
    const known = merged.get(row.method)
    if (known === undefined) {
      merged.set(row.method, row)
      continue
    }
    const count = known.count + row.count
    const seconds = known.mean_seconds * known.count + row.mean_seconds * row.count
    merged.set(row.method, {
      method: row.method,
      count,
      mean_seconds: count === 0 ? 0 : seconds / count,
      max_seconds: Math.max(known.max_seconds, row.max_seconds),
    })
  }
  return [...merged.values()]
}
