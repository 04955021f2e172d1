// Text of somebody else on a terminal: what would steer it is shown instead of obeyed. Pure.
import { printable } from '../chat-packet.ts'

/** Embeddings, overrides and isolates turn the text around them: a line could look like another one. */
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
/** Goes in front of all but the first line of a text: no text can begin a line of the room. */
const CONTINUATION = '    '
const DECODER = new TextDecoder()

/** One line. */
export function safeText(text: string): string {
  return printable(text.replaceAll('\t', '  ')).replace(
    DIRECTION,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The lines of a message, joined by `\n`. Bytes that are no UTF-8 become U+FFFD. */
export function safeLines(text: Uint8Array): string {
  const [first = '', ...more] = DECODER.decode(text).trimEnd().split(/\r?\n/)
  return [safeText(first), ...more.map((line) => CONTINUATION + safeText(line))].join('\n')
}
