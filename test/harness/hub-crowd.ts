// A crowd of clients that use offsets: each counts the numbered events it gets, comes back by itself when its connection
// ends, and says what it got last. Whatever happens to the hub, each must end with every number once, in order.
import { type RawData, WebSocket } from 'ws'
import { waitUntil } from './wait.ts'

const CHANNEL = 'metrics'
/** Handshakes of a crowd that are under way at a time, as a crowd of real clients spreads by itself. */
const OPENING_MAX = 256
const AGAIN_MS = 100

export interface CrowdOptions {
  readonly count: number
  /** Where to go; asked for each attempt. `query` begins with a question mark, or is empty. */
  readonly url: (query: string) => string
}

interface Position {
  readonly epoch: string
  readonly offset: number
}

type State = 'away' | 'opening' | 'back'

class Fan {
  state: State = 'away'
  /** The number it got last. */
  last = 0
  /** Numbers that came twice or out of order, and those that did not come. */
  wrong = 0
  /** Came back to a session of which nothing was known. */
  fresh = 0
  /** Was told that something is missing. */
  gaps = 0
  token = ''
  #position: Position | undefined
  #socket: WebSocket | undefined
  readonly #options: CrowdOptions
  readonly #told: () => void

  constructor(options: CrowdOptions, told: () => void) {
    this.#options = options
    this.#told = told
  }

  open(): void {
    this.state = 'opening'
    const query = new URLSearchParams({ offsets: '1' })
    if (this.token !== '') query.set('reconnection_token', this.token)
    this.token = ''
    const socket = new WebSocket(this.#options.url(`?${query}`), { perMessageDeflate: false })
    this.#socket = socket
    socket.on('message', (data) => this.#hear(data))
    socket.on('error', () => {}) // 'close' follows
    socket.once('close', () => {
      if (this.#socket !== socket) return
      this.state = 'away'
      this.#told()
    })
  }

  cut(): void {
    this.#socket?.terminate()
  }

  leave(): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.terminate()
  }

  #say(frame: object): void {
    this.#socket?.send(JSON.stringify(frame))
  }

  #hear(data: RawData): void {
    const frame = JSON.parse(String(data)) as Readonly<Record<string, unknown>>
    switch (frame.type) {
      case undefined:
        this.#count(frame)
        break
      case 'connected':
        if (frame.reconnected === true) break
        if (this.#position !== undefined) this.fresh++
        this.#say({ type: 'subscribe', channel: CHANNEL })
        break
      case 'subscribed':
      case 'session_restored':
        if (this.#position === undefined) this.#say({ type: 'get_reconnection_token' })
        else this.#say({ type: 'recover', positions: { [CHANNEL]: this.#position } })
        break
      case 'recovered': {
        const { recovered } = (frame.channels as Record<string, { recovered: boolean }>)[CHANNEL] ?? {
          recovered: false,
        }
        if (!recovered) this.gaps++
        this.#say({ type: 'get_reconnection_token' })
        break
      }
      case 'reconnection_token':
        this.token = String(frame.token)
        this.state = 'back'
        this.#told()
        break
    }
  }

  #count({ data, epoch, offset }: Readonly<Record<string, unknown>>): void {
    const { number } = data as { readonly number?: number }
    this.#position = { epoch: String(epoch), offset: Number(offset) }
    if (number === undefined) return // the hub's own
    if (number !== this.last + 1 && this.last !== 0) this.wrong++
    this.last = number
  }
}

export interface Storm {
  /** From the cut until the last one was back. */
  readonly backMs: number
  readonly fresh: number
  readonly gaps: number
  readonly wrong: number
}

export class HubCrowd implements Disposable {
  readonly #fans: readonly Fan[]
  #opening = 0
  #isOver = false
  readonly #timer: NodeJS.Timeout

  private constructor(options: CrowdOptions) {
    this.#fans = Array.from({ length: options.count }, () => new Fan(options, () => this.#openSome()))
    // Who was refused tries again, a little later.
    this.#timer = setInterval(() => this.#openSome(), AGAIN_MS)
  }

  /** Everybody is there, has subscribed and has a token. */
  static async gather(options: CrowdOptions): Promise<HubCrowd> {
    const crowd = new HubCrowd(options)
    await crowd.allBack()
    return crowd
  }

  get away(): number {
    return this.#fans.filter(({ state }) => state !== 'back').length
  }

  allBack(deadlineMs = 60_000): Promise<unknown> {
    return waitUntil('everybody is back', () => this.away === 0, deadlineMs)
  }

  /** Everybody has got everything up to a number. */
  async caughtUp(number: number, deadlineMs = 30_000): Promise<void> {
    await waitUntil(`everybody has got ${number}`, () => this.#fans.every(({ last }) => last === number), deadlineMs)
  }

  /** Cuts every connection at once, or lets `harm` do it, and waits for all to come back. */
  async storm(harm: () => void | Promise<void> = () => this.cut()): Promise<Storm> {
    const startMs = performance.now()
    await harm()
    await waitUntil('somebody is away', () => this.away > 0)
    await this.allBack()
    const sum = (of: (fan: Fan) => number): number => this.#fans.reduce((total, fan) => total + of(fan), 0)
    return {
      backMs: performance.now() - startMs,
      fresh: sum(({ fresh }) => fresh),
      gaps: sum(({ gaps }) => gaps),
      wrong: sum(({ wrong }) => wrong),
    }
  }

  cut(): void {
    for (const fan of this.#fans) fan.cut()
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    clearInterval(this.#timer)
    for (const fan of this.#fans) fan.leave()
  }

  #openSome(): void {
    if (this.#isOver) return
    this.#opening = this.#fans.filter(({ state }) => state === 'opening').length
    for (const fan of this.#fans) {
      if (this.#opening >= OPENING_MAX) return
      if (fan.state !== 'away') continue
      this.#opening++
      fan.open()
    }
  }
}
