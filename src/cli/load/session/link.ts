// A session of the session proxy as the general generator sees it: messages go out through Redis, as a backend's do, and
// come back over the session's WebSocket.
import { randomUUID } from 'node:crypto'
import { problemOf } from '../../problem.ts'
import { authKeyOf, channelOf, sessionPathOf } from '../../session-name.ts'
import type { ToolBridge } from '../../tool-bridge.ts'
import type { Link, LinkAddress, LinkListener } from '../link.ts'
import type { LoadPlan, SessionTarget } from '../plan.ts'
import { WsLink } from '../ws-link.ts'

/** A key that a killed generator leaves behind ends by itself. */
const KEY_TTL_SECONDS = 10_800

/** The way to Redis that all links of a thread share: open as long as there is one. */
export class SessionRedis {
  readonly #target: SessionTarget
  #bridge: Promise<ToolBridge | string> | undefined
  #users = 0

  constructor(target: SessionTarget) {
    this.#target = target
  }

  /** The bridge, or why there is none. `leave` has to follow, once. */
  enter(): Promise<ToolBridge | string> {
    this.#users++
    this.#bridge ??= this.#open()
    return this.#bridge
  }

  async leave(): Promise<void> {
    if (--this.#users > 0) return
    const bridge = await this.#bridge
    // Somebody may have come meanwhile.
    if (this.#users > 0 || bridge === undefined) return
    this.#bridge = undefined
    if (typeof bridge !== 'string') await bridge[Symbol.asyncDispose]()
  }

  async #open(): Promise<ToolBridge | string> {
    // Generators of other transports start without a client of Redis.
    const module = await import('../../tool-bridge.ts')
    return module.ToolBridge.open({ address: this.#target.redis, signal: new AbortController().signal })
  }
}

export class SessionLink implements Link {
  readonly #redis: SessionRedis
  readonly #listener: LinkListener
  readonly #session = `load-test-${randomUUID()}`
  readonly #channel = channelOf(this.#session, 'down')
  #bridge: ToolBridge | undefined
  #link: WsLink | undefined
  #isClosed = false
  #sent = 0
  /** Handed to Redis and not taken by it. */
  #pendingBytes = 0

  constructor(plan: LoadPlan, number: number, where: LinkAddress, redis: SessionRedis, listener: LinkListener) {
    this.#redis = redis
    this.#listener = listener
    void this.#open(plan, number, where)
  }

  get bufferedBytes(): number {
    return this.#pendingBytes
  }

  // The bridge writes the calls of a turn together by itself.
  begin(): void {}

  send(message: Buffer): void {
    void this.#publish(this.#sent++, Buffer.from(message))
  }

  end(): void {}

  close(): void {
    if (this.#isClosed) return
    this.#link?.close()
    void this.#leave()
  }

  async #open(plan: LoadPlan, number: number, where: LinkAddress): Promise<void> {
    const bridge = await this.#redis.enter()
    if (typeof bridge === 'string') {
      this.#fail(bridge)
      return
    }
    if (this.#isClosed) return
    this.#bridge = bridge
    const token = `token-${number}`
    try {
      const value = Buffer.from(token)
      await bridge.call('set', { key: authKeyOf(this.#session), value, ttlSeconds: KEY_TTL_SECONDS })
    } catch (error) {
      this.#fail(problemOf(error))
      return
    }
    if (this.#isClosed) return
    const listener = this.#listener
    const request = {
      path: sessionPathOf(`agent-${number}`, this.#session),
      headers: { Authorization: `Bearer ${token}` },
    }
    this.#link = new WsLink(
      plan,
      where,
      {
        opened: () => listener.opened(),
        received: (bytes, start, end) => listener.received(bytes, start, end),
        garbled: () => listener.garbled(),
        closed: (kind, detail) => {
          void this.#leave()
          listener.closed(kind, detail)
        },
      },
      request,
    )
  }

  async #publish(sequence: number, payload: Buffer): Promise<void> {
    this.#pendingBytes += payload.length
    try {
      await this.#bridge?.call('publish', { channel: this.#channel, payload })
    } catch (error) {
      if (!this.#isClosed) this.#listener.failed(sequence, 'failed', `publishing: ${problemOf(error)}`)
    }
    this.#pendingBytes -= payload.length
  }

  #fail(reason: string): void {
    if (this.#isClosed) return
    void this.#leave()
    this.#listener.closed('connect-failed', reason)
  }

  async #leave(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    // Without Redis it stays there until its time is over.
    await this.#bridge?.call('remove', { key: authKeyOf(this.#session) }).catch(() => {})
    await this.#redis.leave()
  }
}
