// How frames of a hub are printed: for people, or as JSON. Pure.
import { printable } from '../chat-packet.ts'
import { type Frame, isEvent } from './frame.ts'

export const FORMATS = ['pretty', 'json', 'compact'] as const
export type Format = (typeof FORMATS)[number]

const STYLE = { channel: '36', type: '33', error: '31', key: '90', time: '90' } as const
export type Style = keyof typeof STYLE

/** On a terminal; elsewhere it is the text itself. */
export type Paint = (text: string, style: Style) => string

export const PLAIN: Paint = (text) => text
export const COLOURED: Paint = (text, style) => `\x1b[${STYLE[style]}m${text}\x1b[0m`

/** With its newline, and with an empty line for people. */
export function formatFrame(frame: Frame, format: Format, paint: Paint): string {
  switch (format) {
    case 'json':
      return `${escaped(JSON.stringify(frame, null, 2))}\n`
    case 'compact':
      return `${escaped(JSON.stringify(frame))}\n`
    case 'pretty':
      return isEvent(frame) ? eventText(frame, paint) : controlText(frame, paint)
  }
}

/** `[HH:MM:SS.mmm] text`, in local time. */
export function progressLine(text: string, wallMs: number, paint: Paint): string {
  const date = new Date(wallMs)
  const [hours, minutes, seconds] = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) =>
    String(part).padStart(2, '0'),
  )
  const time = `[${hours}:${minutes}:${seconds}.${String(date.getMilliseconds()).padStart(3, '0')}]`
  return `${paint(time, 'time')} ${text}\n`
}

function eventText({ channel, event_type: eventType, data }: Frame, paint: Paint): string {
  const isObject = typeof data === 'object' && data !== null
  const lines = Object.entries(isObject ? data : {}).map(
    ([key, value]) => `  ${paint(`${printable(key)}:`, 'key')} ${valueText(value)}\n`,
  )
  return `${paint(`[${printable(channel)}]`, 'channel')} ${printable(eventType)}\n${lines.join('')}\n`
}

function controlText(frame: Frame, paint: Paint): string {
  const head = paint(`[${printable(frame.type)}]`, frame.type === 'error' ? 'error' : 'type')
  return `${head} ${escaped(JSON.stringify(frame))}\n\n`
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? printable(value) : escaped(JSON.stringify(value) ?? '')
}

/** JSON escapes what is below U+0020 itself; on a terminal others do as much. The text stays the same JSON. */
function escaped(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
