// A client's stay in a room: connects, logs in, says what it is told to say, and tells a view what it hears.
import { connect, type Socket } from 'node:net'
import { encodeFrame, MESSAGE_TYPE } from '../../services/rooms/descriptor.ts'
import { problemOf } from '../problem.ts'
import { Arrival } from './arrival.ts'
import type { FileType } from './input.ts'
import { Outbox } from './outbox.ts'
import { noticeLine, type RoomLine } from './room-line.ts'
import { safeText } from './safe-text.ts'
import type { Transfer } from './transfer.ts'

const CONNECT_MS_MAX = 10_000
const LOGIN_MS_MAX = 10_000
const KEEP_ALIVE_MS = 60_000
/** How long a clean leave waits for the server's end. */
const LEAVE_MS_MAX = 1_000
/** Before leaving: nothing of what was said came back for so long. */
const SETTLE_MS_MAX = 10_000

/** What shows a session. */
export interface RoomView {
  line(line: RoomLine): void
  /** The same, of this client itself. */
  notice(line: RoomLine): void
  /** Transfers have begun, moved on, or ended. */
  moved(): void
}

export interface SessionOptions {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly saveDirectory: string
  readonly contentBytesMax: number
  readonly signal: AbortSignal
  wallMs(): number
}

const REFUSALS: Readonly<Record<number, (name: string) => string>> = {
  [MESSAGE_TYPE.usernameExists]: (name) => `the name ${name} is in use`,
  [MESSAGE_TYPE.badUsername]: (name) =>
    `the name ${name} is not allowed: it is 1 to 32 letters, digits and _, and not server`,
  [MESSAGE_TYPE.badLogin]: () => 'the server refused the login',
}

export class RoomSession {
  /** Of what moves at the moment, in either direction. */
  readonly transfers: ReadonlySet<Transfer>
  /** Why the session ended; undefined when this client left. */
  readonly ended: Promise<string | undefined>
  readonly #options: SessionOptions
  readonly #socket: Socket
  readonly #arrival: Arrival
  readonly #outbox: Outbox
  readonly #loggedIn = Promise.withResolvers<string | undefined>()
  /** The first reason there was to end. */
  #reason: string | undefined
  #isLeaving = false
  /** Messages that are out and have not come back. */
  #unanswered = 0
  #settled: (() => void) | undefined
  #quiet: NodeJS.Timeout | undefined

  private constructor(socket: Socket, options: SessionOptions, view: RoomView) {
    const transfers = new Set<Transfer>()
    const { username, saveDirectory, contentBytesMax, wallMs } = options
    const notice = (text: string, tone: 'notice' | 'problem'): void => view.notice(noticeLine(wallMs(), text, tone))
    this.#options = options
    this.#socket = socket
    this.transfers = transfers
    const moved = (): void => view.moved()
    this.#arrival = new Arrival(
      { own: username, saveDirectory, contentBytesMax, transfers, wallMs },
      {
        notice,
        moved,
        login: (type) => this.#onLogin(type),
        line: (line) => view.line(line),
        answered: () => this.#onAnswer(),
      },
    )
    this.#outbox = new Outbox(socket, contentBytesMax, transfers, {
      notice,
      moved,
      sending: () => void this.#unanswered++,
      broken: (reason) => this.#end(reason),
    })
    this.ended = this.#receive()
  }

  /** Logged in; or why not. Aborting `signal` ends the session, now or later. */
  static async open(options: SessionOptions, view: RoomView): Promise<RoomSession | string> {
    const socket = await connected(options)
    if (typeof socket === 'string') return socket
    const session = new RoomSession(socket, options, view)
    const timer = setTimeout(() => session.#end('the server does not answer'), LOGIN_MS_MAX)
    options.signal.addEventListener('abort', () => void session.leave(), { once: true })
    socket.write(encodeFrame(MESSAGE_TYPE.login, options.username))
    const refusal = await session.#loggedIn.promise
    clearTimeout(timer)
    if (refusal === undefined) return session
    session.#end(refusal)
    await session.ended
    return refusal
  }

  text(text: string, to: string | undefined): Promise<void> {
    return this.#outbox.text(text, to)
  }

  file(type: FileType, path: string): Promise<void> {
    return this.#outbox.file(type, path)
  }

  /** What was said has come back, or the server does not say more about it. */
  async settled(): Promise<void> {
    if (this.#unanswered === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#settled = resolve
    this.#quiet = setTimeout(resolve, SETTLE_MS_MAX)
    void this.ended.then(() => resolve())
    await promise
    clearTimeout(this.#quiet)
  }

  /** Tells the server, unless a file is on its way to it: then the end of the connection does. */
  async leave(): Promise<void> {
    if (this.#isLeaving) return
    this.#isLeaving = true
    if (!this.#outbox.isIdle) this.#socket.destroy()
    else if (!this.#socket.destroyed) {
      this.#socket.end(encodeFrame(MESSAGE_TYPE.logout))
      const timer = setTimeout(() => this.#socket.destroy(), LEAVE_MS_MAX)
      void this.ended.then(() => clearTimeout(timer))
    }
    await this.ended
  }

  async #receive(): Promise<string | undefined> {
    try {
      for await (const bytes of this.#socket) {
        this.#quiet?.refresh()
        await this.#arrival.push(bytes as Buffer)
      }
      this.#end('the server closed the connection')
    } catch (error) {
      this.#end(`connection lost: ${problemOf(error)}`)
    }
    await this.#arrival.abandon()
    this.#loggedIn.resolve(this.#reason ?? 'interrupted')
    return this.#reason
  }

  #end(reason: string): void {
    if (!this.#isLeaving) this.#reason ??= reason
    this.#socket.destroy()
  }

  #onLogin(type: number | undefined): void {
    if (type === MESSAGE_TYPE.login) this.#loggedIn.resolve(undefined)
    else {
      const refusal = type === undefined ? undefined : REFUSALS[type]
      const name = safeText(this.#options.username)
      this.#loggedIn.resolve(refusal?.(name) ?? 'the answer is not one of a rooms server')
    }
  }

  #onAnswer(): void {
    if (this.#unanswered === 0) return
    this.#unanswered--
    if (this.#unanswered === 0) this.#settled?.()
  }
}

function connected({ host, port, signal }: SessionOptions): Promise<Socket | string> {
  const { promise, resolve } = Promise.withResolvers<Socket | string>()
  const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS })
  const where = `cannot connect to ${host}:${port}`
  const fail = (reason: string): void => {
    clearTimeout(timer)
    socket.destroy()
    resolve(reason)
  }
  const interrupted = (): void => fail('interrupted')
  const refused = (error: Error & { readonly code?: string }): void => fail(`${where}: ${error.message || error.code}`)
  const timer = setTimeout(() => fail(`${where}: no answer`), CONNECT_MS_MAX)
  signal.addEventListener('abort', interrupted, { once: true })
  socket.once('error', refused)
  socket.once('connect', () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', interrupted)
    socket.off('error', refused)
    resolve(socket)
  })
  if (signal.aborted) interrupted()
  return promise
}
