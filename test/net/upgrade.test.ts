// Handshakes that a service decides on: what it is asked, what its answers do, and who is gone when they come.
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { Connection } from '../../src/net/connection.ts'
import type { UpgradeAnswer, UpgradeRequest, WebSocketHandler } from '../../src/net/handler.ts'
import { HTTP_SILENT_MS_MAX } from '../../src/net/http-framing.ts'
import { UPGRADES_WAITING_MAX } from '../../src/net/upgrade.ts'
import { OPCODE } from '../../src/net/websocket/frame.ts'
import { closedFor, echo, figure, get, HEAD_MS, open, statusesOf } from './http-fixture.ts'
import { turn, until } from './loop-fixture.ts'
import { MoveFixture, moved } from './move-fixture.ts'
import { encodeClientFrame } from './websocket/client-frame.ts'
import { Random } from './websocket/random.ts'
import { decodeServerFrames } from './websocket/server-frame.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
const HANDSHAKE = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n`

type Ask = (request: UpgradeRequest) => UpgradeAnswer | Promise<UpgradeAnswer>

/** What became of accepted values: `open`, or `abandoned`. */
class Door {
  readonly asked: UpgradeRequest[] = []
  readonly opened: unknown[] = []
  readonly abandoned: unknown[] = []
  readonly closed: unknown[] = []
  readonly handler: WebSocketHandler
  readonly #answers: PromiseWithResolvers<UpgradeAnswer>[] = []

  /** Without `ask` each handshake waits for `answer` or `fail`. */
  constructor(ask?: Ask, more: Partial<WebSocketHandler> = {}) {
    this.handler = {
      upgrade: (request) => {
        this.asked.push(request)
        if (ask !== undefined) return ask(request)
        const answer = Promise.withResolvers<UpgradeAnswer>()
        this.#answers.push(answer)
        return answer.promise
      },
      open: (_connection, value) => {
        this.opened.push(value)
        return value
      },
      abandoned: (value) => void this.abandoned.push(value),
      message: (connection, payload, isBinary) => void connection.send(payload, isBinary),
      close: ({ state }) => void this.closed.push(state),
      ...more,
    }
  }

  /** To the handshake that has waited longest. */
  answer(answer: UpgradeAnswer): void {
    this.#answers.shift()?.resolve(answer)
  }

  fail(error: unknown): void {
    this.#answers.shift()?.reject(error)
  }
}

function handshake(path = '/', more = ''): string {
  return get(path, HANDSHAKE + more)
}

function text(payload: string): Buffer {
  return encodeClientFrame({ opcode: OPCODE.text, payload })
}

/** The texts behind the 101. */
function textsOf(received: string): string[] {
  const at = received.indexOf('\r\n\r\n')
  if (at === -1) return []
  return decodeServerFrames(Buffer.from(received.slice(at + 4), 'latin1'))
    .filter(({ opcode }) => opcode === OPCODE.text)
    .map(({ payload }) => payload.toString())
}

/** A client whose handshake waits. */
async function waiting(fixture: MoveFixture, door: Door, more = ''): ReturnType<typeof open> {
  const asked = door.asked.length
  const client = await open(fixture)
  client.client.write(handshake('/', more))
  await until('it is asked', () => door.asked.length > asked)
  return client
}

function fixtureOf(door: Door): MoveFixture {
  return new MoveFixture({ http: echo, upgrade: door.handler })
}

test('upgrade: the service sees the request, and its value comes to open', async () => {
  for (const isLate of [false, true]) {
    const accepting: UpgradeAnswer = { accept: true, value: { user: 7 } }
    const door = new Door(isLate ? async () => accepting : () => accepting)
    await using fixture = fixtureOf(door)
    const { client, received, connection } = await open(fixture)
    client.write(handshake('/a%20b/ws/7?x=1', 'Authorization: Bearer secret\r\n'))
    await until('101', () => received.text.endsWith('\r\n\r\n'))
    const [request] = door.asked
    assert.deepEqual([request?.target, request?.session], ['/a%20b/ws/7?x=1', 'chat:1'])
    assert.deepEqual(request?.remote, { address: '127.0.0.1', port: client.localPort })
    assert.equal(request?.headers.authorization, 'Bearer secret')
    assert.equal(request?.signal.aborted, false)
    assert.deepEqual(door.opened, [{ user: 7 }])
    assert.deepEqual(connection.state, { user: 7 })
    assert.equal(
      received.text,
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`,
    )
    client.write(text('hello'))
    await until('an echo', () => textsOf(received.text)[0] === 'hello')
    client.end()
    await until('gone', () => fixture.size === 0)
    assert.deepEqual([door.closed, door.abandoned, fixture.failures], [[{ user: 7 }], [], []])
    assert.equal(request?.signal.aborted, false)
  }
})

