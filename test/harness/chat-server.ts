// The chat service as a process on free ports, with an SQLite store in a folder of its own that outlives the process: it
// can be killed and started again on what it had stored.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectOptions, LineClient } from './line-client.ts'
import { type Server, type ServerOptions, type Settings, startServer } from './server.ts'

/** No rate limit: most tests send more than 50 packets a second from one address. */
const SETTINGS: Settings = {
  'services.chat.http.port': 0,
  'services.chat.tcp.port': 0,
  'services.chat.udp.port': 0,
  'services.chat.rateLimit.rate': 0,
}

/** What the HTTP API answered. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

export class ChatServer implements AsyncDisposable {
  readonly #folder: string
  readonly #options: ServerOptions
  #server: Server

  constructor(folder: string, options: ServerOptions, server: Server) {
    this.#folder = folder
    this.#options = options
    this.#server = server
  }

  /** `settings` win; with `store.path` among them the folder stays unused. */
  static async start(options: ServerOptions = {}): Promise<ChatServer> {
    const folder = await mkdtemp(join(tmpdir(), 'polyloop-chat-'))
    const settings = { ...SETTINGS, 'store.path': join(folder, 'chat.db'), ...options.settings }
    const whole = { services: ['chat'], ...options, settings }
    try {
      return new ChatServer(folder, whole, await startServer(whole))
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** The process that runs at present. */
  get server(): Server {
    return this.#server
  }

  /** Ends the process as a power failure would, if it still runs, and starts another on the same store. */
  async restart(): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
    this.#server = await startServer(this.#options)
  }

  open(options: Partial<ConnectOptions> = {}): Promise<LineClient> {
    return LineClient.open({ port: this.#server.port('chat.tcp'), ...options })
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#server.port('chat.http')}`
  }

  async request(path: string, init: RequestInit = {}): Promise<HttpAnswer> {
    const response = await fetch(this.origin + path, init)
    return { status: response.status, headers: response.headers, text: await response.text() }
  }

  /** POST of JSON; a string goes as it is. */
  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    return this.request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  }

  /** A new user's id. */
  async addUser(username: string): Promise<number> {
    return createdId(await this.post('/api/users', { username }))
  }

  /** A new chat's id; user 1 takes part. */
  async addChat(name: string, participants: readonly number[] = []): Promise<number> {
    return createdId(await this.post('/api/chats', { name, participants }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** The id in a 201. */
export function createdId({ status, text }: HttpAnswer): number {
  assert.equal(status, 201, text)
  const { data } = JSON.parse(text) as { readonly data: { readonly id: number } }
  assert.ok(Number.isSafeInteger(data.id) && data.id > 0, text)
  return data.id
}
