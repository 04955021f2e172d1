// The chat rows of the conformance checklist over TCP (C1 to C4, C6 to C8, C10 to C13, C17): framing, replies in order,
// and every row of the error table that leaves the connection open. Limits and timeouts are in chat-limit.test.ts.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  ackId,
  CHAT_UNKNOWN,
  CONTENT_EMPTY,
  CONTENT_TOO_LONG,
  DONE,
  FOREIGN_KEY,
  failure,
  historyOf,
  messagePacket,
  PING,
  PONG,
  packet,
  subscribed,
} from '../harness/chat-packet.ts'
import { ChatServer } from '../harness/chat-server.ts'
import { type LineClient, openSocket, readAll } from '../harness/line-client.ts'
import { waitUntil } from '../harness/wait.ts'

const DATE = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/
const SUBSCRIPTIONS_MAX = 256

let chat: ChatServer
let client: LineClient

before(async () => {
  chat = await ChatServer.start()
  client = await chat.open()
})

after(async () => {
  client[Symbol.dispose]()
  await chat[Symbol.asyncDispose]()
  assert.deepEqual(chat.server.stray, [])
})

/** Sends all and half-closes; answers all that comes back. */
async function exchange(...segments: readonly (string | Buffer)[]): Promise<string> {
  const socket = await openSocket({ port: chat.server.port('chat.tcp') })
  const answer = readAll(socket)
  for (const segment of segments) await new Promise((resolve) => socket.write(segment, resolve))
  socket.end()
  const text = (await answer).toString()
  socket.destroy()
  return text
}

/** A message with `members` in place of the usual ones; undefined leaves one out. */
function message(members: Readonly<Record<string, unknown>>): string {
  return packet('SendMessage', { message: { chat_id: 1, sender_id: 1, content: 'x', ...members } })
}

async function assertInvalid(request: string, member: string): Promise<void> {
  const line = await client.ask(request)
  const { error, ...rest } = JSON.parse(line ?? 'null') as { readonly error: string }
  assert.deepEqual(rest, { message_id: 0, success: false })
  assert.match(error, new RegExp(`^invalid packet: (message\\.)?${member} \\S.*$`), request)
}

test('chat: SendMessage without delimiter, id, is_edited and dates is acked, and with all of them null too (C1)', async () => {
  client.socket.write('{"packet_type":"SendMessage","message":{"chat_id":1,"sender_id":1,"content":"Hello!"}}')
  const first = ackId(await client.next())
  const whole = { id: null, message_type: null, created_at: null, is_edited: null, edited_at: null }
  const unused = { chat_id: null, page: null, per_page: null, user_id: null, status_data: null }
  client.socket.write(
    packet('SendMessage', { message: { chat_id: 1, sender_id: 1, content: 'all', ...whole }, ...unused }),
  )
  const second = ackId(await client.next())
  assert.ok(second > first)
  const ignored = { id: 'any', created_at: [1], edited_at: {}, is_edited: true, other: 1 }
  const odd = { chat_id: 'x', page: 0, user_id: [], status_data: 7, more: {} }
  const third = ackId(
    await client.ask(
      packet('SendMessage', { message: { chat_id: 1, sender_id: 1, content: 'odd', ...ignored }, ...odd }),
    ),
  )
  assert.ok(third > second)
  const stored = (await historyOf(client, 1)).filter(({ id }) => id >= first)
  for (const { created_at } of stored) assert.match(created_at, DATE)
  assert.deepEqual(
    stored.map(({ created_at, ...rest }) => rest),
    [
      [first, 'Hello!'],
      [second, 'all'],
      [third, 'odd'],
    ].map(([id, content]) => ({
      id,
      chat_id: 1,
      sender_id: 1,
      content,
      message_type: 'Text',
      is_edited: false,
      edited_at: null,
    })),
  )
})

