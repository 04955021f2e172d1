// One connection of a session, from its handshake on: listens to the channel `down`, publishes to `up`.
//
//   joining ──accepted──▶ open ──▶ gone          gone: closed, refused, or moved to another shard
import type { ChannelListener, ChannelPosition, ChannelSubscription } from '../../bridge/bridge.ts'
import type { Connection } from '../../net/connection.ts'
import { encodeFrame, OPCODE } from '../../net/websocket/frame.ts'
import { type FrozenHeartbeat, Heartbeat } from '../heartbeat.ts'
import { CHANNEL_PREFIX, type ProxyEdge } from './edge.ts'

/** What one client may have on the way to the bridge; beyond it is not read from. So it cannot take up all of the way. */
export const UPSTREAM_MESSAGES_MAX = 128
export const UPSTREAM_BYTES_MAX = 1024 * 1024
/** A connection that moved here and was refused its channel asks again. */
const LISTEN_AGAIN_MS = 1_000
/** Share of `net.sendBuffer.max` that counts as slow. */
const SLOW_SHARE = 0.8

export const TEXT = {
  invalidJson: '{"error":"Invalid JSON format"}',
  unavailable: '{"error":"Upstream unavailable"}',
  notBinary: 'binary frames are not supported',
  silent: 'heartbeat timeout',
} as const

const GAP_FRAME = encodeFrame(Buffer.from('{"type":"control","command":"gap"}'), OPCODE.text)
const NO_PAYLOAD = Buffer.alloc(0)

/** A member on its way to another shard; structured-cloneable. */
export interface FrozenMember {
  readonly agent: string
  readonly session: string
  readonly since: ChannelPosition | undefined
  readonly heartbeat: FrozenHeartbeat | undefined
}

export class Member implements ChannelListener {
  readonly agent: string
  readonly session: string
  readonly #edge: ProxyEdge
  readonly #upChannel: string
  #subscription: ChannelSubscription
  /** Where it goes on, until its subscription is confirmed. */
  #since: ChannelPosition | undefined
  #connection: Connection<Member> | undefined
  #heartbeat: Heartbeat | undefined
  #isGone = false
  #isSlow = false
  /** Of texts that are being published. */
  #messages = 0
  #bytes = 0
  #cancelListen: () => void = () => {}

  constructor(edge: ProxyEdge, agent: string, session: string, since?: ChannelPosition) {
    this.agent = agent
    this.session = session
    this.#edge = edge
    this.#upChannel = channelOf(session, 'up', edge.channelPrefix)
    this.#since = since
    edge.listening(session, 1)
    this.#subscription = this.#listen()
  }

  static thaw(edge: ProxyEdge, connection: Connection<Member>, frozen: FrozenMember): Member {
    const member = new Member(edge, frozen.agent, frozen.session, frozen.since)
    member.#listenUntilConfirmed()
    member.#connect(connection, frozen.heartbeat)
    return member
  }

  /** Nothing published from now on is missed. Rejects as calls of the bridge do. */
  get listens(): Promise<void> {
    return this.#subscription.confirmed
  }

  get bufferedBytes(): number {
    return this.#connection?.bufferedBytes ?? 0
  }

  open(connection: Connection<Member>): void {
    this.#connect(connection, undefined)
  }

  /** Also for one that was never open. */
  leave(): void {
    this.#end(false)
    this.#heartbeat?.stop()
  }

