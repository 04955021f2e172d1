// One Redis server as the bridge uses it: a connection for commands, and one that brings channels.
import type { RedisEndpoint } from '../lib/redis-address.ts'
import { RedisLine } from './redis-line.ts'
import type { RedisEngineOptions } from './redis-options.ts'
import { RedisSubscriber } from './redis-subscriber.ts'

export interface RedisServerOptions extends RedisEngineOptions {
  /** Undefined: the address says which it is. */
  readonly endpoint: RedisEndpoint | undefined
  readonly isSharded: boolean
  readonly onMessage: (channel: string, payload: Buffer) => void
  readonly onGap: (channels: readonly string[]) => void
  /** Something of it came up or went down. */
  readonly onChange: () => void
  readonly onReconnect: () => void
  readonly onMoved: () => void
}

/** A server that stays read-only, whatever is done about it, must not cost all subscriptions each time. */
const READ_ONLY_RESTART_MS = 5_000

export class RedisServer {
  readonly endpoint: RedisEndpoint | undefined
  readonly commands: RedisLine
  readonly subscriber: RedisSubscriber
  readonly #options: RedisServerOptions
  #restartedMs = Number.NEGATIVE_INFINITY

  constructor(options: RedisServerOptions) {
    this.#options = options
    this.endpoint = options.endpoint
    const onUp = (): void => options.onChange()
    const onDown = (): void => options.onChange()
    this.commands = new RedisLine({ ...options, onMessage: undefined, onMoved: undefined, onUp, onDown })
    this.subscriber = new RedisSubscriber({ ...options, onUp, onDown })
  }

  get isUp(): boolean {
    return this.commands.link !== undefined && this.subscriber.isUp
  }

  /** Empty while it is up. */
  get problem(): string {
    if (this.isUp) return ''
    return this.commands.problem || this.subscriber.line.problem || 'channels are being subscribed again'
  }

  /** It is no master any more: new connections may find the one that is. */
  readOnly(problem: string): void {
    const nowMs = this.#options.clock.nowMs()
    if (nowMs - this.#restartedMs < READ_ONLY_RESTART_MS) return
    this.#restartedMs = nowMs
    this.commands.restart(problem)
    this.subscriber.line.restart(problem)
  }

  close(problem: string): void {
    this.commands.close(problem)
    this.subscriber.close(problem)
  }
}
