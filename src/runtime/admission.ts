// Who may come in: the limits of the process, the service, the listener and the address. Counts what the acceptor holds
// and what it gave to shards; knows no sockets.
import type { ListenerSpec } from '../net/listener-spec.ts'
import type { RefuseReason } from '../observe/family.ts'

export interface AdmissionLimits {
  readonly connectionsMax: number
  /** 0: no limit. */
  readonly connectionsPerAddressMax: number
}

/** Connections of one service that live on shards. */
export type OpenOnShards = (serviceIndex: number) => number

interface Tracked {
  readonly listener: number
  readonly address: string
  /** -1 while the acceptor still holds it. */
  shard: number
}

/** Connections that count towards a limit. */
export type FrozenAdmission = readonly (Tracked & { readonly id: number })[]

/** Whether shards have to report the end of each connection: otherwise nobody needs to know. */
export function tracksEnds(connectionsPerAddressMax: number, listeners: readonly ListenerSpec[]): boolean {
  return connectionsPerAddressMax > 0 || listeners.some((one) => one.connectionsMax !== undefined)
}

export class Admission {
  readonly #limits: AdmissionLimits
  readonly #openOnShards: OpenOnShards
  readonly #services: readonly number[]
  /** Sockets the acceptor holds, by service index. */
  readonly #held = new Map<number, number>()
  /** Connections that count towards a limit that only their end can free: of one listener, or of one address. */
  readonly #tracked = new Map<number, Tracked>()
  readonly #byAddress = new Map<string, number>()
  readonly #byListener: number[]
  readonly tracks: boolean

  constructor(limits: AdmissionLimits, listeners: readonly ListenerSpec[], openOnShards: OpenOnShards) {
    this.#limits = limits
    this.#openOnShards = openOnShards
    this.#services = [...new Set(listeners.map(({ serviceIndex }) => serviceIndex))]
    this.#byListener = listeners.map(() => 0)
    this.tracks = tracksEnds(limits.connectionsPerAddressMax, listeners)
  }

  /** Undefined: come in, and the socket counts as held. */
  enter(listener: ListenerSpec): RefuseReason | undefined {
    const { serviceIndex } = listener
    const ofService = this.#openOf(serviceIndex)
    if (ofService >= listener.serviceConnectionsMax) return 'service_limit'
    // The sum over all services cannot be over the limit when this one alone is far from it and there is no other.
    const all =
      this.#services.length === 1 ? ofService : this.#services.reduce((sum, one) => sum + this.#openOf(one), 0)
    if (all >= this.#limits.connectionsMax) return 'process_limit'
    this.#held.set(serviceIndex, (this.#held.get(serviceIndex) ?? 0) + 1)
    return undefined
  }

  /** Counts towards the limits of its listener and address; undefined: it may stay. Once per connection. */
  track(id: number, listener: ListenerSpec, address: string): RefuseReason | undefined {
    if (!this.tracks) return undefined
    const perAddressMax = this.#limits.connectionsPerAddressMax
    const ofAddress = this.#byAddress.get(address) ?? 0
    if (perAddressMax > 0 && ofAddress >= perAddressMax) return 'address_limit'
    if (this.listenerFull(listener)) return 'service_limit'
    this.#tracked.set(id, { listener: listener.index, address, shard: -1 })
    this.#byAddress.set(address, ofAddress + 1)
    this.#byListener[listener.index] = (this.#byListener[listener.index] ?? 0) + 1
    return undefined
  }

  listenerFull(listener: ListenerSpec): boolean {
    return (this.#byListener[listener.index] ?? 0) >= (listener.connectionsMax ?? Number.POSITIVE_INFINITY)
  }

  /** The acceptor does not hold the socket any more: `shard` does, or nobody (-1). */
  leave(id: number, listener: ListenerSpec, shard: number): void {
    this.#held.set(listener.serviceIndex, Math.max(0, (this.#held.get(listener.serviceIndex) ?? 0) - 1))
    if (shard < 0) this.ended(id)
    else {
      const tracked = this.#tracked.get(id)
      if (tracked !== undefined) tracked.shard = shard
    }
  }

  /** A shard reports the end of a connection. */
  ended(id: number): void {
    const tracked = this.#tracked.get(id)
    if (tracked === undefined) return
    this.#tracked.delete(id)
    const ofAddress = (this.#byAddress.get(tracked.address) ?? 1) - 1
    if (ofAddress === 0) this.#byAddress.delete(tracked.address)
    else this.#byAddress.set(tracked.address, ofAddress)
    this.#byListener[tracked.listener] = (this.#byListener[tracked.listener] ?? 1) - 1
  }

  /** A connection lives on another shard now. */
  moved(id: number, shard: number): void {
    const tracked = this.#tracked.get(id)
    if (tracked !== undefined) tracked.shard = shard
  }

  /** What a successor goes on with. */
  freeze(): FrozenAdmission {
    return [...this.#tracked].filter(([, { shard }]) => shard >= 0).map(([id, tracked]) => ({ id, ...tracked }))
  }

  thaw(frozen: FrozenAdmission): void {
    if (!this.tracks) return
    for (const { id, listener, address, shard } of frozen) {
      this.#tracked.set(id, { listener, address, shard })
      this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1)
      this.#byListener[listener] = (this.#byListener[listener] ?? 0) + 1
    }
  }

  /** A shard is gone, and with it all its connections. */
  shardEnded(shard: number): void {
    for (const [id, tracked] of this.#tracked) if (tracked.shard === shard) this.ended(id)
  }

  #openOf(serviceIndex: number): number {
    return this.#openOnShards(serviceIndex) + (this.#held.get(serviceIndex) ?? 0)
  }
}