  /** It goes on in another shard. Only while `settled`. */
  freeze(): FrozenMember {
    const since = this.#subscription.position ?? this.#since
    this.#end(true)
    return { agent: this.agent, session: this.session, since, heartbeat: this.#heartbeat?.freeze() }
  }

  /** Nothing of it is on the way to the bridge: what it says next, elsewhere, cannot overtake it. */
  get settled(): boolean {
    return this.#messages === 0
  }

  // ---- from the client --------------------------------------------------------------------------------------------

  /** `payload` is valid only during the call. */
  received(connection: Connection<Member>, payload: Buffer, isBinary: boolean): void {
    const { context, counters } = this.#edge
    const nowMs = context.clock.nowMs()
    counters.fromClient.value++
    if (isBinary) {
      counters.error('binary')
      connection.close(1003, TEXT.notBinary)
      return
    }
    if (!isJson(payload)) {
      counters.error('invalid_json')
      connection.send(TEXT.invalidJson)
      return
    }
    const { length } = payload
    this.#messages++
    this.#bytes += length
    if (this.#isFull) connection.pause()
    context.bridge.publish({ channel: this.#upChannel, payload }).then(
      () => {
        counters.toBridge.value++
        counters.up.observe((context.clock.nowMs() - nowMs) / 1_000)
        this.#published(connection, length)
      },
      () => {
        counters.error('publish')
        connection.send(TEXT.unavailable)
        this.#published(connection, length)
      },
    )
  }

  /** The client has read most of what waited for it. */
  caughtUp(): void {
    this.#isSlow = false
  }

  // ---- from the channel -------------------------------------------------------------------------------------------

  message(payload: Buffer, position: ChannelPosition): void {
    const connection = this.#connection
    // Before it is open it has been promised nothing.
    if (connection?.open !== true) return
    const { downstream, counters, context } = this.#edge
    const frame = downstream.frameOf(this.session, payload, position, connection.wire)
    if (frame === undefined) return
    connection.sendShared(frame, 1)
    counters.toClient.value++
    counters.down.observe((context.clock.nowMs() - downstream.arrivedMs) / 1_000)
    if (this.#isSlow || connection.bufferedBytes < SLOW_SHARE * connection.loop.limits.sendBufferMaxBytes) return
    this.#isSlow = true
    counters.slow.value++
  }

  gap(): void {
    if (this.#edge.context.config.gapNotice) this.#connection?.sendShared(GAP_FRAME, 1)
  }

  // ---- inside -----------------------------------------------------------------------------------------------------

  get #isFull(): boolean {
    return this.#messages >= UPSTREAM_MESSAGES_MAX || this.#bytes >= UPSTREAM_BYTES_MAX
  }

  #published(connection: Connection<Member>, length: number): void {
    this.#messages--
    this.#bytes -= length
    if (connection.paused && this.#messages <= UPSTREAM_MESSAGES_MAX / 2 && this.#bytes <= UPSTREAM_BYTES_MAX / 2) {
      this.#heartbeat?.goOn()
      connection.resume()
    }
    if (this.#messages === 0) connection.lookAgain()
  }

  #connect(connection: Connection<Member>, heartbeat: FrozenHeartbeat | undefined): void {
    const { context } = this.#edge
    const { pingInterval, pingTimeout } = context.config
    const pulse = {
      get paused(): boolean {
        return connection.paused
      },
      get receivedMs(): number {
        return connection.patience.receivedMs
      },
      ping: () => connection.ping(NO_PAYLOAD),
      dead: () => this.#drop(connection),
    }
    const options = { clock: context.clock, after: context.after, intervalMs: pingInterval, timeoutMs: pingTimeout }
    this.#connection = connection
    this.#heartbeat = new Heartbeat(options, pulse, heartbeat)
    this.#edge.add(this)
  }

  /** Nobody is there to wait for. */
  #drop(connection: Connection<Member>): void {
    if (!connection.open) return
    this.#edge.counters.error('heartbeat')
    connection.blame('idle_timeout')
    connection.close(1001, TEXT.silent)
    connection.finish('idle_timeout')
    connection.destroySoon()
  }

  #listen(): ChannelSubscription {
    const { context, channelPrefix } = this.#edge
    return context.bridge.subscribe(channelOf(this.session, 'down', channelPrefix), this, this.#since)
  }

  /** An open connection must not stay deaf, whatever the bridge says today. It is told of the gap then. */
  #listenUntilConfirmed(): void {
    this.#subscription.confirmed.catch(() => {
      if (this.#isGone) return
      this.#since = this.#subscription.position ?? this.#since
      this.#cancelListen = this.#edge.context.after(LISTEN_AGAIN_MS, () => {
        this.#subscription = this.#listen()
        this.#listenUntilConfirmed()
      })
    })
  }

  #end(isMoving: boolean): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#cancelListen()
    this.#subscription.end(isMoving)
    this.#edge.listening(this.session, -1)
    this.#edge.remove(this)
  }
}

/** How Redis names the channel. */
export function channelOf(session: string, direction: 'up' | 'down', prefix = CHANNEL_PREFIX): string {
  return `${prefix}${session}:${direction}`
}

export function isJson(payload: Buffer): boolean {
  try {
    JSON.parse(payload.toString())
    return true
  } catch {
    // There is no other way to ask; the answer is that it is not.
    return false
  }
}