test('chat: a packet byte by byte gets one ACK, two in a segment two, however they are cut (C2)', async () => {
  const request = Buffer.from(messagePacket('по байту {"}'))
  for (const byte of request) {
    client.socket.write(Buffer.of(byte))
    // Once the kernel has it, the next byte is another segment: Nagle is off.
    await waitUntil('the segment left', () => client.socket.writableLength === 0)
  }
  const first = ackId(await client.next())
  client.socket.write(messagePacket('a') + messagePacket('b'))
  const [second, third] = [ackId(await client.next()), ackId(await client.next())]
  assert.ok(first < second && second < third)
  const text = Buffer.from(` \t\r\n${PING}\r\n${messagePacket('ж"\\')}`)
  for (let cut = 1; cut < text.length; cut++) {
    client.socket.write(text.subarray(0, cut))
    await new Promise((resolve) => setImmediate(resolve))
    client.socket.write(text.subarray(cut))
    assert.equal(await client.next(), PONG, `cut at ${cut}`)
    ackId(await client.next())
  }
})

test('chat: braces, quotes and backslashes in strings do not end a packet (C3)', async () => {
  const contents = ['}', '{', '"}', '\\"}', '\\', '\\\\"', '{"packet_type":"Ping"}', '"}}{{"', '\n}\r\n', '\u2028}']
  const ids: number[] = []
  for (const content of contents) ids.push(ackId(await client.ask(messagePacket(content))))
  const stored = new Map((await historyOf(client, 1)).map(({ id, content }) => [id, content]))
  assert.deepEqual(
    ids.map((id) => stored.get(id)),
    contents,
  )
  // The same in escapes that JSON.stringify would not write, and in a member's name.
  ackId(await client.ask(message({}).replace('"x"', '"\\u007d\\u0022\\/"')))
  assert.equal(await client.ask('{"}\\"{":1,"packet_type":"Ping"}'), PONG)
})

test('chat: Ping gets the 7 bytes "pong" and a newline, Ack gets nothing (C4)', async () => {
  assert.equal(await exchange(PING), '"pong"\n')
  assert.equal(await exchange(packet('Ack')), '')
  assert.equal(await exchange(packet('Ack', { message: 'any' }), PING, packet('Ack')), '"pong"\n')
})

test('chat: {bad} and hello get an error line each, and the next packet is acked (C6)', async () => {
  assert.equal(await client.ask('{bad}'), failure('invalid JSON'))
  ackId(await client.ask(messagePacket('after bad')))
  assert.equal(await client.ask('hello'), failure('expected a JSON object'))
  ackId(await client.ask(messagePacket('after hello')))
})

test('chat: bytes that start no object get one line at once, and all through the newline is discarded', async () => {
  for (const garbage of ['[1]', '}', '"text"', 'null', '\uFEFF', '\0', 'GET / HTTP/1.1\r']) {
    // What stands on the same line is discarded, objects too.
    client.socket.write(`${garbage} ${PING}`)
    assert.equal(await client.next(), failure('expected a JSON object'), garbage)
    client.socket.write(`${PING} more\n`)
    assert.equal(await client.ask(PING), PONG, garbage)
  }
  client.socket.write(Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(`\n${PING}x\n`)]))
  assert.equal(await client.next(), failure('expected a JSON object'))
  assert.equal(await client.next(), PONG)
  assert.equal(await client.next(), failure('expected a JSON object'))
})

test('chat: an object that is not JSON, or not UTF-8, is "invalid JSON"', async () => {
  const notJson = ['{,}', "{'a':1}", '{"a":01}', '{"a":"\t"}', '{"a":nul}', '{"a" 1}', '{{}}']
  for (const text of notJson) assert.equal(await client.ask(text), failure('invalid JSON'), text)
  const illFormed = [
    [0x80], // a lone continuation
    [0xc3], // cut short
    [0xc0, 0xaf], // overlong
    [0xed, 0xa0, 0x80], // a surrogate
    [0xf4, 0x90, 0x80, 0x80], // beyond U+10FFFF
    [0xff],
  ]
  const [head = '', tail = ''] = messagePacket('|').split('|')
  for (const bytes of illFormed) {
    client.socket.write(Buffer.concat([Buffer.from(head), Buffer.from(bytes), Buffer.from(tail)]))
    assert.equal(await client.next(), failure('invalid JSON'), bytes.join())
  }
  ackId(await client.ask(messagePacket('\u{10FFFF} ж')))
})

