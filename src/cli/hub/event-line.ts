// An event of a hub as one line that says what its kind means. Pure.
import { printable } from '../chat-packet.ts'
import { bytesText, countText } from '../figure-text.ts'
import type { Frame } from './frame.ts'

const MEGABYTE = 1024 * 1024

export function eventLine({ channel, event_type: eventType, data }: Frame): string {
  const members = (typeof data === 'object' && data !== null ? data : {}) as Frame
  const kind = KINDS[String(channel)] ?? otherText
  return `[${printable(channel)}] ${printable(eventType)}: ${kind(members)}`
}

const KINDS: Readonly<Record<string, (data: Frame) => string>> = {
  metrics: ({ cpu_percent: cpu, memory_mb: memory, events_per_sec: rate, total_connections: connections }) =>
    [
      `cpu ${numberText(cpu)} %`,
      `memory ${typeof memory === 'number' ? bytesText(memory * MEGABYTE) : '–'}`,
      `${numberText(rate)} events/s`,
      `${typeof connections === 'number' ? countText(connections) : '–'} connections`,
    ].join(', '),
  signals: ({ event_id: id, priority, is_novel: isNovel, resonance_score: score }) =>
    `${printable(id)}, priority ${numberText(priority)}, resonance ${numberText(score)}${isNovel === true ? ', novel' : ''}`,
  actions: ({ action_type: type, status, execution_time_ms: tookMs, error }) =>
    `${printable(type)} ${printable(status)} after ${numberText(tookMs)} ms${error === null || error === undefined ? '' : `: ${printable(error)}`}`,
  logs: ({ level, service, message }) => `${printable(level)} ${printable(service)}: ${printable(message)}`,
  status: ({ status, uptime_seconds: seconds, version }) =>
    `${printable(status)}, up ${numberText(seconds)} s, version ${printable(version)}`,
  connections: ({ client_id: id, user_id: user, total_connections: total, reason }) =>
    `${printable(id)} (${user === null ? 'nobody' : printable(user)}), ${numberText(total)} open${reason === undefined ? '' : `, ${printable(reason)}`}`,
}

function otherText(data: Frame): string {
  return printable(JSON.stringify(data))
}

function numberText(value: unknown): string {
  return typeof value === 'number' ? String(Math.round(value * 100) / 100) : '–'
}