test('upgrade: a subprotocol is selected from those the client offers', async () => {
  const door = new Door(({ target }) => ({ accept: true, protocol: target.slice(1), value: target }))
  await using fixture = fixtureOf(door)
  const offers = 'Sec-WebSocket-Protocol: polyloop.bearer, abc\r\nSec-WebSocket-Protocol: last\r\n'
  for (const protocol of ['polyloop.bearer', 'abc', 'last']) {
    const { client, received } = await open(fixture)
    client.write(handshake(`/${protocol}`, offers))
    await until('101', () => received.text.endsWith('\r\n\r\n'))
    assert.ok(received.text.endsWith(`${ACCEPT}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`), received.text)
  }
  for (const [path, offered] of [
    ['/other', offers],
    ['/', offers],
    ['/abc', ''],
  ] as const) {
    const { client, received } = await open(fixture)
    client.write(handshake(path, offered))
    await until('the end', () => received.ended)
    assert.deepEqual(statusesOf(received.text), [500], path)
  }
  assert.deepEqual(door.abandoned, ['/other', '/', '/abc'])
  assert.equal(fixture.failures.length, 3)
})

test('upgrade: a refusal is told as text, and nobody logs it', async () => {
  const refusing: UpgradeAnswer = { accept: false, status: 401, body: 'Missing — token', headers: { 'X-Why': 'a' } }
  for (const ask of [() => refusing, async () => refusing]) {
    await using fixture = fixtureOf(new Door(ask))
    const { client, received } = await open(fixture)
    client.write(handshake())
    client.write(text('ahead'))
    await until('the end', () => received.ended)
    const [head, body] = Buffer.from(received.text, 'latin1').toString().split('\r\n\r\n')
    assert.equal(body, 'Missing — token')
    assert.deepEqual(head?.split('\r\n'), [
      'HTTP/1.1 401 Unauthorized',
      'X-Why: a',
      'Connection: close',
      'Content-Type: text/plain',
      'Content-Length: 17',
    ])
    client.end()
    await until('gone', () => fixture.size === 0)
    assert.equal(closedFor(fixture, 'server'), 1)
    assert.deepEqual([fixture.refused, fixture.failures, figure(fixture, 'messagesIn')], [[], [], 0])
  }
})

test('upgrade: what fails or makes no sense is a 500, and reported', async () => {
  const bad: readonly unknown[] = [
    undefined,
    { accept: false, status: 101, body: '' },
    { accept: false, status: 1000, body: '' },
    { accept: false, status: 403, body: '', headers: { 'X-Y': 'a\r\nSet-Cookie: b' } },
    { accept: false, status: 403, body: '', headers: { 'X Y': 'a' } },
  ]
  const asks: Ask[] = [
    () => {
      throw new Error('on purpose')
    },
    async () => {
      throw new Error('on purpose')
    },
    ...bad.flatMap((answer): Ask[] => [() => answer as UpgradeAnswer, async () => answer as UpgradeAnswer]),
  ]
  for (const ask of asks) {
    const door = new Door(ask)
    await using fixture = fixtureOf(door)
    const { client, received } = await open(fixture)
    client.write(handshake())
    await until('the end', () => received.ended)
    assert.match(received.text, /^HTTP\/1\.1 500 .*\r\n\r\nInternal server error$/s)
    client.end()
    await until('gone', () => fixture.size === 0)
    assert.equal(closedFor(fixture, 'handler_error'), 1)
    assert.equal(fixture.failures.length, 1)
    assert.equal(fixture.upgradeBook.waiting, 0)
  }
})

