// What the connections of one shard have in common: the bridge, the counters, who is connected.
import type { ServiceContext } from '../service.ts'
import type { SessionProxyConfig } from './config.ts'
import { type ProxyCounters, proxyCounters } from './counter.ts'
import { Downstream } from './downstream.ts'
import type { Member } from './member.ts'

export type EdgeContext = Pick<
  ServiceContext<SessionProxyConfig>,
  'config' | 'clock' | 'log' | 'metrics' | 'after' | 'bridge'
>

/** How Redis names the channels of sessions. */
export const CHANNEL_PREFIX = 'session:'

export class ProxyEdge {
  readonly context: EdgeContext
  readonly counters: ProxyCounters
  readonly downstream: Downstream
  /** Called whenever `size` has changed. */
  onSize: () => void = () => {}
  /** Of the names of its channels. */
  readonly channelPrefix: string
  readonly #open = new Set<Member>()
  /** Listeners by session, those of open handshakes included. */
  readonly #listeners = new Map<string, number>()

  constructor(context: EdgeContext, channelPrefix = CHANNEL_PREFIX) {
    this.context = context
    this.channelPrefix = channelPrefix
    this.counters = proxyCounters(context.metrics, {
      bufferedBytes: () => this.#bufferedBytes(),
      channels: () => this.#listeners.size,
    })
    this.downstream = new Downstream(context.clock, this.counters)
  }

  /** Open connections. */
  get size(): number {
    return this.#open.size
  }

  /** A connection of a member opened, or moved here. */
  add(member: Member): void {
    this.#open.add(member)
    this.counters.connections.value = this.#open.size
    this.onSize()
  }

  /** It ended, or moved away. */
  remove(member: Member): void {
    if (!this.#open.delete(member)) return
    this.counters.connections.value = this.#open.size
    this.onSize()
  }

  listening(session: string, change: 1 | -1): void {
    const count = (this.#listeners.get(session) ?? 0) + change
    if (count > 0) this.#listeners.set(session, count)
    else this.#listeners.delete(session)
  }

  #bufferedBytes(): number {
    let bytes = 0
    for (const member of this.#open) bytes += member.bufferedBytes
    return bytes
  }
}
