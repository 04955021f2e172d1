// A crowd of clients that use offsets: each counts the numbered events it gets, comes back by itself when its connection
// ends, and says what it got last. Whatever happens to the hub, each must end with every number once, in order.
import { CrowdSocket, type CrowdSocketOwner } from './hub-crowd-socket.ts'
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

class Fan implements CrowdSocketOwner {
  state: State = 'away'
  /** The number it got last. */
  last = 0
  /** Numbers that came twice or out of order, and those that did not come. */
  wrong = 0
  /** Came back to a session of which nothing was known. */
  fresh = 0
  /** Was told that something is missing. */
  gaps = 0
  /** When it was there again. */
  backMs = 0
  token = ''
  #position: Position | undefined
  #isWaiting = false
  #socket: CrowdSocket | undefined
  readonly #options: CrowdOptions
  readonly #moved: (fan: Fan, from: State) => void

  constructor(options: CrowdOptions, moved: (fan: Fan, from: State) => void) {
    this.#options = options
    this.#moved = moved
  }

  open(): void {
    this.#become('opening')
    const token = this.token === '' ? '' : `&reconnection_token=${this.token}`
    this.#socket = new CrowdSocket(this.#options.url(`?offsets=1${token}`), this)
  }

  cut(): void {
    this.#socket?.terminate()
  }

  closed(): void {
    this.#become('away')
  }

  heard(text: string): void {
    const frame = JSON.parse(text) as Readonly<Record<string, unknown>>
    switch (frame.type) {
      case undefined:
        this.#count(frame)
        break
      case 'connected':
        // Used up. An attempt that ends before this may never have come to the hub: its shard was just dying.
        this.token = ''
        if (frame.reconnected === true) break
        if (this.#position !== undefined) this.fresh++
        this.#socket?.say({ type: 'subscribe', channel: CHANNEL })
        break
      case 'subscribed':
      case 'session_restored':
        // As our client libraries do: who has a token, and what is missing, are two questions; and who has got nothing yet
        // says that, too.
        this.#isWaiting = this.#position !== undefined || frame.type === 'session_restored'
        if (this.#isWaiting) {
          const positions = this.#position === undefined ? {} : { [CHANNEL]: this.#position }
          this.#socket?.say({ type: 'recover', positions })
        }
        this.#socket?.say({ type: 'get_reconnection_token' })
        break
      case 'recovered': {
        const { recovered } = (frame.channels as Partial<Record<string, { recovered: boolean }>>)[CHANNEL] ?? {}
        if (recovered === false) this.gaps++
        this.#isWaiting = false
        this.#lookBack()
        break
      }
      case 'reconnection_token':
        this.token = String(frame.token)
        this.#lookBack()
        break
    }
  }

  /** It has everything it asked for. */
  #lookBack(): void {
    if (this.token === '' || this.#isWaiting) return
    this.backMs = performance.now()
    this.#become('back')
  }

  #become(state: State): void {
    const from = this.state
    this.state = state
    this.#moved(this, from)
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
  /** The same, of half of them. */
  readonly halfMs: number
  readonly fresh: number
  readonly gaps: number
  readonly wrong: number
}

export class HubCrowd implements Disposable {
  readonly #fans: readonly Fan[]
  /** Those that are to come, in turn. */
  #away: Fan[] = []
  readonly #counts: Record<State, number> = { away: 0, opening: 0, back: 0 }
  #isOver = false
  readonly #timer: NodeJS.Timeout

  private constructor(options: CrowdOptions) {
    this.#fans = Array.from({ length: options.count }, () => new Fan(options, (fan, from) => this.#moved(fan, from)))
    this.#away = [...this.#fans]
    this.#counts.away = options.count
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
    return this.#counts.away + this.#counts.opening
  }

  /** Everybody has got an event. */
  get allHeard(): boolean {
    return this.#fans.every(({ last }) => last > 0)
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
    await waitUntil('somebody is away', () => this.away > 0 || this.#fans.some(({ backMs }) => backMs > startMs))
    await this.allBack()
    const sum = (of: (fan: Fan) => number): number => this.#fans.reduce((total, fan) => total + of(fan), 0)
    const backMs = this.#fans.map((fan) => fan.backMs - startMs).filter((ms) => ms > 0)
    backMs.sort((one, other) => one - other)
    return {
      backMs: backMs.at(-1) ?? 0,
      halfMs: backMs[backMs.length >> 1] ?? 0,
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
    for (const fan of this.#fans) fan.cut()
  }

  #moved(fan: Fan, from: State): void {
    this.#counts[from]--
    this.#counts[fan.state]++
    if (fan.state === 'away') this.#away.push(fan)
    if (fan.state === 'back' || from === 'back') this.#openSome()
  }

  #openSome(): void {
    if (this.#isOver) return
    const next = this.#away.splice(0, Math.max(0, OPENING_MAX - this.#counts.opening))
    for (const fan of next) fan.open()
  }
}
