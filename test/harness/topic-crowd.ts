// Many subscribers of the topics of topic-service.ts in one process: bare sockets with a small frame reader, because a
// WebSocket client of its own for each would take the processor from the server; `ws` only where frames are compressed.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { RecordableHistogram } from 'node:perf_hooks'
import { WebSocket } from 'ws'
import { upgradeRequest } from '../../bench/raw-websocket.ts'
import type { Server } from './server.ts'
import { TopicReader } from './topic-reader.ts'
import { waitUntil, within } from './wait.ts'

const FAULTS_KEPT = 20
const OPENED_AT_ONCE = 100
const OPEN_MS = 30_000
const READ_BYTES = 256 * 1024
const NEWLINE = 0x0a
const HEAD_END = '\r\n\r\n'
const OPCODE_CLOSE = 8
const OPCODE_PING = 9
const LENGTH_16 = 126
const LENGTH_64 = 127
/** A close frame cannot carry this: the connection ended without one. */
const NO_CLOSE = 1006
/** Connections without a session key are placed by their address. */
const ADDRESSES = 64

/** Plain frames over WebSocket, lines over TCP, or compressed frames. */
export type Speaks = 'frames' | 'lines' | 'deflated'

/** One buffer for all reads: what is in it is used up before the next. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES)

export interface TopicMember {
  readonly reader: TopicReader
  say(text: string): void
  /** Stops reading. */
  pause(): void
  resume(): void
  /** Ends without a word. */
  destroy(): void
}

/** A WebSocket without compression, or lines. */
class RawMember implements TopicMember {
  readonly reader: TopicReader
  readonly opened = Promise.withResolvers<void>()
  readonly #socket: Socket
  readonly #speaks: Speaks
  #isOpen = false
  #rest: Buffer | undefined

  constructor(reader: TopicReader, speaks: Speaks, port: number, path: string, localAddress: string) {
    this.reader = reader
    this.#speaks = speaks
    this.#socket = connect({
      host: '127.0.0.1',
      port,
      localAddress,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes) => {
          this.#onRead(bytes)
          return true
        },
      },
    })
    this.#socket.on('connect', () => {
      if (speaks === 'frames') this.#socket.write(upgradeRequest(path))
      else this.#open()
    })
    this.#socket.on('error', () => {}) // 'close' follows
    this.#socket.on('close', () => {
      reader.ended(NO_CLOSE, '')
      this.opened.reject(new Error('closed before it was open'))
    })
  }

  say(text: string): void {
    this.#socket.write(this.#speaks === 'frames' ? clientFrame(text) : `${text}\n`)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #open(): void {
    this.#isOpen = true
    this.opened.resolve()
  }

  #onRead(length: number): void {
    const chunk = readBuffer.subarray(0, length)
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    const end = this.#isOpen ? this.#parse(bytes, 0) : this.#parseHead(bytes)
    this.#rest = end === bytes.length ? undefined : Buffer.from(bytes.subarray(end))
  }

  #parseHead(bytes: Buffer): number {
    const end = bytes.indexOf(HEAD_END)
    if (end < 0) return 0
    if (bytes.toString('latin1', 0, 13) !== 'HTTP/1.1 101 ') this.#socket.destroy()
    else this.#open()
    return this.#parse(bytes, end + HEAD_END.length)
  }

  /** Answers the end of what was complete. */
  #parse(bytes: Buffer, start: number): number {
    return this.#speaks === 'lines' ? this.#parseLines(bytes, start) : this.#parseFrames(bytes, start)
  }

  #parseLines(bytes: Buffer, start: number): number {
    let at = start
    for (let end = bytes.indexOf(NEWLINE, at); end !== -1; end = bytes.indexOf(NEWLINE, at)) {
      this.reader.hear(bytes, at, end)
      at = end + 1
    }
    return at
  }

  #parseFrames(bytes: Buffer, start: number): number {
    for (let at = start; ; ) {
      if (bytes.length < at + 4) return at
      const short = bytes[at + 1] as number
      if (short === LENGTH_64 && bytes.length < at + 10) return at
      const head = short < LENGTH_16 ? 2 : short === LENGTH_16 ? 4 : 10
      const length =
        short < LENGTH_16 ? short : short === LENGTH_16 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6)
      const end = at + head + length
      if (bytes.length < end) return at
      const opcode = (bytes[at] as number) & 0x0f
      if (opcode === OPCODE_CLOSE) {
        this.reader.ended(bytes.readUInt16BE(at + head), bytes.toString('utf8', at + head + 2, end))
        this.#socket.end()
      } else if (opcode !== OPCODE_PING) this.reader.hear(bytes, at + head, end)
      at = end
    }
  }
}

