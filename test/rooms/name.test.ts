import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeDescriptor, encodeFrame } from '../../src/services/rooms/descriptor.ts'
import { fileNameOf, fileNameOfBytes } from '../../src/services/rooms/file-name.ts'
import { encodeHeader, parseMessageHeader, RECIPIENT_UNITS_MAX } from '../../src/services/rooms/message-header.ts'
import { sessionOfStream } from '../../src/services/rooms/session-key.ts'
import { unknownRecipientText } from '../../src/services/rooms/text.ts'
import { userNameOf } from '../../src/services/rooms/user-name.ts'
import { Utf8Check } from '../../src/services/rooms/utf8-check.ts'

test('user name: raw or as JSON, 1 to 32 of the allowed characters, never the server', () => {
  const cases: [string | Buffer, string | undefined][] = [
    ['bob', 'bob'],
    ['{"to":"bob"}', 'bob'],
    [' {"to":"bob","more":1}', 'bob'],
    ['x'.repeat(32), 'x'.repeat(32)],
    ['x'.repeat(33), undefined],
    ['', undefined],
    ['{"to":""}', undefined],
    ['{"to":["bob"]}', undefined],
    ['"bob"', undefined],
    ['Server', undefined],
    ['server_', 'server_'],
    ['bob\n', undefined],
    ['böb', undefined],
    [Buffer.from([0x62, 0xff]), undefined],
    [Buffer.from('{"to":"a\xff"}', 'latin1'), undefined],
  ]
  for (const [header, name] of cases) assert.equal(userNameOf(Buffer.from(header as string)), name, String(header))
})

test('session key: of the first Login, once it is whole', () => {
  const login = encodeFrame(1, '{"to":"bob"}')
  for (let end = 0; end < login.length; end++)
    assert.equal(sessionOfStream(login, 0, end).state, 'more', `${end} bytes`)
  assert.deepEqual(sessionOfStream(login, 0, login.length), { state: 'key', key: 'room-user:bob' })
  const behind = Buffer.concat([Buffer.alloc(7, 1), login, Buffer.from('more')])
  assert.deepEqual(sessionOfStream(behind, 7, behind.length), { state: 'key', key: 'room-user:bob' })
  for (const other of [
    encodeFrame(7),
    encodeFrame(1, 'a b'),
    encodeDescriptor(1, 4_097, 0),
    encodeDescriptor(1, 3, 65_537),
  ])
    assert.equal(sessionOfStream(other, 0, other.length).state, 'none')
})

test('file name: the last part, nothing to escape, at most 255 bytes', () => {
  assert.equal(fileNameOf('a/b\\c.txt'), 'c.txt')
  assert.equal(fileNameOf('a"b:c\u0000\u001f\u007f\u0085d'), 'a_b_c____d')
  assert.equal(fileNameOf('x'.repeat(255))?.length, 255)
  for (const bad of ['', '.', '..', 'a/', '/..', 'x'.repeat(256), 'ж'.repeat(128), '\ud800'])
    assert.equal(fileNameOf(bad), undefined)
  assert.equal(fileNameOfBytes(Buffer.from([0xff])), undefined)
})

test('message header: an object with texts, or a raw name, or nothing', () => {
  const parse = (text: string, isFile = false): unknown => parseMessageHeader(Buffer.from(text), isFile)
  assert.deepEqual(parse('{"to":"bob","filename":"../x"}'), { to: 'bob', fileName: 'x' })
  assert.deepEqual(parse('{"to":null,"filename":null}', true), { to: undefined, fileName: undefined })
  assert.deepEqual(parse('{"to":1}', true), { to: undefined, fileName: '{_to__1}' })
  assert.deepEqual(parse('{"to":1}'), { to: undefined, fileName: undefined })
  assert.deepEqual(parse('[]', true), { to: undefined, fileName: '[]' })
  assert.deepEqual(parse('{"to":"a","to":"b"}'), { to: 'b', fileName: undefined })
  const long = { to: 'ü'.repeat(RECIPIENT_UNITS_MAX), fileName: undefined }
  assert.deepEqual(
    parse(`{"to":"${'ü'.repeat(2_000)}"}`),
    long,
    'nobody has such a name, and turns are not filled with it',
  )
  assert.deepEqual(parse('name', true), { to: undefined, fileName: 'name' })
  assert.deepEqual(JSON.parse(encodeHeader('now', 'a', 'ж\u2028.txt', 'b')), {
    timestamp: 'now',
    from: 'a',
    filename: 'ж\u2028.txt',
    to: 'b',
  })
})

test('unknown recipient: cut to 32 characters, others as an underscore', () => {
  assert.equal(unknownRecipientText('a-b'), 'User a_b is not in the room')
  assert.equal(unknownRecipientText('\u{1F600}'.repeat(40)), `User ${'_'.repeat(32)} is not in the room`)
})

test('utf8 check: cut anywhere, it says what the whole says', () => {
  const good = Buffer.from('aжы€\u{1F600}z')
  const bad = [
    [0x80],
    [0x61, 0xc3],
    [0xc3, 0x28],
    [0xed, 0xa0, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0xe2, 0x82],
    [0xc0, 0xaf],
  ]
  for (const bytes of [
    good,
    ...bad.map((tail) => Buffer.concat([good, Buffer.from(tail)])),
    ...bad.map((part) => Buffer.from([...part, 0x61])),
  ]) {
    const expected = !bytes.toString().includes('\ufffd')
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        let check = new Utf8Check()
        check.push(bytes.subarray(0, first))
        check = new Utf8Check(structuredClone(check.freeze()))
        check.push(bytes.subarray(first, second))
        check.push(bytes.subarray(second))
        assert.equal(check.valid, expected, `${bytes.toString('hex')} at ${first}, ${second}`)
      }
    }
  }
})