test('upgrade: a malformed handshake never reaches the service', async () => {
  const door = new Door()
  await using fixture = fixtureOf(door)
  for (const [request, status] of [
    [get('/', HANDSHAKE.replace('13', '8')), 426],
    [get('/', HANDSHAKE.replace(KEY, 'short')), 400],
    [handshake().replace('GET', 'PUT'), 405],
  ] as const) {
    const { client, received } = await open(fixture)
    client.write(request)
    await until('the end', () => received.ended)
    assert.deepEqual(statusesOf(received.text), [status])
  }
  assert.deepEqual([door.asked, fixture.refused], [[], [426, 400, 405]])
})

test('upgrade: what the client sends ahead waits, in any pieces, and comes behind open', async () => {
  for (const far of [0, 40_000]) {
    const door = new Door(undefined, { open: (connection) => void connection.send('welcome') })
    await using fixture = fixtureOf(door)
    const { client, received, connection } = await open(fixture)
    const sent = ['one', 'two', ...Array.from({ length: far / 1000 }, (_, index) => `${index} `.padEnd(1000, 'x'))]
    client.write(Buffer.concat([Buffer.from(handshake()), text('one'), text('two').subarray(0, 4)]))
    await until('it is asked', () => door.asked.length === 1)
    for (const piece of [text('two').subarray(4), ...sent.slice(2).map(text)]) client.write(piece)
    const bytes = handshake().length + Buffer.concat(sent.map(text)).length
    // Beyond what is kept it is not read from.
    await until('it is kept', () => connection.paused || (far === 0 && fixture.bytesIn === bytes))
    assert.equal(received.text, '')
    door.answer({ accept: true })
    await until('all', () => textsOf(received.text).length === sent.length + 1)
    assert.deepEqual(textsOf(received.text), ['welcome', ...sent])
  }
})

test('upgrade: open may pause, and what came ahead waits for it', async () => {
  for (const isLate of [false, true]) {
    const door = new Door(isLate ? undefined : () => ({ accept: true }), {
      open: (connection) => connection.pause(),
    })
    await using fixture = fixtureOf(door)
    const { client, received, connection } = await open(fixture)
    client.write(Buffer.concat([Buffer.from(handshake()), text('one'), text('two')]))
    await until('it is asked', () => door.asked.length === 1)
    door.answer({ accept: true })
    await until('101', () => received.text !== '')
    for (let index = 0; index < 5; index++) await turn()
    assert.deepEqual(textsOf(received.text), [])
    connection.resume()
    await until('both', () => textsOf(received.text).join() === 'one,two')
  }
})

test('upgrade: an answer may take longer than a head and than HTTP is patient', async () => {
  const door = new Door()
  await using fixture = fixtureOf(door)
  const { received } = await waiting(fixture, door)
  fixture.timers.run(3 * Math.max(HEAD_MS, HTTP_SILENT_MS_MAX))
  await turn()
  assert.deepEqual([received.text, fixture.size], ['', 1])
  door.answer({ accept: true, value: 1 })
  await until('open', () => door.opened.length === 1)
  fixture.timers.run(3 * HTTP_SILENT_MS_MAX)
  await turn()
  assert.equal(fixture.size, 1)
})

