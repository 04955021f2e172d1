// A rooms server that does what a test tells it, also what no real one would: for the client's side of the protocol.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { encodeFrame, MESSAGE_TYPE } from '../../../src/services/rooms/descriptor.ts'
import { FrameParser } from '../../../src/services/rooms/frame-parser.ts'
import { waitUntil } from '../../harness/wait.ts'

export interface Heard {
  readonly type: number
  readonly header: string
  readonly content: Buffer
}

const HEADER_BYTES_MAX = 4_096
const TIMESTAMP = '2026-01-02T03:04:05.678Z'

/** One connection of a client. */
export class Guest {
  readonly heard: Heard[] = []
  isGone = false
  readonly socket: Socket

  constructor(socket: Socket) {
    this.socket = socket
    let type = 0
    let header = ''
    let content: Buffer[] = []
    const parser = new FrameParser(
      {
        begin: (given) => {
          type = given
          content = []
          return 'take'
        },
        header: (bytes) => {
          header = bytes.toString('utf8')
        },
        content: (chunk) => void content.push(Buffer.from(chunk)),
        end: () => void this.heard.push({ type, header, content: Buffer.concat(content) }),
      },
      { headerBytesMax: HEADER_BYTES_MAX },
    )
    socket.on('data', (bytes: Buffer) => parser.push(bytes))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.isGone = true
    })
  }

  /** The next frame that was not asked for yet. */
  async next(): Promise<Heard> {
    await waitUntil('the client says something', () => this.heard.length > 0)
    const [first] = this.heard.splice(0, 1)
    if (first === undefined) throw new Error('nothing was heard')
    return first
  }

  /** Answers the login, which is taken from what was heard. */
  async welcome(type: number = MESSAGE_TYPE.login): Promise<Heard> {
    const login = await this.next()
    this.socket.write(encodeFrame(type))
    return login
  }

  /** A message with a header of the server's. */
  tell(type: number, header: Readonly<Record<string, string>>, content: string | Uint8Array = ''): void {
    this.socket.write(encodeFrame(type, JSON.stringify({ timestamp: TIMESTAMP, ...header }), content))
  }
}

export class ScriptedRoom implements AsyncDisposable {
  readonly #server: Server
  readonly #guests: Guest[] = []
  #asked = 0

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => this.#guests.push(new Guest(socket)))
  }

  static async open(): Promise<ScriptedRoom> {
    const server = createServer()
    const room = new ScriptedRoom(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return room
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The next client that connects. */
  async guest(): Promise<Guest> {
    const index = this.#asked++
    return await waitUntil('a client connects', () => this.#guests[index])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.#guests) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