test('chat: content of 4000 bytes passes, 4001 and 0 are refused (C7)', async () => {
  const longest = ['x'.repeat(4000), 'ж'.repeat(2000), '\u{1F600}'.repeat(1000)]
  for (const content of longest) {
    const id = ackId(await client.ask(messagePacket(content)))
    assert.equal((await historyOf(client, 1)).find((one) => one.id === id)?.content, content)
    assert.equal(await client.ask(messagePacket(`${content}y`)), failure(CONTENT_TOO_LONG))
  }
  assert.equal(await client.ask(messagePacket('')), failure(CONTENT_EMPTY))
})

test('chat: an unknown chat or sender is refused with the words of the database (C8)', async () => {
  for (const [chatId, senderId] of [
    [999, 1],
    [1, 999],
    [999, 999],
    [0, 1],
    [-1, 1],
    [1, 0],
    [2 ** 53 - 1, 1],
    [1, -(2 ** 53) + 1],
  ] as const)
    assert.equal(await client.ask(messagePacket('x', chatId, senderId)), failure(FOREIGN_KEY), `${chatId} ${senderId}`)
  assert.equal(await client.ask(packet('Subscribe', { chat_id: 999 })), failure(CHAT_UNKNOWN))
  assert.equal(await client.ask(packet('Typing', { chat_id: 999, user_id: 1 })), failure(CHAT_UNKNOWN))
  assert.equal(await client.ask(packet('Typing', { chat_id: 1, user_id: 999 })), failure(FOREIGN_KEY))
  assert.equal(await client.ask(packet('Status', { user_id: 999, status_data: 'online' })), failure(FOREIGN_KEY))
})

test('chat: members that are missing, of a wrong type or out of range are named', async () => {
  for (const request of ['{}', '{"packet_type":null}', '{"packet_type":1}', '{"packet_type":["Ping"]}'])
    await assertInvalid(request, 'packet_type')
  for (const value of [undefined, null, 1, 'x', [], true])
    await assertInvalid(packet('SendMessage', { message: value }), 'message')
  const notInt = [undefined, null, '1', 1.5, true, [], {}, 2 ** 53]
  for (const value of notInt) {
    await assertInvalid(message({ chat_id: value }), 'chat_id')
    await assertInvalid(message({ sender_id: value }), 'sender_id')
    for (const type of ['GetMessages', 'Subscribe', 'Unsubscribe'])
      await assertInvalid(packet(type, { chat_id: value }), 'chat_id')
    await assertInvalid(packet('Typing', { chat_id: value, user_id: 1 }), 'chat_id')
    await assertInvalid(packet('Typing', { chat_id: 1, user_id: value }), 'user_id')
    await assertInvalid(packet('Status', { user_id: value, status_data: 'online' }), 'user_id')
  }
  for (const value of [undefined, null, 1, {}, ['x']]) await assertInvalid(message({ content: value }), 'content')
  for (const value of ['text', 'Video', '', 1, {}])
    await assertInvalid(message({ message_type: value }), 'message_type')
  for (const value of ['true', 1, {}]) await assertInvalid(message({ is_edited: value }), 'is_edited')
  for (const value of [0, -1, 1.5, '1', true, {}]) {
    await assertInvalid(packet('GetMessages', { chat_id: 1, page: value }), 'page')
    await assertInvalid(packet('GetMessages', { chat_id: 1, per_page: value }), 'per_page')
  }
  for (const value of [undefined, null, '', 'x'.repeat(65), 'ж'.repeat(33), 1])
    await assertInvalid(packet('Status', { user_id: 1, status_data: value }), 'status_data')
  for (const value of ['x', 'x'.repeat(64), 'ж'.repeat(32)])
    assert.equal(await client.ask(packet('Status', { user_id: 1, status_data: value })), DONE)
  // A number is an integer by its value, and of duplicate members the last one counts.
  assert.equal(await client.ask('{"packet_type":"Status","user_id":1.0e0,"status_data":"offline"}'), DONE)
  assert.equal(await client.ask('{"packet_type":"SendMessage","packet_type":"Ping"}'), PONG)
})

test('chat: an unknown packet_type is repeated, at most 64 characters of it', async () => {
  for (const type of ['ping', 'PING', 'SendMessage ', 'Message', ''])
    assert.equal(await client.ask(packet(type)), failure(`unknown packet_type: ${type}`))
  assert.equal(await client.ask(packet('x'.repeat(64))), failure(`unknown packet_type: ${'x'.repeat(64)}`))
  assert.equal(await client.ask(packet('ж'.repeat(65))), failure(`unknown packet_type: ${'ж'.repeat(64)}`))
  assert.equal(await client.ask(packet('a"\\\n')), failure('unknown packet_type: a"\\\n'))
})

