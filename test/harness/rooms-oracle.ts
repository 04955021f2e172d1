// What the rooms protocol answers to a stream of bytes that ends with a FIN, told from the whole stream at once and
// without any code of the server.
import { createHash } from 'node:crypto'

export const CONTENT_BYTES_MAX = 1024 * 1024
/** Somebody who is in the room all the time. */
export const OBSERVER = 'observer'

const LOGIN_CONTENT_BYTES_MAX = 65_536
const HEADER_BYTES_MAX = 4_096
const REFUSALS_MAX = 16

/** What the sender itself gets, in order; then the connection ends. */
export function answersTo(stream: Buffer): string[] {
  const answers: string[] = []
  let name: string | undefined
  let refusals = 0
  for (let at = 0; at + 16 <= stream.length; ) {
    const type = stream.readUInt16LE(at)
    const headerBytes = stream.readUInt16LE(at + 2)
    const contentBytes = stream.readBigUInt64LE(at + 8)
    if (name === undefined && contentBytes > LOGIN_CONTENT_BYTES_MAX) return [...answers, 'bare 5']
    if (name !== undefined && type === 2) return answers
    if (name !== undefined && contentBytes > CONTENT_BYTES_MAX)
      return [...answers, `server: Content is larger than ${CONTENT_BYTES_MAX} bytes`]
    const contentAt = at + 16 + headerBytes
    const end = contentAt + Number(contentBytes)
    if (end > stream.length) return answers
    const header = stream.subarray(at + 16, contentAt)
    at = end
    if (name === undefined) {
      const wanted = type === 1 ? nameIn(header) : undefined
      if (wanted === undefined || wanted === OBSERVER) {
        answers.push(`bare ${type !== 1 ? 5 : wanted === undefined ? 4 : 3}`)
        if (++refusals === REFUSALS_MAX) return answers
      } else {
        name = wanted
        answers.push('bare 1', `1 from ${name}`)
      }
    } else answers.push(answerTo(name, type, header, stream.subarray(contentAt, end)))
  }
  return answers
}

function answerTo(name: string, type: number, header: Buffer, content: Buffer): string {
  if (![6, 7, 8, 9].includes(type)) return `server: Message type ${type} is not accepted`
  if (header.length > HEADER_BYTES_MAX) return 'server: Header is longer than 4096 bytes'
  const members = membersOf(header)
  const raw = members === undefined && type === 8 ? textOf(header) : members?.filename
  const fileName = typeof raw === 'string' ? cleaned(raw) : undefined
  if (type === 8 && fileName === undefined) return 'server: File name is not acceptable'
  if (type === 7 && textOf(content) === undefined) return 'server: Text is not valid UTF-8'
  const to = typeof members?.to === 'string' && members.to !== '' ? members.to : undefined
  if (to !== undefined && to !== name && to !== OBSERVER) {
    const shown = [...to].slice(0, 32).map((one) => (/^\w$/.test(one) ? one : '_'))
    return `server: User ${shown.join('')} is not in the room`
  }
  return said(type, name, fileName, to, content)
}

/** A message as its members are told of it. */
export function said(
  type: number,
  from: string,
  fileName: string | undefined,
  to: string | undefined,
  content: Buffer | string,
): string {
  const digest = content.length === 0 ? '' : createHash('sha256').update(content).digest('hex')
  return `${type} from ${from} file ${fileName ?? '-'} to ${to ?? '-'} ${digest}`
}

function textOf(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined // not UTF-8
  }
}

/** Of a JSON object whose members are what they should be. */
function membersOf(header: Buffer): { to?: string | null; filename?: string | null } | undefined {
  const text = textOf(header)
  if (text === undefined) return undefined
  try {
    const value = JSON.parse(text) as unknown
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const { to = null, filename = null } = value as Record<string, unknown>
    const isText = (one: unknown): one is string | null => one === null || typeof one === 'string'
    return isText(to) && isText(filename) ? { to, filename } : undefined
  } catch {
    return undefined // no JSON
  }
}

function nameIn(header: Buffer): string | undefined {
  if (header.length > HEADER_BYTES_MAX) return undefined
  const text = textOf(header)
  let name = text
  try {
    const value = JSON.parse(text ?? '') as { to?: unknown } | null
    if (typeof value === 'object' && typeof value?.to === 'string') name = value.to
  } catch {
    // Then the text is the name.
  }
  return name !== undefined && /^\w{1,32}$/.test(name) && name.toLowerCase() !== 'server' ? name : undefined
}

function cleaned(raw: string): string | undefined {
  const name = (raw.split(/[/\\]/).at(-1) ?? '').replace(/[":\u0000-\u001f\u007f-\u009f]/g, '_')
  return name === '' || name === '.' || name === '..' || !name.isWellFormed() || Buffer.byteLength(name) > 255
    ? undefined
    : name
}
