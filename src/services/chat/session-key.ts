// By whom the connections and datagrams of chat are placed: the user or the chat that their first packet or path names.
// Pure and never throwing; runs on the acceptor.
import { pathSegmentsOf, requestTargetOf } from '../../net/head.ts'
import type { SessionKey } from '../../net/session-key.ts'
import { isInteger, membersOf } from './packet.ts'
import { PacketScanner } from './packet-scanner.ts'
import { positiveInteger } from './positive-integer.ts'

const NONE: SessionKey = { state: 'none' }
const MORE: SessionKey = { state: 'more' }

/** TCP: of the first packet. */
export function sessionOfStream(head: Uint8Array, start: number, end: number): SessionKey {
  const bytes = viewOf(head, start, end)
  // Whoever calls limits how much it collects.
  const scanner = new PacketScanner(bytes.length)
  const found = scanner.scan(bytes, 0)
  if (found === 'more') return MORE
  if (found !== 'packet') return NONE
  const members = membersOf(scanner.bytes, scanner.start, scanner.end)
  if (members === undefined) return NONE
  const { message, user_id, chat_id } = members
  const inner: Readonly<Record<string, unknown>> = isObject(message) ? message : {}
  return (
    keyOf('user', inner.sender_id) ??
    keyOf('user', user_id) ??
    keyOf('chat', chat_id) ??
    keyOf('chat', inner.chat_id) ??
    NONE
  )
}

/** UDP: a datagram is a packet, or nothing. */
export function sessionOfDatagram(head: Uint8Array, start: number, end: number): SessionKey {
  const bytes = viewOf(head, start, end)
  return keyOf('user', membersOf(bytes, 0, bytes.length)?.user_id) ?? NONE
}

/** HTTP: `/api/chats/{id}` and what is below it. */
export function sessionOfRequest(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const [api, chats, id] = pathSegmentsOf(found.target) ?? []
  const isChat = api === 'api' && chats === 'chats'
  return (isChat ? keyOf('chat', positiveInteger(id)) : undefined) ?? NONE
}

function keyOf(kind: 'user' | 'chat', id: unknown): SessionKey | undefined {
  return isInteger(id) ? { state: 'key', key: `${kind}:${id}` } : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function viewOf(bytes: Uint8Array, start: number, end: number): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
}
