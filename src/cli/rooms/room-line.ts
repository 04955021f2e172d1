// A line of the room, as data: text with tones, which a terminal shows as colours. Pure.
import { MESSAGE_TYPE } from '../../services/rooms/descriptor.ts'

export type Tone = 'own' | 'other' | 'move' | 'plain' | 'notice' | 'problem'

export interface Span {
  readonly text: string
  readonly tone: Tone
}

/** All text in it is safe to be shown. Only the last span may have several lines. */
export type RoomLine = readonly Span[]

/** What the server says of a message. */
export interface MessageHeader {
  readonly timeMs: number
  readonly from: string
  readonly filename: string | undefined
  readonly to: string | undefined
}

/** `nowMs` stands for a timestamp that is none. */
export function parseHeader(bytes: Buffer, nowMs: number): MessageHeader | undefined {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { timestamp, from, filename, to } = value as Readonly<Record<string, unknown>>
  if (typeof from !== 'string') return undefined
  const timeMs = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN
  return { timeMs: Number.isNaN(timeMs) ? nowMs : timeMs, from, filename: textOf(filename), to: textOf(to) }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

const KINDS: Readonly<Record<number, string>> = {
  [MESSAGE_TYPE.file]: 'file',
  [MESSAGE_TYPE.image]: 'image',
  [MESSAGE_TYPE.voice]: 'voice',
}

/** What is said between brackets and text has to be safe already. `own` is the name of this client. */
export interface Said {
  readonly timeMs: number
  readonly from: string
  readonly to: string | undefined
  readonly own: string
}

/** `<12:34:56> [ada]: text`; `(to bob) [ada]: text` when nobody else gets it. */
export function textLine(said: Said, text: string): RoomLine {
  return [...startOf(said), { text: `: ${text}`, tone: 'plain' }]
}

/** `<12:34:56> [ada] file: a.txt`. */
export function fileLine(said: Said, type: number, name: string): RoomLine {
  return [...startOf(said), { text: ` ${KINDS[type]}: ${name}`, tone: 'plain' }]
}

/** `<12:34:56> ada joined`. */
export function moveLine({ timeMs, from }: Said, moved: 'joined' | 'left'): RoomLine {
  return [
    { text: `${timeText(timeMs)} `, tone: 'plain' },
    { text: `${from} ${moved}`, tone: 'move' },
  ]
}

/** Of this client, not of the room. */
export function noticeLine(timeMs: number, text: string, tone: 'notice' | 'problem'): RoomLine {
  return [
    { text: `${timeText(timeMs)} `, tone: 'plain' },
    { text, tone },
  ]
}

export function plainText(line: RoomLine): string {
  return line.map(({ text }) => text).join('')
}

function startOf({ timeMs, from, to, own }: Said): Span[] {
  // In front of the name: what follows it could be part of a text.
  const privately = to === undefined ? '' : `(to ${to}) `
  return [
    { text: `${timeText(timeMs)} ${privately}`, tone: 'plain' },
    { text: `[${from}]`, tone: from === own ? 'own' : 'other' },
  ]
}

/** The hour of this machine's time zone. */
function timeText(timeMs: number): string {
  const time = new Date(timeMs)
  const parts = [time.getHours(), time.getMinutes(), time.getSeconds()]
  return `<${parts.map((part) => String(part).padStart(2, '0')).join(':')}>`
}