test('chat: GetMessages pages from the oldest, and unknown chats and late pages are empty (C10, C11)', async () => {
  const chatId = await chat.addChat('pages')
  const page = async (members: object): Promise<Record<string, unknown>> => {
    const line = await client.ask(packet('GetMessages', { chat_id: chatId, ...members }))
    return JSON.parse(line ?? 'null') as Record<string, unknown>
  }
  const empty = (id: number, number: number, size: number, total: number): string =>
    `{"packet_type":"GetMessages","chat_id":${id},"page":${number},"per_page":${size},"messages":[],"total":${total},"total_pages":${Math.ceil(total / size)},"success":true,"error":null}`
  assert.equal(await client.ask(packet('GetMessages', { chat_id: chatId })), empty(chatId, 1, 50, 0))
  assert.equal(await client.ask(packet('GetMessages', { chat_id: 999 })), empty(999, 1, 50, 0))
  assert.equal(await client.ask(packet('GetMessages', { chat_id: -1, page: 7, per_page: 9 })), empty(-1, 7, 9, 0))
  const ids: number[] = []
  for (let index = 1; index <= 5; index++) ids.push(ackId(await client.ask(messagePacket(`${index}`, chatId))))
  const second = await page({ page: 2, per_page: 2 })
  assert.deepEqual(
    (second.messages as { id: number; content: string }[]).map(({ id, content }) => [id, content]),
    [
      [ids[2], '3'],
      [ids[3], '4'],
    ],
  )
  assert.deepEqual([second.page, second.per_page, second.total, second.total_pages], [2, 2, 5, 3])
  const http = await chat.request(`/api/chats/${chatId}/messages?page=2&per_page=2`)
  const { data, pagination } = JSON.parse(http.text) as { data: { id: number }[]; pagination: object }
  assert.deepEqual(
    data.map(({ id }) => id),
    ids.slice(2, 4),
  )
  assert.deepEqual(pagination, { page: 2, per_page: 2, total: 5, total_pages: 3 })
  assert.equal(
    await client.ask(packet('GetMessages', { chat_id: chatId, page: 4, per_page: 2 })),
    empty(chatId, 4, 2, 5),
  )
  assert.equal(
    await client.ask(packet('GetMessages', { chat_id: chatId, page: 2 ** 53 - 1 })),
    empty(chatId, 2 ** 53 - 1, 50, 5),
  )
  const served = await page({ per_page: 1000 })
  assert.equal(served.per_page, 200)
  const nulls = await page({ page: null, per_page: null })
  assert.deepEqual([nulls.page, nulls.per_page, nulls.total_pages], [1, 50, 1])
  // The whole line, byte for byte.
  const line = await client.ask(packet('GetMessages', { chat_id: chatId, page: 1, per_page: 1 }))
  const [one] = (JSON.parse(line ?? 'null') as { messages: { created_at: string }[] }).messages
  assert.match(one?.created_at ?? '', DATE)
  assert.equal(
    line,
    `{"packet_type":"GetMessages","chat_id":${chatId},"page":1,"per_page":1,"messages":[{"id":${ids[0]},"chat_id":${chatId},"sender_id":1,"content":"1","message_type":"Text","created_at":"${one?.created_at}","is_edited":false,"edited_at":null}],"total":5,"total_pages":5,"success":true,"error":null}`,
  )
})

test('chat: message types are Pascal case on TCP and lower case on HTTP (C17)', async () => {
  const chatId = await chat.addChat('types')
  const types = ['Text', 'Image', 'File', 'System']
  for (const type of types) ackId(await client.ask(message({ chat_id: chatId, message_type: type })))
  assert.deepEqual(
    (await historyOf(client, chatId)).map(({ message_type }) => message_type),
    types,
  )
  const { text } = await chat.request(`/api/chats/${chatId}/messages`)
  const { data } = JSON.parse(text) as { data: { message_type: string }[] }
  assert.deepEqual(
    data.map(({ message_type }) => message_type),
    types.map((type) => type.toLowerCase()),
  )
})

