// Bytes a client of chat might send, from a seed: good packets, packets with wrong members, and both damaged, cut, glued,
// swollen and buried in garbage.
import type { Random } from '../simulation/random.ts'
import { DATAGRAM_BYTES_MAX, PACKET_BYTES_MAX } from './chat-oracle.ts'

const GLUED_MAX = 150
const SEGMENTS_MAX = 6
const NESTED_MAX = 2_000
const GARBAGE_BYTES_MAX = 300
const SEPARATORS = ['', '', '\n', ' ', '\r\n', '\t \n']
const TYPES = ['SendMessage', 'GetMessages', 'Ack', 'Ping', 'Status', 'Typing', 'Subscribe', 'Unsubscribe']
/** Ids that exist, and some that do not. */
const IDS = [1, 1, 1, 1, 2, 999, 0, -7, 2 ** 53 - 1]
const ODD = [
  null,
  true,
  '',
  '1',
  1.5,
  1e300,
  [],
  [1],
  {},
  { a: null },
  '}',
  '"',
  '\\',
  '\u0000',
  '\ud800',
  'ж'.repeat(70),
]
const TEXTS = ['x', 'привет', '}{', '"\\"', 'a\nb', '\u{1F600}', 'y'.repeat(300), '']
/** At the limit; few, because pages and subscribers repeat them. */
const LONG_TEXTS = ['z'.repeat(4000), 'ж'.repeat(2000), 'z'.repeat(4001)]
const STATUSES = ['online', 'away', 'offline', 'ж'.repeat(32), 's'.repeat(64)]
const GARBAGE = [
  'hello\n',
  'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  '[1]\n',
  '}\n',
  '"text"\n',
  'PROXY TCP4\n',
  '\u0016\u0003\u0001\n',
  'null\n',
]
const ILL_FORMED = [[0x80], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff]]

/** One packet; about two in three are good. */
export function packetFrom(random: Random): string {
  const odd = random.chance(0.3) ? 0.25 : 0
  const value = <T>(good: T): unknown => (random.chance(odd) ? random.pick(ODD) : good)
  const id = (): unknown => value(random.pick(IDS))
  const type = random.pick(TYPES)
  const members: Record<string, unknown> = {
    packet_type: random.chance(odd / 3) ? random.pick(['ping', 'Nope', 7, null, 'ж'.repeat(70)]) : type,
  }
  switch (type) {
    case 'SendMessage':
      members.message = value({
        chat_id: id(),
        sender_id: id(),
        content: value(random.pick(random.chance(0.03) ? LONG_TEXTS : TEXTS)),
        message_type: value(random.pick([null, 'Text', 'Image', 'File', 'System'])),
        is_edited: value(random.pick([null, false, true])),
        created_at: random.pick(ODD),
      })
      break
    case 'GetMessages':
      Object.assign(members, {
        chat_id: id(),
        page: value(random.pick([1, 1, 2, 10_000, 0])),
        per_page: value(random.chance(0.05) ? null : random.pick([1, 3, 10])),
      })
      break
    case 'Status':
      Object.assign(members, { user_id: id(), status_data: value(random.pick(STATUSES)) })
      break
    case 'Typing':
      Object.assign(members, { chat_id: id(), user_id: id() })
      break
    case 'Subscribe':
    case 'Unsubscribe':
      members.chat_id = id()
      break
    default:
      break
  }
  // Members nobody uses.
  if (random.chance(0.2)) members[random.pick(['x', 'chat', '}', '__proto__'])] = random.pick(ODD)
  const entries = random.chance(odd) ? random.some(Object.entries(members), 0, 4) : Object.entries(members)
  return JSON.stringify(Object.fromEntries(entries), undefined, random.pick(['', '', '', ' ', '\n']))
}

