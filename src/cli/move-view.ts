// A reload, or whatever else moves connections, as one line. Pure.
import type { MigrationReport } from '../observe/report.ts'
import { barText, countText, shareText } from './figure-text.ts'

const BAR_WIDTH = 20

const WORDS = {
  reload: 'reload',
  shards: 'new number of shards',
  rebalance: 'rebalance',
  replace: 'replacement of a shard',
} as const satisfies Record<NonNullable<MigrationReport['kind']>, string>

/** How much of what has to move has moved, 0 to 1. */
export function movedShare({ state, moved, remaining, failed }: MigrationReport): number {
  const all = moved + failed + remaining
  if (all > 0) return (moved + failed) / all
  return state === 'moving' ? 0 : 1
}

/** `reload: [█████·····]  50%  500 of 1,000 connections moved`. */
export function moveLine(migration: MigrationReport, bar: boolean): string {
  const { kind, moved, remaining, lingering, failed, error } = migration
  const share = movedShare(migration)
  const parts = [
    ...(bar ? [`[${barText(share, BAR_WIDTH)}]`] : []),
    shareText(share).padStart(4),
    `${countText(moved)} of ${countText(moved + failed + remaining)} connections moved`,
    ...(failed === 0 ? [] : [`${countText(failed)} failed`]),
    ...(lingering === 0 ? [] : [`${countText(lingering)} lingering`]),
    ...(error === undefined ? [] : [error]),
  ]
  return `${kind === null ? 'move' : WORDS[kind]}: ${parts.join('  ')}`
}
