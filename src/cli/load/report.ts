// The report of one run, as data (what `--json` prints) and as text. Pure.
import { formatDuration, formatNanoseconds } from '../../lib/units.ts'
import type { LatencySummary } from './histogram.ts'
import type { LoadPlan } from './plan.ts'
import { ERROR_KINDS, type ErrorKind, type TallyCounts } from './tally.ts'

/** A 99th percentile of the generator's own delay above this is worth a warning: latencies contain it. */
const SEND_LAG_P99_NS_MAX = 2e6
/** A generator thread that is busy for so much of the time measures itself. */
const GENERATOR_BUSY_MAX = 0.95
/** Details of errors that come from a rate limit: of chat over TCP, of HTTP. */
const LIMIT_REFUSALS = ['failed: rate limit exceeded', 'failed: HTTP 429']
const HUB_LIMIT_REFUSAL = 'failed: Rate limit exceeded'

export interface RunReport {
  readonly target: string
  /** No error, and everything came back. */
  readonly ok: boolean
  /** Why the run ended before its time. */
  readonly endedEarly?: string
  readonly load: LoadPlan['load']
  readonly sizeBytes: number
  readonly warmupMs: number
  readonly durationMs: number
  readonly threads: number
  readonly seed: number
  readonly connections: {
    readonly wanted: number
    readonly opened: number
    readonly failed: number
    readonly closedEarly: number
    readonly openingMs: number
  }
  /** Over the whole run, warm-up included: sent = answered + wrong + missing. */
  readonly messages: {
    readonly sent: number
    readonly answered: number
    readonly wrong: number
    readonly missing: number
    readonly unsent: number
  }
  /** Followers of the chat, and the messages of this run that reached them. */
  readonly subscribers?: { readonly wanted: number; readonly opened: number; readonly pushes: number }
  /** In a room: what all members got in the measured time. */
  readonly fanOut?: FanOutReport
  /** Answers that arrived in the measured time. */
  readonly throughput: { readonly measuredMs: number; readonly answers: number; readonly answersPerSecond: number }
  /** From the intended send time (open loop) or from the send (closed loop) to the answer. */
  readonly latency: LatencySummary
  readonly errors: TallyCounts & { readonly total: number }
  readonly generator: {
    /** Busy share of each thread. */
    readonly busy: readonly number[]
    readonly cpuUsPerMessage: number
    /** Open loop: how late messages were handed to the socket. */
    readonly sendLag?: LatencySummary
  }
  readonly server?: ServerReport
  readonly warnings: readonly string[]
}

export interface FanOutReport {
  /** Senders and listeners. */
  readonly members: { readonly wanted: number; readonly opened: number }
  readonly deliveries: number
  readonly deliveriesPerSecond: number
  /** Of content. */
  readonly bytesPerSecond: number
  /** As the latency of answers, of each delivery. */
  readonly latency: LatencySummary
}

export type ServerReport =
  | { readonly pid: number; readonly unavailable: string }
  | {
      readonly pid: number
      readonly cpuUsPerMessage: number
      readonly cores: number
      readonly threads: number
      readonly residentBytes: { readonly before: number; readonly connected: number; readonly after: number }
    }

/** What limits the meaning of the figures. */
export function warningsOf(report: Omit<RunReport, 'warnings'>): string[] {
  const warnings: string[] = []
  const { errors, generator, load, messages, throughput } = report
  const lag = generator.sendLag
  if (lag !== undefined && lag.p99Ns > SEND_LAG_P99_NS_MAX) {
    warnings.push(
      `the generator could not keep its schedule: 1 % of the messages were sent ${time(lag.p99Ns)} late or later; ` +
        'lower --rate, or raise --threads',
    )
  }
  if (messages.unsent > 0 && load.kind === 'open') {
    warnings.push(
      `${count(messages.unsent)} messages were due and not sent: ${count(load.ratePerSecond)}/s is too much`,
    )
  }
  const busiest = Math.max(0, ...generator.busy)
  if (load.kind === 'closed' && busiest > GENERATOR_BUSY_MAX) {
    warnings.push(
      `the generator was the limit: a thread of it was busy for ${percent(busiest)} of the time; raise --threads`,
    )
  }
  const limited = LIMIT_REFUSALS.reduce((sum, detail) => sum + (errors.details[detail] ?? 0), 0)
  if (limited > 0) {
    warnings.push(
      `the server limits its clients and refused ${count(limited)} requests: for a load test of chat, raise ` +
        'services.chat.rateLimit.rate (0 turns the limit off)',
    )
  }
  const hubLimited = errors.details[HUB_LIMIT_REFUSAL] ?? 0
  if (hubLimited > 0) {
    warnings.push(
      `the hub limits its sessions and refused ${count(hubLimited)} broadcasts: for a load test, set ` +
        'services.hub.rateLimits=broadcast=100000/100000',
    )
  }
  if (throughput.answers === 0) warnings.push('no answer arrived in the measured time')
  return warnings
}

export function formatReport(report: RunReport): string {
  const { load, latency, fanOut } = report
  const from = load.kind === 'open' ? 'intended send time' : 'send'
  const lines = [
    `=== Load Test Results: ${report.target} ===`,
    ...loadLines(report),
    '',
    ...latencyLines('Latency Statistics', `from the ${from}, ${count(latency.count)} messages`, latency),
  ]
  if (fanOut !== undefined) {
    const about = `from the ${from} to each member, ${count(fanOut.latency.count)} deliveries`
    lines.push('', ...latencyLines('Fan-out Latency', about, fanOut.latency))
  }
  const details = [...errorLines(report), ...serverLines(report), ...generatorLines(report)]
  const notes = report.warnings.map((warning) => `Warning: ${warning}`)
  return `${[...lines, '', ...details, ...notes].join('\n')}\n`
}