test('chat: a half-close right behind a packet still gets the reply, inside one an error line (C12)', async () => {
  assert.match(await exchange(messagePacket('last words')), /^\{"message_id":\d+,"success":true,"error":null\}\n$/)
  assert.equal(await exchange(PING + PING, ' \r\n'), '"pong"\n"pong"\n')
  assert.equal(await exchange(''), '')
  assert.equal(await exchange(PING, '{"packet_type":"Pi'), `"pong"\n${failure('incomplete packet')}\n`)
  assert.equal(await exchange('{'), `${failure('incomplete packet')}\n`)
  // Subscribed or not.
  assert.equal(await exchange(packet('Subscribe', { chat_id: 1 })), `${subscribed(1)}\n`)
})

test('chat: 400 pipelined packets of mixed types get their replies in order (C13)', async () => {
  const chatId = await chat.addChat('pipeline')
  using own = await chat.open()
  const requests: string[] = []
  const expected: (string | RegExp)[] = []
  const add = (request: string, ...lines: (string | RegExp)[]): void => {
    requests.push(request)
    expected.push(...lines)
  }
  const ack = /^\{"message_id":[1-9]\d*,"success":true,"error":null\}$/
  for (let round = 0; round < 40; round++) {
    add(PING, PONG)
    add(messagePacket(`m${round}`, chatId), ack)
    add(packet('Status', { user_id: 1, status_data: `s${round % 2}` }), DONE)
    add(packet('Ack'))
    add(packet('Typing', { chat_id: chatId, user_id: 1 }), DONE)
    // What is answered at once must not overtake what waits for the disk; a page shows what was acked before it.
    add(
      packet('GetMessages', { chat_id: chatId, page: round + 1, per_page: 1 }),
      new RegExp(`"content":"m${round}".*"total":${round + 1},`),
    )
    add(messagePacket('x', 999), failure(FOREIGN_KEY))
    add('{bad}', failure('invalid JSON'))
    add(packet('Nonsense'), failure('unknown packet_type: Nonsense'))
    add(packet('Unsubscribe', { chat_id: chatId }), subscribed(chatId, 'Unsubscribe'))
    add('garbage\n', failure('expected a JSON object'))
  }
  own.socket.write(requests.join(''))
  for (const [index, want] of expected.entries()) {
    const line = (await own.next()) ?? 'the end'
    if (typeof want === 'string') assert.equal(line, want, `reply ${index}`)
    else assert.match(line, want, `reply ${index}`)
  }
  own.end()
  assert.equal(await own.next(), undefined, 'nothing is left over')
})

test(`chat: ${SUBSCRIPTIONS_MAX} subscriptions per connection, repeats are harmless, one more is refused`, async () => {
  const chatIds: number[] = []
  for (let index = 0; index <= SUBSCRIPTIONS_MAX; index++) chatIds.push(await chat.addChat(`many ${index}`))
  using own = await chat.open()
  const last = chatIds.pop() ?? 0
  for (const chatId of [...chatIds, ...chatIds.slice(0, 3)])
    assert.equal(await own.ask(packet('Subscribe', { chat_id: chatId })), subscribed(chatId))
  const refused = JSON.parse((await own.ask(packet('Subscribe', { chat_id: last }))) ?? 'null') as object
  assert.partialDeepStrictEqual(refused, { message_id: 0, success: false })
  assert.equal(
    await own.ask(packet('Unsubscribe', { chat_id: chatIds[0] })),
    subscribed(chatIds[0] ?? 0, 'Unsubscribe'),
  )
  assert.equal(await own.ask(packet('Subscribe', { chat_id: last })), subscribed(last))
})

test('chat: deep nesting and long numbers in members nobody uses are just JSON', async () => {
  const depth = 32_000
  assert.equal(await client.ask(`{"packet_type":"Ping","x":${'['.repeat(depth)}${']'.repeat(depth)}}`), PONG)
  const objects = 10_000
  assert.equal(await client.ask(`{"packet_type":"Ping","x":${'{"a":'.repeat(objects)}1${'}'.repeat(objects)}}`), PONG)
  assert.equal(await client.ask(`{"packet_type":"Ping","x":${'9'.repeat(60_000)}}`), PONG)
  assert.equal(await client.ask(`{"packet_type":"Ping","__proto__":{"x":1},"constructor":null}`), PONG)
})
