// The audience of a hub, of a bare `ws` server or of a room of Socket.IO, as a program: subscribers that count frames, and
// a publisher whose next message follows when everybody has the last. Arguments: one JSON object; prints one.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { WebSocket } from 'ws'
import { FrameCounter } from './frame-counter.ts'
import { HUB_DIALECTS, type HubPeer } from './hub-dialect.ts'
import { cpuNsOf, usageOf } from './process-usage.ts'

export interface AudienceOrder {
  readonly port: number
  readonly pids: readonly number[]
  readonly kind: HubPeer
  readonly isCompressed: boolean
  /** Of an administrator. */
  readonly token: string
  readonly subscribers: number
  readonly textBytes: number
  /** So long, and so many deliveries: a server that still compiles its code is another one. */
  readonly warmup: AudienceSpan
  readonly measured: AudienceSpan
}

export interface AudienceSpan {
  readonly ms: number
  readonly deliveries: number
}

export interface AudienceReport {
  readonly deliveries: number
  readonly elapsedMs: number
  readonly serverCpuNs: number
  readonly p99Ms: number
}

const HEAD_END = '\r\n\r\n'
const OPENING_MAX = 200
const ADDRESSES = 5
const DELIVERY_MS_MAX = 60_000
const SPAN_MS_MAX = 10_000
/** Between two messages, so that the server is measured and not only the generator. */
const PAUSE_MS = 5

let missing = 0
let complete: () => void = () => {}
const latenciesMs: number[] = []
let publishedMs = 0

function heard(): void {
  latenciesMs.push(performance.now() - publishedMs)
  if (--missing === 0) complete()
}

/** Waits until each of so many has been heard of. */
async function all(count: number, action: () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  missing = count
  complete = resolve
  const deadline = setTimeout(() => reject(new Error(`${missing} of ${count} are missing`)), DELIVERY_MS_MAX)
  action()
  await promise
  clearTimeout(deadline)
}

/** Ready when it has subscribed. */
function open(order: AudienceOrder, index: number): Promise<void> {
  const { port, kind, isCompressed } = order
  const dialect = HUB_DIALECTS[kind]
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = connect({ host: '127.0.0.1', port, localAddress: `127.0.0.${1 + (index % ADDRESSES)}`, noDelay: true })
  const extension =
    isCompressed && dialect.compressesByExtension
      ? 'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n'
      : ''
  const counter = new FrameCounter()
  const hello = dialect.hello('subscriber')
  const wanted = dialect.greetings.subscriber
  let head = Buffer.alloc(0)
  let isUpgraded = false
  socket.on('error', reject)
  socket.on('connect', () => {
    socket.write(
      `GET ${dialect.path('subscriber', order)} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${extension}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    )
  })
  socket.on('data', (bytes: Buffer) => {
    if (!isUpgraded) {
      head = Buffer.concat([head, bytes])
      const end = head.indexOf(HEAD_END)
      if (end < 0) return
      assert.equal(head.toString('latin1', 9, 12), '101')
      isUpgraded = true
      if (hello !== undefined) socket.write(maskedFrame(hello))
      bytes = head.subarray(end + HEAD_END.length)
    }
    const before = counter.frames
    counter.push(bytes)
    for (let frame = before + 1; frame <= counter.frames; frame++) {
      if (frame === wanted) resolve()
      else if (frame > wanted) heard()
    }
  })
  return promise
}

function maskedFrame(text: string): Buffer {
  // A mask of zeros is one, too.
  return Buffer.concat([Buffer.of(0x81, 0x80 | text.length, 0, 0, 0, 0), Buffer.from(text)])
}

async function openAll(order: AudienceOrder): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < order.subscribers) await open(order, next++)
  }
  await Promise.all(Array.from({ length: OPENING_MAX }, worker))
}

async function publisherOf(order: AudienceOrder): Promise<WebSocket> {
  const dialect = HUB_DIALECTS[order.kind]
  const url = `ws://127.0.0.1:${order.port}${dialect.path('publisher', order)}`
  const socket = new WebSocket(url, { perMessageDeflate: false })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.on('error', reject)
  let left = dialect.greetings.publisher
  socket.on('message', () => {
    if (--left === 0) resolve()
  })
  await once(socket, 'open')
  const hello = dialect.hello('publisher')
  if (hello !== undefined) socket.send(hello)
  await promise
  return socket
}

function messageOf({ kind, textBytes }: AudienceOrder, number: number): string {
  const words = 'the quick brown fox jumps over the lazy dog '
  const text = `${number} ${words.repeat(Math.ceil(textBytes / words.length))}`.slice(0, textBytes)
  return HUB_DIALECTS[kind].publish(JSON.stringify({ text }))
}

async function publishFor(
  order: AudienceOrder,
  publisher: WebSocket,
  { ms, deliveries }: AudienceSpan,
): Promise<number> {
  const startMs = performance.now()
  let messages = 0
  for (;;) {
    await all(order.subscribers, () => {
      publishedMs = performance.now()
      publisher.send(messageOf(order, messages))
    })
    messages++
    const elapsedMs = performance.now() - startMs
    const isEnough = elapsedMs > ms && messages * order.subscribers >= deliveries
    if (isEnough || elapsedMs > SPAN_MS_MAX) return messages
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

const order = JSON.parse(process.argv[2] ?? '{}') as AudienceOrder
await openAll(order)
const publisher = await publisherOf(order)
await publishFor(order, publisher, order.warmup)
latenciesMs.length = 0
const before = usageOf(order.pids)
const messages = await publishFor(order, publisher, order.measured)
const after = usageOf(order.pids)
latenciesMs.sort((one, other) => one - other)
const report: AudienceReport = {
  deliveries: messages * order.subscribers,
  elapsedMs: after.atMs - before.atMs,
  serverCpuNs: cpuNsOf(before, after),
  p99Ms: latenciesMs[Math.floor(latenciesMs.length * 0.99)] ?? 0,
}
console.log(JSON.stringify(report))
process.exit()