test('upgrade: the signal tells when the client is gone, and what is accepted then is abandoned', async () => {
  const leave: ((client: Socket) => void)[] = [
    (client) => void client.end(),
    (client) => void client.resetAndDestroy(),
    (client) => {
      client.write(text('ahead'))
      client.end()
    },
  ]
  for (const go of leave) {
    const door = new Door()
    await using fixture = fixtureOf(door)
    const { client } = await waiting(fixture, door)
    const refused = await waiting(fixture, door)
    go(client)
    go(refused.client)
    await until('both are seen to go', () => door.asked.every(({ signal }) => signal.aborted))
    client.destroy()
    refused.client.destroy()
    await until('gone', () => fixture.size === 0)
    assert.equal(closedFor(fixture, 'client'), 2)
    assert.equal(fixture.upgradeBook.waiting, 2)
    door.answer({ accept: true, value: 'kept for nobody' })
    door.answer({ accept: false, status: 403, body: 'no' })
    await until('answered', () => fixture.upgradeBook.waiting === 0)
    assert.deepEqual([door.opened, door.abandoned, door.closed], [[], ['kept for nobody'], []])
    assert.deepEqual(fixture.failures, [])
  }
})

test('upgrade: behind the end of its client a failure is reported, but not that it was cut short', async () => {
  const door = new Door(undefined, {
    abandoned() {
      throw new Error('abandoned, on purpose')
    },
  })
  await using fixture = fixtureOf(door)
  const clients = [await waiting(fixture, door), await waiting(fixture, door), await waiting(fixture, door)]
  for (const { client } of clients) client.resetAndDestroy()
  await until('gone', () => fixture.size === 0)
  door.fail(door.asked[0]?.signal.reason)
  door.fail(new Error('failed, on purpose'))
  door.answer({ accept: true })
  await until('all answered', () => fixture.upgradeBook.waiting === 0)
  assert.deepEqual(fixture.failures.map(String), ['Error: failed, on purpose', 'Error: abandoned, on purpose'])
})

test('upgrade: the end of the shard is a 503 for who waits', async () => {
  for (const reason of ['shutdown', 'restart'] as const) {
    const door = new Door()
    await using fixture = fixtureOf(door)
    const { client, received, connection } = await waiting(fixture, door)
    connection.closeFor(reason, 1001, 'server shutting down')
    assert.equal(door.asked[0]?.signal.aborted, true)
    await until('the end', () => received.ended)
    assert.match(received.text, /^HTTP\/1\.1 503 .*Retry-After: 1\r\n/s)
    client.end()
    await until('gone', () => fixture.size === 0)
    assert.equal(closedFor(fixture, reason), 1)
    door.answer({ accept: true, value: 'too late' })
    await until('abandoned', () => door.abandoned.length === 1)
    assert.deepEqual([door.opened, fixture.failures], [[], []])
  }
})

test('upgrade: only so many wait; the next one gets 503, until one is answered', async () => {
  const door = new Door()
  await using fixture = fixtureOf(door)
  fixture.upgradeBook.waiting = UPGRADES_WAITING_MAX - 1
  const first = await waiting(fixture, door)
  for (let index = 0; index < 2; index++) {
    const { client, received } = await open(fixture)
    client.write(handshake())
    await until('503', () => received.ended)
    assert.match(received.text, /^HTTP\/1\.1 503 .*Retry-After: 1\r\n/s)
    client.end()
  }
  await until('closed', () => closedFor(fixture, 'limit') === 2)
  assert.deepEqual([door.asked.length, fixture.refused], [1, [503, 503]])
  // Who leaves still waits, as long as the service works on it.
  first.client.resetAndDestroy()
  await until('gone', () => fixture.size === 0)
  assert.equal(fixture.upgradeBook.waiting, UPGRADES_WAITING_MAX)
  door.answer({ accept: true })
  await until('answered', () => fixture.upgradeBook.waiting === UPGRADES_WAITING_MAX - 1)
  const last = await waiting(fixture, door)
  door.answer({ accept: true })
  await until('101', () => statusesOf(last.received.text)[0] === 101)
})