/** What one connection sends. */
export function streamFrom(random: Random): Buffer {
  const packets = (least: number, most: number): Buffer =>
    Buffer.from(
      Array.from({ length: random.between(least, most) }, () => packetFrom(random) + random.pick(SEPARATORS)).join(''),
    )
  switch (random.weighed([8, 8, 6, 2, 3, 3, 3, 2, 1])) {
    case 0:
      return packets(1, 5)
    case 1:
      return damaged(random, packets(1, 3))
    case 2: {
      const whole = packets(1, 3)
      return whole.subarray(0, random.below(whole.length + 1))
    }
    case 3:
      return packets(100, GLUED_MAX)
    case 4:
      return nested(random)
    case 5: {
      const packet = Buffer.from(packetFrom(random))
      const at = random.below(packet.length)
      return Buffer.concat([
        packet.subarray(0, at),
        Buffer.from(random.pick(ILL_FORMED)),
        packet.subarray(at),
        packets(0, 2),
      ])
    }
    case 6:
      return Buffer.concat([
        packets(0, 2),
        Buffer.from(random.pick(GARBAGE)),
        packets(0, 2),
        Buffer.from(random.pick(GARBAGE)),
        packets(0, 1),
      ])
    case 7:
      return Buffer.from(Array.from({ length: random.below(GARBAGE_BYTES_MAX) }, () => random.below(256)))
    default:
      return Buffer.concat([packets(0, 1), swollen(random), packets(0, 2)])
  }
}

/** The stream in the pieces it is written in. */
export function segmentsOf(random: Random, stream: Buffer): Buffer[] {
  const cuts = Array.from({ length: random.below(SEGMENTS_MAX) }, () => random.below(stream.length + 1))
  const ends = [...new Set([...cuts, stream.length])].sort((a, b) => a - b)
  return ends.map((end, index) => stream.subarray(ends[index - 1] ?? 0, end))
}

export function datagramFrom(random: Random): Buffer {
  switch (random.weighed([6, 3, 2, 1])) {
    case 0:
      return Buffer.from(packetFrom(random) + random.pick(SEPARATORS))
    case 1:
      return damaged(random, Buffer.from(packetFrom(random)))
    case 2:
      return Buffer.from(Array.from({ length: random.below(GARBAGE_BYTES_MAX) }, () => random.below(256)))
    default:
      return Buffer.from(paddedTo(DATAGRAM_BYTES_MAX + random.between(-1, 2)))
  }
}

/** A good Ping of exactly so many bytes. */
export function paddedTo(bytes: number): string {
  const bare = '{"packet_type":"Ping","x":""}'
  return bare.replace('""', `"${'x'.repeat(bytes - bare.length)}"`)
}

export function damaged(random: Random, bytes: Buffer): Buffer {
  let result = Buffer.from(bytes)
  for (let times = random.between(1, 3); times > 0; times--) {
    const at = random.below(result.length + 1)
    const behind = Math.min(result.length, at + random.between(1, 8))
    const parts = random.pick([
      [result.subarray(0, at), Buffer.of(random.below(256)), result.subarray(at)],
      [result.subarray(0, at), Buffer.from(random.pick([...'{}[]":,\\\n'])), result.subarray(at)],
      [result.subarray(0, at), result.subarray(behind)],
      [result.subarray(0, behind), result.subarray(at)],
      [result.subarray(0, at), Buffer.of(random.below(256)), result.subarray(at + 1)],
    ])
    result = Buffer.concat(parts)
  }
  return result
}

function nested(random: Random): Buffer {
  const depth = random.between(2, NESTED_MAX)
  const [open, close] = random.pick([
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"":', '}]'],
  ] as const)
  const closers = random.chance(0.7) ? depth : random.below(depth)
  return Buffer.from(`{"packet_type":"Ping","x":${open.repeat(depth)}1${close.repeat(closers)}}`)
}

/** About the largest packet there may be. */
function swollen(random: Random): Buffer {
  const bytes = PACKET_BYTES_MAX + random.between(-2, 2)
  const text = paddedTo(bytes)
  switch (random.below(3)) {
    case 0:
      return Buffer.from(text)
    case 1:
      return Buffer.from(`${text.slice(0, -1)} `) // it does not end here
    default:
      return Buffer.alloc(PACKET_BYTES_MAX + random.pick([-1_000, 1_000]), 'g')
  }
}
