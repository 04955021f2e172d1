// How the hub's shards ask each other, on whatever host: a channel of the bridge for each shard in each of its lives, and
// one for all shards of a host. Who is gone listens no more, and that is known at once.
//
//   ask ──▶ hub:shard:<owner> or hub:host:<host> ──▶ answer, in parts ──▶ hub:shard:<asker>
import type { Bridge } from '../../bridge/bridge.ts'
import type { ServiceContext } from '../service.ts'

const LISTEN_AGAIN_MS = 1_000
/** Questions of a shard that wait; more are answered with nothing. */
const ASKS_MAX = 10_000

/**
 * So long nobody asks again a shard that is gone: all its clients come at once. Less than a shard that was cut off takes
 * to claim its sessions (session-book.ts), so what was taken from it meanwhile is found then.
 */
const GONE_MS = 250
const GONE_MAX = 256

/** `none`: nobody listens there any more, so the shard has ended. `late`: no answer in time. */
export type LineAnswer<T> =
  | { readonly state: 'answered'; readonly parts: readonly T[] }
  | { readonly state: 'none' | 'late' }

interface Ask {
  readonly kind: 'ask'
  readonly to: string
  readonly number: number
  readonly question: unknown
}
interface Part {
  readonly kind: 'part'
  readonly number: number
  /** Who answers. */
  readonly by: string
  readonly part: unknown
  /** Nothing more comes of this one. */
  readonly isLast: boolean
}
interface Notice {
  readonly kind: 'notice'
  readonly notice: unknown
}
type LineMessage = Ask | Part | Notice

export interface LineOptions {
  readonly bridge: Bridge
  readonly after: ServiceContext<unknown>['after']
  readonly shard: string
  readonly host: string
  /** The parts of an answer; undefined: not one of mine. */
  readonly answer: (question: unknown) => readonly unknown[] | undefined
  readonly notice: (notice: unknown) => void
  /** What others asked of this shard, or told it, may be missing. */
  readonly gap: () => void
}

interface Waiting {
  readonly parts: unknown[]
  readonly by: Set<string>
  readonly wanted: number
  readonly done: (answer: LineAnswer<unknown>) => void
}

export class ShardLine {
  readonly #options: LineOptions
  readonly #waiting = new Map<number, Waiting>()
  readonly #gone = new Set<string>()
  #last = 0

  constructor(options: LineOptions) {
    this.#options = options
    this.#listen(channelOfShard(options.shard), options.gap)
    // What was asked meanwhile ends by its time limit.
    this.#listen(channelOfHost(options.host), () => {})
  }

  /** A question to one shard. Never rejects. */
  async ask<T>(shard: string, question: unknown, ms: number): Promise<LineAnswer<T>> {
    if (this.#gone.has(shard)) return { state: 'none' }
    const answer = await this.#ask(channelOfShard(shard), question, 1, ms)
    if (answer.state === 'none') this.#leave(shard)
    return answer as LineAnswer<T>
  }

  /** A question to all shards of this host, of which so many answer; with what came in time. Never rejects. */
  async askAll<T>(question: unknown, shards: number, ms: number): Promise<readonly T[]> {
    const answer = await this.#ask(channelOfHost(this.#options.host), question, shards, ms, true)
    return answer.state === 'answered' ? (answer.parts as T[]) : []
  }

  /** At most once. */
  tell(shard: string, notice: unknown): void {
    if (this.#gone.has(shard)) return
    this.#publish(channelOfShard(shard), { kind: 'notice', notice }).catch(() => {
      // Only figures depend on it.
    })
  }

  #leave(shard: string): void {
    if (this.#gone.has(shard) || this.#gone.size >= GONE_MAX) return
    this.#gone.add(shard)
    this.#options.after(GONE_MS, () => void this.#gone.delete(shard))
  }

  #ask(
    channel: string,
    question: unknown,
    wanted: number,
    ms: number,
    takesSome = false,
  ): Promise<LineAnswer<unknown>> {
    if (this.#waiting.size >= ASKS_MAX) return Promise.resolve({ state: 'late' })
    const number = ++this.#last
    const { promise, resolve } = Promise.withResolvers<LineAnswer<unknown>>()
    const parts: unknown[] = []
    const done = (answer: LineAnswer<unknown>): void => {
      if (!this.#waiting.delete(number)) return
      cancel()
      resolve(answer)
    }
    const cancel = this.#options.after(ms, () => done(takesSome ? { state: 'answered', parts } : { state: 'late' }))
    this.#waiting.set(number, { parts, by: new Set(), wanted, done })
    this.#publish(channel, { kind: 'ask', to: this.#options.shard, number, question }).then(
      (listeners) => {
        if (listeners === 0) done({ state: 'none' })
      },
      () => done({ state: 'late' }),
    )
    return promise
  }

  #publish(channel: string, message: LineMessage): Promise<number> {
    return this.#options.bridge.publish({ channel, payload: Buffer.from(JSON.stringify(message)) })
  }

  #listen(channel: string, gap: () => void, isAgain = false): void {
    const { bridge, after } = this.#options
    const { confirmed } = bridge.subscribe(channel, { message: (payload) => this.#hear(payload), gap })
    confirmed.then(
      () => {
        if (isAgain) gap()
      },
      () => after(LISTEN_AGAIN_MS, () => this.#listen(channel, gap, true)),
    )
  }

  #hear(payload: Buffer): void {
    let message: LineMessage
    try {
      message = JSON.parse(payload.toString()) as LineMessage
    } catch {
      // Somebody else publishes on our channels.
      return
    }
    if (message.kind === 'notice') this.#options.notice(message.notice)
    else if (message.kind === 'ask') this.#answer(message)
    else if (message.kind === 'part') this.#part(message)
  }

  #answer({ to, number, question }: Ask): void {
    const parts = this.#options.answer(question)
    if (parts === undefined) return
    for (const [index, part] of parts.entries()) {
      const isLast = index === parts.length - 1
      this.#publish(channelOfShard(to), { kind: 'part', number, by: this.#options.shard, part, isLast }).catch(() => {
        // Who asked hears nothing, and goes on without.
      })
    }
  }

  #part({ number, by, part, isLast }: Part): void {
    const waiting = this.#waiting.get(number)
    if (waiting === undefined) return
    waiting.parts.push(part)
    if (isLast) waiting.by.add(by)
    if (waiting.by.size >= waiting.wanted) waiting.done({ state: 'answered', parts: waiting.parts })
  }
}

function channelOfShard(shard: string): string {
  return `hub:shard:${shard}`
}

function channelOfHost(host: string): string {
  return `hub:host:${host}`
}
