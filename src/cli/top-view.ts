// What `polyloop top` shows, made of one runtime report: pure text, with colours or without.
import type { RuntimeReport, ShardReport } from '../observe/report.ts'
import { ageText, barText, bytesText, countText, secondsText, shareText } from './figure-text.ts'
import { moveLine } from './move-view.ts'
import { type Column, tableLines } from './table.ts'

export interface TopOptions {
  /** Colours and bars; else plain text. */
  readonly terminal: boolean
  readonly columns: number
  /** Lines there is room for; shards beyond are counted, not shown. */
  readonly rows: number
}

const BAR_WIDTH = 10
/** From here a loop is busy, and from here it has no time left. */
const BUSY = 0.6
const FULL = 0.85
const STYLE = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
type Style = keyof typeof STYLE

const STATE_STYLE: Readonly<Record<ShardReport['state'], Style>> = {
  ready: 'green',
  starting: 'cyan',
  draining: 'yellow',
  hung: 'red',
  dead: 'red',
}

const COLUMNS: readonly Column[] = [
  { title: 'SHARD', right: true },
  { title: 'STATE' },
  { title: 'CONNECTIONS', right: true },
  { title: 'IN/S', right: true },
  { title: 'OUT/S', right: true },
  { title: 'TURN P99', right: true },
  { title: 'BUSY', right: true },
  { title: 'RING', right: true },
  { title: 'ACTORS', right: true },
  { title: 'MAILBOX', right: true },
  { title: 'HEAP', right: true },
]

/** The lines of one picture, none wider than the terminal, never more than it has rows. */
export function topLines(report: RuntimeReport, options: TopOptions): string[] {
  const { terminal } = options
  const style = (text: string, name: Style): string => (terminal ? `\x1b[${STYLE[name]}m${text}\x1b[0m` : text)
  const title = `polyloop ${report.version}  ${report.readiness}  up ${ageText(report.uptime_seconds)}`
  const above = [
    style(cut(title, options.columns), 'bold'),
    cut(totalsLine(report), options.columns),
    ...report.services.map((service) => style(cut(serviceLine(service), options.columns), 'dim')),
    ...(report.migration.state === 'idle'
      ? []
      : [style(cut(moveLine(report.migration, terminal), options.columns), 'cyan')]),
    '',
  ]
  const [head = '', ...lanes] = tableLines(COLUMNS, report.shards.map(cellsOf))
  const room = Math.max(1, options.rows - above.length - 1)
  const shown = report.shards.length > room ? Math.max(0, room - 1) : report.shards.length
  const barred = terminal && options.columns >= head.length + 2 + BAR_WIDTH
  const body = report.shards.slice(0, shown).map((shard, index) => {
    const line = cut(lanes[index] ?? '', options.columns)
    const bar = barred ? `  ${style(barText(shard.eventloop_utilization, BAR_WIDTH), loadStyle(shard))}` : ''
    return line.replace(shard.state, style(shard.state, STATE_STYLE[shard.state])) + bar
  })
  const hidden = report.shards.length - shown
  return [
    ...above,
    style(cut(head, options.columns), 'dim'),
    ...body,
    ...(hidden === 0 ? [] : [style(cut(`and ${hidden} more: make the window higher`, options.columns), 'dim')]),
  ]
}

function cellsOf(shard: ShardReport): string[] {
  return [
    String(shard.id),
    shard.state,
    countText(shard.connections),
    countText(shard.messages_in_per_second),
    countText(shard.messages_out_per_second),
    secondsText(shard.turn_p99_seconds),
    shareText(shard.eventloop_utilization),
    bytesText(shard.ring_used_bytes + shard.ring_overflow_bytes),
    countText(shard.actors),
    countText(shard.mailbox_depth),
    `${bytesText(shard.heap_used_bytes)} ${shareText(heapShare(shard)).padStart(4)}`,
  ]
}

function loadStyle(shard: ShardReport): Style {
  if (shard.eventloop_utilization >= FULL) return 'red'
  return shard.eventloop_utilization >= BUSY ? 'yellow' : 'green'
}

function heapShare({ heap_used_bytes, heap_limit_bytes }: ShardReport): number {
  return heap_limit_bytes === 0 ? 0 : heap_used_bytes / heap_limit_bytes
}

// Rates by service: those of shards lack what retired ones did in their last second.
function totalsLine({ shards, services }: RuntimeReport): string {
  const sum = <T>(rows: readonly T[], figureOf: (row: T) => number): string =>
    countText(rows.reduce((total, row) => total + figureOf(row), 0))
  const count = new Set(shards.map(({ id }) => id)).size
  return [
    `${count} ${count === 1 ? 'shard' : 'shards'}`,
    `${sum(shards, (shard) => shard.connections)} connections`,
    `in ${sum(services, (service) => service.messages_in_per_second)}/s`,
    `out ${sum(services, (service) => service.messages_out_per_second)}/s`,
    `${sum(shards, (shard) => shard.actors)} actors`,
  ].join('  ')
}

function serviceLine(service: RuntimeReport['services'][number]): string {
  const { name, connections, opened_per_second, messages_in_per_second, messages_out_per_second } = service
  return `${name}: ${countText(connections)} connections, ${countText(opened_per_second)} new/s, in ${countText(messages_in_per_second)}/s, out ${countText(messages_out_per_second)}/s`
}

function cut(line: string, columns: number): string {
  return line.length > columns ? `${line.slice(0, Math.max(0, columns - 1))}…` : line
}