function loadLines(report: RunReport): string[] {
  const { connections, messages, throughput, load, subscribers, fanOut } = report
  const how =
    load.kind === 'open'
      ? `open loop, ${count(load.ratePerSecond)} msg/s${load.poisson ? ' (Poisson)' : ''}`
      : `closed loop, ${load.window} in flight each`
  const times = `${formatDuration(report.durationMs)} after ${formatDuration(report.warmupMs)} of warm-up`
  const lines = [
    `Load:        ${how}, ${report.sizeBytes} B, ${times}, seed ${report.seed}`,
    `Connections: ${count(connections.opened)} of ${count(connections.wanted)} opened in ${time(connections.openingMs * 1e6)}, ${count(connections.failed)} failed, ${count(connections.closedEarly)} closed early`,
    `Messages:    ${count(messages.sent)} sent, ${count(messages.answered)} answered, ${count(messages.wrong)} wrong, ${count(messages.missing)} missing`,
    `Throughput:  ${count(throughput.answersPerSecond)} msg/s (${count(throughput.answers)} answers in ${time(throughput.measuredMs * 1e6)})`,
  ]
  if (subscribers !== undefined) {
    lines.push(
      `Subscribers: ${count(subscribers.opened)} of ${count(subscribers.wanted)} opened, ${count(subscribers.pushes)} messages pushed`,
    )
  }
  if (fanOut !== undefined) {
    const { members, deliveries, deliveriesPerSecond, bytesPerSecond } = fanOut
    lines.push(
      `Fan-out:     ${count(deliveriesPerSecond)} deliveries/s, ${mebibytes(bytesPerSecond)}/s of content (${count(deliveries)} deliveries to ${count(members.opened)} of ${count(members.wanted)} members)`,
    )
  }
  if (report.endedEarly !== undefined) lines.push(`Ended early: ${report.endedEarly}`)
  return lines
}

function latencyLines(title: string, about: string, latency: LatencySummary): string[] {
  if (latency.count === 0) return [`${title}:`, '  no measurements']
  return [
    `${title} (${about}):`,
    ...(
      [
        ['Min', latency.minNs],
        ['Average', latency.meanNs],
        ['P50', latency.p50Ns],
        ['P95', latency.p95Ns],
        ['P99', latency.p99Ns],
        ['P99.9', latency.p999Ns],
        ['Max', latency.maxNs],
      ] as const
    ).map(([name, ns]) => `  ${`${name}:`.padEnd(8)} ${time(ns)}`),
  ]
}

function errorLines({ errors }: RunReport): string[] {
  const lines = [`Errors:      ${count(errors.total)}`]
  for (const [kind, text] of Object.entries(ERROR_KINDS)) {
    const times = errors.kinds[kind as ErrorKind]
    if (times === undefined) continue
    lines.push(`  ${kind}: ${count(times)} (${text})`)
    for (const [detail, often] of Object.entries(errors.details)) {
      if (detail.startsWith(`${kind}: `)) lines.push(`    ${detail.slice(kind.length + 2)}: ${count(often)}`)
    }
  }
  if (errors.details.other !== undefined) lines.push(`  further details: ${count(errors.details.other)}`)
  return lines
}

function serverLines({ server, connections, throughput, fanOut }: RunReport): string[] {
  if (server === undefined) return []
  if ('unavailable' in server) return [`Server:      process ${server.pid}: ${server.unavailable}`]
  const { before, connected, after } = server.residentBytes
  const opened = fanOut?.members.opened ?? connections.opened
  const each = opened === 0 ? '' : ` (${((connected - before) / 1024 / opened).toFixed(1)} KiB per connection)`
  // Nearly all a message costs in a room is what its deliveries cost.
  const perDelivery =
    fanOut === undefined || fanOut.deliveries === 0
      ? ''
      : ` (${((server.cpuUsPerMessage * throughput.answers) / fanOut.deliveries).toFixed(2)} per delivery)`
  return [
    `Server:      ${server.cpuUsPerMessage.toFixed(2)} µs of CPU per message${perDelivery}, ${server.cores.toFixed(2)} cores, ${server.threads} threads`,
    `             resident ${mebibytes(before)} before, ${mebibytes(connected)} connected${each}, ${mebibytes(after)} after`,
  ]
}

function generatorLines({ generator, threads }: RunReport): string[] {
  const { busy, cpuUsPerMessage, sendLag } = generator
  // An open loop polls between messages: its processor time says nothing, its delay everything.
  const how =
    sendLag === undefined
      ? `busy for ${percent(Math.max(0, ...busy))}, ${cpuUsPerMessage.toFixed(2)} µs of CPU per message`
      : `sent late by P50 ${time(sendLag.p50Ns)}, P99 ${time(sendLag.p99Ns)}, Max ${time(sendLag.maxNs)}`
  return [`Generator:   ${threads} ${threads === 1 ? 'thread' : 'threads'}, ${how}`]
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}

/** The histogram keeps three digits: more would be noise. */
function time(ns: number): string {
  return formatNanoseconds(Number(ns.toPrecision(4)))
}