class DeflatedMember implements TopicMember {
  readonly reader: TopicReader
  readonly socket: WebSocket

  constructor(reader: TopicReader, url: string) {
    this.reader = reader
    this.socket = new WebSocket(url, { perMessageDeflate: true })
    this.socket.on('message', (data: Buffer) => reader.hear(data, 0, data.length))
    this.socket.on('error', () => {}) // 'close' follows
    this.socket.on('close', (code, reason) => reader.ended(code, reason.toString()))
  }

  say(text: string): void {
    this.socket.send(text)
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  destroy(): void {
    this.socket.terminate()
  }
}

export interface CrowdOptions {
  readonly speaks?: Speaks
  /** The session of a member; default its number. Of WebSockets only. */
  readonly sessionOf?: (index: number) => string
  readonly latency?: RecordableHistogram
}

export class TopicCrowd implements Disposable {
  readonly members: TopicMember[] = []
  readonly faults: string[] = []
  faultCount = 0

  /** Members until the crowd is closed; they hear nothing yet. */
  static async open(server: Pick<Server, 'port'>, count: number, options: CrowdOptions = {}): Promise<TopicCrowd> {
    const crowd = new TopicCrowd()
    for (let start = 0; start < count; start += OPENED_AT_ONCE) {
      const some = Array.from({ length: Math.min(OPENED_AT_ONCE, count - start) }, (_, index) => start + index)
      await within('members', Promise.all(some.map((index) => crowd.#openOne(server, index, options))), OPEN_MS)
    }
    return crowd
  }

  get readers(): readonly TopicReader[] {
    return this.members.map(({ reader }) => reader)
  }

  /** Waits until each has been told that it is subscribed. `since`: as the option, for all. */
  async subscribe(topic: string, since?: { readonly epoch: number; readonly offset: number }): Promise<void> {
    const place = since === undefined ? '' : ` ${since.epoch} ${since.offset}`
    for (const member of this.members) member.say(`sub ${topic}${place}`)
    const isIn = (reader: TopicReader): boolean => reader.place(topic) !== undefined
    await waitUntil(`all have subscribed to ${topic}`, () => this.readers.every(isIn), OPEN_MS)
  }

  async unsubscribe(topic: string): Promise<void> {
    const answers = this.members.map(async (member) => {
      const answer = member.reader.answer()
      member.say(`unsub ${topic}`)
      const text = await answer
      member.reader.left(topic)
      if (text !== 'true') this.#fault(`${member.reader.name}: unsubscribe ${text}`)
    })
    await within(`all have left ${topic}`, Promise.all(answers), OPEN_MS)
  }

  /** Says a line through one member, and answers its answer. */
  async ask(text: string, index = 0): Promise<string> {
    const member = this.members[index] as TopicMember
    const answer = member.reader.answer()
    member.say(text)
    return within(`the answer to ${text}`, answer, OPEN_MS)
  }

  /** The offset that all who are open have reached; Infinity if nobody is. Fails on the first fault. */
  reached(topic: string): number {
    assert.deepEqual(this.faults, [])
    let least = Infinity
    for (const { reader } of this.members)
      if (reader.end === undefined) least = Math.min(least, reader.place(topic)?.offset ?? -1)
    return least
  }

  destroy(): void {
    for (const member of this.members) member.destroy()
  }

  [Symbol.dispose](): void {
    this.destroy()
  }

  #fault(what: string): void {
    this.faultCount++
    if (this.faults.length < FAULTS_KEPT) this.faults.push(what)
  }

  async #openOne(server: Pick<Server, 'port'>, index: number, options: CrowdOptions): Promise<void> {
    const { speaks = 'frames', sessionOf = String, latency } = options
    const name = `${speaks} ${index}`
    const reader = new TopicReader(name, (what) => this.#fault(`${name}: ${what}`))
    reader.latency = latency
    const path = `/?session=${sessionOf(index)}`
    if (speaks === 'deflated') {
      const member = new DeflatedMember(reader, `ws://127.0.0.1:${server.port('topical.ws')}${path}`)
      this.members.push(member)
      await once(member.socket, 'open')
      return
    }
    const port = server.port(speaks === 'frames' ? 'topical.ws' : 'topical.tcp')
    const member = new RawMember(reader, speaks, port, path, `127.0.0.${1 + (index % ADDRESSES)}`)
    this.members.push(member)
    await member.opened.promise
  }
}

/** A text frame whose mask is zero: its payload goes as it is. */
function clientFrame(text: string): Buffer {
  const length = Buffer.byteLength(text)
  if (length >= LENGTH_16) throw new RangeError('a short line')
  const frame = Buffer.alloc(6 + length)
  frame[0] = 0x81
  frame[1] = 0x80 | length
  frame.write(text, 6)
  return frame
}