test('upgrade: behind requests on the same connection, also behind an answer that takes its time', async () => {
  const door = new Door()
  await using fixture = fixtureOf(door)
  const { client, received, bodies } = await open(fixture)
  client.write(get('/first'))
  await until('an answer', () => bodies().length === 1)
  client.write(Buffer.concat([Buffer.from(get('/second') + handshake('/third')), text('ahead')]))
  await until('it is asked', () => door.asked.length === 1)
  assert.deepEqual(bodies(), ['GET /first ', 'GET /second '])
  door.answer({ accept: true })
  await until('an echo', () => received.text.endsWith('\x81\x05ahead'))
  assert.deepEqual(statusesOf(received.text), [200, 200, 101])
  assert.deepEqual(fixture.failures, [])
})

test('upgrade: a connection that is to move waits for the answer, then moves as a WebSocket', async () => {
  const frozen: unknown[] = []
  const door = new Door(undefined, {
    freeze: ({ state }) => state,
    thaw: (_connection, state) => {
      frozen.push(state)
      return state
    },
  })
  await using fixture = fixtureOf(door)
  const { client, received, connection } = await waiting(fixture, door)
  const arriving = moved(fixture, connection)
  client.write(text('on the way'))
  for (let index = 0; index < 5; index++) await turn()
  assert.equal(fixture.loops[0].get(connection.id), connection)
  door.answer({ accept: true, value: 'seat' })
  const there: Connection = await arriving
  await until('an echo', () => textsOf(received.text)[0] === 'on the way')
  assert.deepEqual([there.state, frozen, door.opened, door.closed], ['seat', ['seat'], ['seat'], []])
})

test('upgrade: each accepted value is opened or abandoned once, whatever happens when', async () => {
  const seed = Number(process.env.POLYLOOP_FUZZ_SEED ?? Math.trunc(Math.random() * 2 ** 32))
  const random = new Random(seed)
  const door = new Door()
  await using fixture = fixtureOf(door)
  let asked = 0
  let accepted = 0
  const answerOne = (): void => {
    if (asked === 0) return
    asked--
    const choice = random.below(4)
    if (choice === 0) door.fail(new Error('on purpose'))
    else if (choice === 1) door.answer({ accept: false, status: 403, body: 'no' })
    else door.answer({ accept: true, value: ++accepted })
  }
  for (let round = 0; round < 150; round++) {
    const { client, connection } = await waiting(fixture, door)
    asked++
    const steps: (() => void)[] = [
      () => void client.end(),
      // Node loses the handle of a socket that is reset while it says FIN, and does not end then.
      () => void (client.writableEnded || client.resetAndDestroy()),
      () => void (client.writableEnded || client.write(text('ahead'))),
      () => connection.closeFor('shutdown', 1001, ''),
      answerOne,
      answerOne,
    ]
    for (let step = 0; step < 3; step++) {
      random.pick(steps)()
      for (let index = random.below(3); index > 0; index--) await turn()
    }
  }
  while (asked > 0) answerOne()
  await until('all answered', () => fixture.upgradeBook.waiting === 0)
  for (const connection of fixture.loops[0].connections()) connection.destroy('shutdown')
  await until('all gone', () => fixture.size === 0)
  const values = [...door.opened, ...door.abandoned].sort((a, b) => Number(a) - Number(b))
  const all = Array.from({ length: accepted }, (_, index) => index + 1)
  assert.deepEqual(values, all, `POLYLOOP_FUZZ_SEED=${seed}`)
  const closed = [...door.closed].sort((a, b) => Number(a) - Number(b))
  const opened = [...door.opened].sort((a, b) => Number(a) - Number(b))
  assert.deepEqual(closed, opened, `POLYLOOP_FUZZ_SEED=${seed}`)
  assert.ok(door.opened.length > 0 && door.abandoned.length > 0)
})
