// Streams a client of rooms might send, from a seed: logins and messages, good and bad, then damaged, and cut anywhere.
// Nothing but `name` is a user name: what damage makes a login of must not be somebody else's.
import { encodeDescriptor, encodeFrame } from '../../src/services/rooms/descriptor.ts'
import type { Random } from '../simulation/random.ts'
import { CONTENT_BYTES_MAX, OBSERVER } from './rooms-oracle.ts'

const FRAMES_MAX = 8
const DAMAGES_MAX = 3
const SEGMENTS_MAX = 6
const FILE_NAMES = [
  'a.txt',
  '../../../tmp/evil',
  '/etc/passwd',
  'C:\\Windows\\x.ini',
  '..',
  '.',
  '',
  'a/',
  'NUL.',
  'CON.txt',
  '\u0000',
  'a\u0000b',
  'x"y:z\n',
  'ж'.repeat(127),
  'ж'.repeat(128),
  '{"filename":"../b.txt"}',
  '{"filename":"..\\\\c"}',
  '{"filename":"\\ud800"}',
  '{"filename":7}',
  '{"filename":null}',
  '{"to":"server","filename":"d.d"}',
  `{"to":"${OBSERVER}","filename":"e/f"}`,
  '[1]',
  '{',
]
const HEADERS = [
  '',
  '',
  `{"to":"${OBSERVER}"}`,
  '{"to":"no-body"}',
  '{"to":""}',
  '{"to":"a b\\"ж"}',
  'ignored',
  '{"to":1}',
]
const LOGINS = ['', 'a b', 'server', OBSERVER, '-'.repeat(33), '{"to":"a-b"}', 'ж', '{"to":', '-'.repeat(5_000)]
const ILL_FORMED = [[0x80], [0xc3], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff]]
const LENGTHS = [0n, 1n, 255n, 65_537n, 300_000n, BigInt(CONTENT_BYTES_MAX) + 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n]

/** `name` is nobody else's. */
export function streamFrom(random: Random, name: string): Buffer {
  const frames: Buffer[] = []
  for (let tries = random.below(3); tries > 0; tries--) frames.push(guestFrame(random))
  frames.push(encodeFrame(1, random.chance(0.5) ? name : JSON.stringify({ to: name })))
  for (let count = random.below(FRAMES_MAX); count > 0; count--) frames.push(memberFrame(random))
  if (random.chance(0.3)) frames.push(encodeFrame(2, 'good bye'))
  let stream: Buffer = Buffer.concat(frames)
  if (random.chance(0.6))
    for (let count = random.between(1, DAMAGES_MAX); count > 0; count--) stream = damaged(random, stream)
  return stream
}

/** The stream in pieces. */
export function segmentsOf(random: Random, stream: Buffer): Buffer[] {
  const cuts = Array.from({ length: random.below(SEGMENTS_MAX) }, () => random.below(stream.length + 1))
  const edges = [0, ...cuts.toSorted((a, b) => a - b), stream.length]
  return edges.slice(1).map((end, index) => stream.subarray(edges[index], end))
}

function guestFrame(random: Random): Buffer {
  if (random.chance(0.7)) return encodeFrame(1, random.pick(LOGINS), random.chance(0.1) ? '!'.repeat(65_536) : '')
  return encodeFrame(random.below(12), 'a header', random.chance(0.5) ? 'some content' : '')
}

function memberFrame(random: Random): Buffer {
  const type = random.chance(0.8) ? random.between(6, 9) : random.pick([0, 1, 3, 5, 10, 77, 0xffff])
  if (random.chance(0.05)) return encodeFrame(type, '-'.repeat(random.pick([4_096, 4_097, 0xffff])), '!')
  const header = type === 8 ? random.pick(FILE_NAMES) : random.pick(HEADERS)
  return encodeFrame(type, random.chance(0.05) ? Buffer.from(random.pick(ILL_FORMED)) : header, contentFrom(random))
}

function contentFrom(random: Random): Buffer {
  if (random.chance(0.03))
    return Buffer.alloc(random.pick([262_144, 262_145, 400_000]), random.pick(['!', 'ж', '\u{1F600}']))
  const text = Buffer.from(random.pick(['', '!', 'привет', '\u{1F600}', '~'.repeat(2_000)]))
  return random.chance(0.1) ? Buffer.concat([text, Buffer.from(random.pick(ILL_FORMED))]) : text
}

function damaged(random: Random, stream: Buffer): Buffer {
  const at = random.below(stream.length + 1)
  const bytes = Buffer.from(stream)
  switch (random.below(6)) {
    case 0:
      if (at < bytes.length) bytes[at] = random.below(256)
      return bytes
    case 1:
      return bytes.subarray(0, at)
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + random.between(1, 20)))])
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([random.below(256)]), bytes.subarray(at)])
    case 4:
      return Buffer.concat([
        bytes,
        encodeDescriptor(random.between(5, 10), random.pick([0, 3, 0xffff]), random.pick(LENGTHS)),
      ])
    default:
      // Bytes that lie about themselves, in front: the first frame is another one.
      return Buffer.concat([encodeDescriptor(random.below(10), random.below(40), BigInt(random.below(60))), bytes])
  }
}
