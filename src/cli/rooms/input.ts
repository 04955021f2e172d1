// What a typed line asks for. Pure.
import { MESSAGE_TYPE } from '../../services/rooms/descriptor.ts'

export type FileType = typeof MESSAGE_TYPE.file | typeof MESSAGE_TYPE.image | typeof MESSAGE_TYPE.voice

/** `nothing`: an empty line. `problem`: it means nothing, and why. */
export type Intent =
  | { readonly kind: 'text'; readonly text: string; readonly to: string | undefined }
  | { readonly kind: 'file'; readonly type: FileType; readonly path: string }
  | { readonly kind: 'problem'; readonly text: string }
  | { readonly kind: 'nothing' }

/** Of one message: a line is typed, or is a line of a file that is not a message. */
export const TEXT_BYTES_MAX = 64 * 1024
/** As long as the name of a member can be. */
const NAME_CHARACTERS_MAX = 32

export const HELP = '/file PATH, /image PATH, /voice PATH, /msg NAME text'

const FILE_TYPES: Readonly<Record<string, FileType>> = {
  file: MESSAGE_TYPE.file,
  image: MESSAGE_TYPE.image,
  voice: MESSAGE_TYPE.voice,
}

/** `/word` is a command, known or not: a mistyped one is not told to the room. Anything else is text. */
export function parseInput(line: string): Intent {
  if (line.trim() === '') return { kind: 'nothing' }
  if (Buffer.byteLength(line) > TEXT_BYTES_MAX) return problem(`a message has at most ${TEXT_BYTES_MAX} bytes`)
  const [, command, rest = ''] = /^\/([\w-]+)(?:\s+(.*))?$/s.exec(line.trim()) ?? []
  if (command === undefined) return { kind: 'text', text: line, to: undefined }
  const type = Object.hasOwn(FILE_TYPES, command) ? FILE_TYPES[command] : undefined
  if (type !== undefined) return rest === '' ? problem(`/${command} PATH`) : { kind: 'file', type, path: rest }
  if (command === 'msg') return privateText(rest)
  return problem(`there is no /${command}, only ${HELP}`)
}

function privateText(rest: string): Intent {
  const [, to, text] = /^(\S+)\s+(.+)$/s.exec(rest) ?? []
  if (to === undefined || text === undefined) return problem('/msg NAME text')
  if (to.length > NAME_CHARACTERS_MAX) return problem(`a name has at most ${NAME_CHARACTERS_MAX} characters`)
  return { kind: 'text', text, to }
}

function problem(text: string): Intent {
  return { kind: 'problem', text }
}
