// The document that a hub serves, held against a real session: every frame, sent or received, fits its schema, and has no
// member that the schema does not name.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Ajv, type ValidateFunction } from 'ajv'
import * as ajvFormats from 'ajv-formats'
import { WebSocket } from 'ws'
import { parse } from 'yaml'
import { frameName, requestName } from '../../src/services/hub/asyncapi.ts'
import { CHANNEL_EVENTS } from '../../src/services/hub/message-schema.ts'
import { bearer, CHANNELS, HubServer, tokenOf } from '../harness/hub-server.ts'
import { waitUntil } from '../harness/wait.ts'

type Frame = Readonly<Record<string, unknown>>
interface ObjectSchema {
  readonly properties?: object
}
interface Document {
  readonly servers: { readonly hub: { readonly host: string; readonly protocol: string } }
  readonly components: { readonly messages: Readonly<Record<string, { readonly payload: ObjectSchema }>> }
}

let hub: HubServer
const validators = new Map<string, ValidateFunction>()
/** Messages that were seen, by their names in the document. */
const seen = new Set<string>()

before(async () => {
  hub = await HubServer.start({ hub: { metricsInterval: '200ms', pingInterval: '300ms' } })
  const response = await hub.fetch('/asyncapi.yaml')
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'application/yaml; charset=utf-8')
  const document = parse(await response.text()) as Document
  assert.equal(document.servers.hub.host, `127.0.0.1:${hub.server.port('hub.ws')}`)
  assert.equal(document.servers.hub.protocol, 'ws')
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true })
  ajvFormats.default.default(ajv)
  for (const [name, { payload }] of Object.entries(document.components.messages)) {
    // Clients ignore what they do not know, so the document leaves it open; here nothing may be forgotten.
    validators.set(name, ajv.compile({ ...payload, additionalProperties: false }))
  }
})

after(() => hub[Symbol.asyncDispose]())

function fits(name: string, frame: Frame): void {
  const validate = validators.get(name)
  assert.ok(validate !== undefined, `a message ${name}`)
  const isRight = validate(frame)
  assert.ok(isRight, `${name}: ${JSON.stringify(frame)}: ${JSON.stringify(validate.errors)}`)
  seen.add(name)
}

function check(frame: Frame): void {
  if (typeof frame.type === 'string') {
    fits(frameName(frame.type), frame)
    return
  }
  fits('event', frame)
  for (const [name, { channel }] of Object.entries(CHANNEL_EVENTS)) {
    if (frame.channel === channel && !String(frame.event_type).startsWith('binary.')) fits(name, frame)
  }
  if (String(frame.event_type).startsWith('binary.')) fits('binaryEvent', frame)
}

/** A client that checks whatever it says and hears. */
class CheckedClient implements AsyncDisposable {
  readonly frames: Frame[] = []
  readonly #socket: WebSocket
  readonly #closed: Promise<void>

  constructor(query: Readonly<Record<string, string>>) {
    this.#socket = new WebSocket(hub.url({ query }))
    this.#socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) this.frames.push(JSON.parse(data.toString()) as Frame)
    })
    this.#socket.on('error', () => {})
    this.#closed = new Promise((resolve) => this.#socket.once('close', () => resolve()))
  }

  say(frame: Frame): void {
    fits(requestName(String(frame.type)), frame)
    this.#socket.send(JSON.stringify(frame))
  }

  sendBinary(bytes: Buffer): void {
    this.#socket.send(bytes)
  }

  hears(what: string, isIt: (frame: Frame) => boolean): Promise<Frame> {
    return waitUntil(`${what} in ${JSON.stringify(this.frames).slice(-500)}`, () => this.frames.find(isIt), 10_000)
  }

  type(type: string): Promise<Frame> {
    return this.hears(type, (frame) => frame.type === type)
  }

  check(): void {
    for (const frame of this.frames) check(frame)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.terminate()
    await this.#closed
  }
}

test('asyncapi: HEAD works, and another method is refused', async () => {
  const head = await hub.fetch('/asyncapi.yaml', { method: 'HEAD' })
  assert.equal(head.status, 200)
  assert.equal(await head.text(), '')
  const post = await hub.post('/asyncapi.yaml', {}, bearer({ sub: 'admin' }))
  assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET, HEAD'])
})

/** Those without a client. */
async function emptyShards(): Promise<number[]> {
  const metrics = await hub.server.metrics()
  return [0, 1].filter((shard) => metrics.sum('neurograph_ws_connections_total', { shard: String(shard) }) === 0)
}

test('asyncapi: all that is said in a session is described', async () => {
  const token = tokenOf({ sub: 'admin' })
  let resumption = ''
  {
    await using first = new CheckedClient({ token })
    await first.type('connected')
    first.say({ type: 'subscribe', channels: [...CHANNELS], id: 1 })
    await first.type('subscribed')
    first.say({ type: 'set_options', offsets: true, binary: null, id: 'options' })
    first.say({ type: 'get_subscriptions' })
    first.say({ type: 'ping', id: 'p' })
    first.say({ type: 'unsubscribe', channel: 'connections' })
    first.say({ type: 'broadcast', channel: 'nowhere' })
    const signal = {
      event_id: 'e',
      event_type: 't',
      is_novel: true,
      priority: 255,
      resonance_score: 0.5,
      neighbors_count: 2,
    }
    first.say({ type: 'broadcast', channel: 'signals', event_type: 'signal.detected', data: signal })
    first.sendBinary(Buffer.from([1, 4, 0, 21, 0, 0, 0, 1, ...Buffer.from('{"channel":"signals"}'), 255]))
    await first.hears('a binary event', ({ event_type: type }) => type === 'binary.binary_data')
    await first.hears('metrics', ({ channel }) => channel === 'metrics')
    await first.type('ping')
    // An operation of an administrator, a warning of the log, and a part that fails and is back.
    const [dying = 0] = await emptyShards()
    await hub.server.kill(dying)
    await first.hears('a failure', ({ channel, data }) => channel === 'status' && (data as Frame).status === 'error')
    await hub.server.recovered(dying, 1)
    await first.hears('a line of the log', ({ channel }) => channel === 'logs')
    first.say({ type: 'get_reconnection_token' })
    resumption = String((await first.type('reconnection_token')).token)
    const requests = ['subscriptions', 'options', 'pong', 'unsubscribed', 'broadcast_ack', 'error']
    for (const type of requests) await first.type(type)
    first.check()
  }
  await using second = new CheckedClient({ token, reconnection_token: resumption, offsets: '1' })
  const restored = await second.type('session_restored')
  assert.ok(Array.isArray(restored.channels) && restored.channels.length > 0)
  second.say({ type: 'subscribe', channels: [...CHANNELS] })
  second.say({ type: 'recover', positions: { metrics: { epoch: '1', offset: 0 } } })
  await second.type('recovered')
  {
    await using other = new CheckedClient({})
    other.say = (): never => assert.fail('it only listens')
    await other.type('connected')
  }
  await second.hears('a client that left', ({ event_type: type }) => type === 'client.disconnected')
  hub.server.signal('SIGTERM')
  await second.type('disconnected')
  second.check()
  assert.ok(hub.server.logged('runtime.ready').length === 1)
  const unseen = [...validators.keys()].filter((name) => !seen.has(name))
  assert.deepEqual(unseen, [])
})
