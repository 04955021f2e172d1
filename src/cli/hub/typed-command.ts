// What a line means that is typed while `hub --interactive` runs. Pure.

export type TypedCommand =
  | { readonly kind: 'send'; readonly type: string; readonly members: object }
  | { readonly kind: 'quit' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'problem'; readonly text: string }

export const COMMANDS_TEXT = 'ping, subscribe a,b, unsubscribe a,b, subs, quit'
/** Longer lines are no commands. */
export const LINE_BYTES_MAX = 16 * 1024

export function parseTyped(line: string): TypedCommand {
  const [, word = '', rest = ''] = /^\s*(\S*)\s*(.*?)\s*$/s.exec(line) ?? []
  switch (word) {
    case '':
      return { kind: 'nothing' }
    case 'ping':
      return { kind: 'send', type: 'ping', members: {} }
    case 'subs':
      return { kind: 'send', type: 'get_subscriptions', members: {} }
    case 'quit':
    case 'exit':
      return { kind: 'quit' }
    case 'subscribe':
    case 'unsubscribe': {
      const channels = channelsOf(rest)
      if (channels.length === 0) return { kind: 'problem', text: `${word} needs channels: ${word} metrics,status` }
      return { kind: 'send', type: word, members: { channels } }
    }
    default:
      return { kind: 'problem', text: `there is only ${COMMANDS_TEXT}` }
  }
}

/** `a,b` or `a b`. */
export function channelsOf(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((name) => name !== '')
}
