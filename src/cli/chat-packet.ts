// What the tools of chat say, and how they show what the server says. Pure.

/** One packet of the protocol, or an answer: an object with `packet_type` or without. */
export type ChatPacket = Readonly<Record<string, unknown>>

/** A line of the server, if it is a JSON object. */
export function parsePacket(line: string): ChatPacket | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as ChatPacket) : undefined
  } catch {
    return undefined
  }
}

/** Text of somebody else on a terminal: control characters are shown, not obeyed. */
export function printable(text: unknown): string {
  return String(text).replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `#124 2026-01-02 03:04:06 user 2: Hi`, with the type when it is not Text. */
export function messageLine(message: unknown): string {
  if (typeof message !== 'object' || message === null) return printable(JSON.stringify(message))
  const { id, created_at, sender_id, message_type, content } = message as ChatPacket
  const type = message_type === 'Text' ? '' : ` [${printable(message_type)}]`
  return `#${printable(id)} ${printable(created_at)} user ${printable(sender_id)}${type}: ${printable(content)}`
}

/** A line that came without being asked for, as people read it; unknown ones as they are. */
export function pushLine(line: string): string {
  const push = parsePacket(line)
  switch (push?.packet_type) {
    case 'Message':
      return messageLine(push.message)
    case 'Typing':
      return `user ${printable(push.user_id)} is typing in chat ${printable(push.chat_id)}`
    case 'Status':
      return `user ${printable(push.user_id)} is ${printable(push.status_data)}`
    default:
      return printable(line)
  }
}
