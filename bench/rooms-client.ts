// Clients of rooms and of its peer for the bench: they count what they get, and keep none of it.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { encodeFrame, HEADER_BYTES_MAX, MESSAGE_TYPE } from '../src/services/rooms/descriptor.ts'
import { type FrameCourse, FrameParser, type FrameSink } from '../src/services/rooms/frame-parser.ts'

const WAIT_MS_MAX = 120_000

export interface CountingClient {
  readonly socket: Socket
  /** Of contents; of the peer, of everything. */
  readonly bytes: number
  /** Messages that are no joins or leaves. */
  readonly messages: number
  /** Calls `reached` when `is` says so, after some bytes. */
  until(is: () => boolean): Promise<void>
}

class Counting implements CountingClient, FrameSink {
  readonly socket: Socket
  bytes = 0
  messages = 0
  joins = 0
  #type = 0
  #waiting: { readonly is: () => boolean; readonly reached: () => void } | undefined

  constructor(socket: Socket) {
    this.socket = socket
  }

  listen(take: (chunk: Buffer) => void): this {
    this.socket.on('data', (chunk: Buffer) => {
      take(chunk)
      if (this.#waiting?.is() !== true) return
      this.#waiting.reached()
      this.#waiting = undefined
    })
    return this
  }

  until(is: () => boolean): Promise<void> {
    if (is()) return Promise.resolve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => reject(new Error('the bench waited too long')), WAIT_MS_MAX)
    const ended = (): void => reject(new Error('the server closed the connection'))
    this.socket.once('close', ended)
    this.#waiting = { is, reached: resolve }
    return promise.finally(() => {
      clearTimeout(timer)
      this.socket.off('close', ended)
    })
  }

  begin(type: number): FrameCourse {
    this.#type = type
    return 'take'
  }

  header(): void {}

  content(chunk: Buffer): void {
    this.bytes += chunk.length
  }

  end(): void {
    if (this.#type === MESSAGE_TYPE.login) this.joins++
    else if (this.#type >= MESSAGE_TYPE.image) this.messages++
  }
}

async function open(port: number): Promise<Counting> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return new Counting(socket)
}

/** Nobody waits for the name of one who has just closed. */
let names = 0

/** Members of the room, who have seen each other come. */
export async function openMembers(port: number, count: number): Promise<readonly CountingClient[]> {
  const members: Counting[] = []
  for (let index = 0; index < count; index++) {
    const member = await open(port)
    const parser = new FrameParser(member, { headerBytesMax: HEADER_BYTES_MAX })
    member.listen((chunk) => parser.push(chunk))
    member.socket.write(encodeFrame(MESSAGE_TYPE.login, `m${String(++names).padStart(6, '0')}`))
    // The acceptance and its own join.
    await member.until(() => member.joins >= 2)
    members.push(member)
  }
  await Promise.all(members.map((member, index) => member.until(() => member.joins === count - index + 1)))
  return members
}

/** Receivers of the peer, and its sender, which comes last. */
export async function openPiped(port: number, receivers: number): Promise<readonly CountingClient[]> {
  const all: Counting[] = []
  for (const role of [...Array.from({ length: receivers }, () => 'r'), 's']) {
    const client = await open(port)
    client.socket.write(role)
    await once(client.socket, 'data')
    client.listen((chunk) => {
      client.bytes += chunk.length
    })
    all.push(client)
  }
  return all
}

export async function closeAll(clients: readonly CountingClient[]): Promise<void> {
  await Promise.all(
    clients.map(({ socket }) => {
      const closed = once(socket, 'close')
      socket.destroy()
      return closed
    }),
  )
}
