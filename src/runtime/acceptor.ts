// The acceptor: owns the listening sockets and the UDP sockets, finds the session of each connection, and gives it to
// the shard of that session. Relays no byte of a connection.
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { getSystemErrorName } from 'node:util'
import type { MessagePort } from 'node:worker_threads'
import { SEATS_MAX, THREAD } from '../lib/thread.ts'
import {
  adoptListening,
  detachListening,
  peerOf,
  plainAddress,
  type TcpHandle,
  takeHandles,
  tune,
} from '../net/handoff.ts'
import type { RemoteAddress } from '../net/identity.ts'
import { openServers } from '../net/listen.ts'
import type { ListenerSpec, ListeningAddress } from '../net/listener-spec.ts'
import { RECORD } from '../net/record.ts'
import { peerKey, type SessionOf } from '../net/session-key.ts'
import { Sniffer } from '../net/sniffer.ts'
import type { RefuseReason } from '../observe/family.ts'
import { type AcceptorLine, add, refusedColumn } from '../observe/figure.ts'
import { errorFields, type LimitedLogger } from '../observe/logger.ts'
import { SlotTable } from '../placement/slots.ts'
import { loadDefinitions } from '../services/registry.ts'
import { createNodeWheel } from '../timer/node-wheel.ts'
import type { TimerWheel } from '../timer/wheel.ts'
import { Admission } from './admission.ts'
import { DatagramGate } from './datagram-gate.ts'
import { connectionsAllowed, processLimits } from './descriptor-limit.ts'
import { HandoverDesk } from './handover-desk.ts'
import { Refusal } from './refusal.ts'
import { SerialCounters } from './serial-counter.ts'
import { ThreadBase } from './thread-base.ts'
import type { AcceptorControl, InheritanceMessage, ThreadData } from './thread-data.ts'

const REFUSALS_LOGGED_PER_SECOND = 2
const FAILURES_LOGGED_PER_SECOND = 2
/** Connections that wait for a shard while none takes any, for how long, and how often they try again. */
const WAITING_MAX = 10_000
const WAITING_MS = 5_000
const WAITING_RETRY_MS = 20
/** How long a surplus connection of a listener with a limit of its own waits: the end of the one before may be on its way. */
const SURPLUS_MS = 20

/** An acceptor whose successor listens waits so long for the connections that it still holds. */
const LEAVE_MS_MAX = 15_000
const LEAVE_POLL_MS = 50
/** Datagrams that were in the old socket's queue when the new one was bound. */
const DATAGRAMS_LEFT_MS = 100

/** An accepted connection on its way to a shard. */
interface Arrival {
  readonly id: number
  readonly listener: ListenerSpec
  readonly remote: RemoteAddress
  readonly acceptedMs: number
  readonly handle: TcpHandle | undefined
  readonly socket: Socket | undefined
}

interface Waiting {
  readonly arrival: Arrival
  readonly key: string
  readonly head: Uint8Array | undefined
  readonly sinceMs: number
}

export class Acceptor implements AcceptorControl {
  readonly #base: ThreadBase
  readonly #data: ThreadData
  readonly #wheel: TimerWheel
  readonly #desk: HandoverDesk
  readonly #admission: Admission
  readonly #serials: SerialCounters
  readonly #sniffer: Sniffer
  readonly #refusal: Refusal
  readonly #datagrams: DatagramGate
  readonly #refused: LimitedLogger
  readonly #servers: { readonly server: Server; readonly index: number; readonly host: string }[] = []
  readonly #sessionOf: (SessionOf | undefined)[] = []
  #waiting: Waiting[] = []
  #retryScheduled = false
  #stopped = false

  constructor(data: ThreadData, port: MessagePort) {
    this.#data = data
    this.#base = new ThreadBase(data, port, (_source, kind, bytes, offset, length) => {
      const record = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length)
      if (kind === RECORD.reply) this.#datagrams.reply(record)
      else if (kind === RECORD.ended) this.#admission.ended(record.readDoubleLE(0))
      else if (kind === RECORD.moved) this.#admission.moved(record.readDoubleLE(0), record.readUInt16LE(8))
    })
    const { clock, table, figures, log, mesh } = this.#base
    const { net, heap } = data.config
    this.#wheel = createNodeWheel(clock)
    const slots = new SlotTable(data.slots)
    const services = [...new Set(data.listeners.map(({ serviceIndex }) => serviceIndex))]
    this.#desk = new HandoverDesk({
      seats: SEATS_MAX,
      services,
      table,
      figures,
      slots,
      clock,
      heapRefuseAt: heap.refuseAt,
      line: lineOf(data.thread),
    })
    const allowed = connectionsAllowed(processLimits(), data.shardCount + 2)
    if (allowed < net.maxConnections)
      log.warn('net.descriptors_limit', { connections: allowed, configured: net.maxConnections })
    const limits = {
      connectionsMax: Math.min(allowed, net.maxConnections),
      connectionsPerAddressMax: net.maxConnectionsPerAddress,
    }
    this.#admission = new Admission(limits, data.listeners, (service) => this.#desk.openOf(service))
    this.#serials = new SerialCounters(data.serials)
    this.#sniffer = new Sniffer({ wheel: this.#wheel, bytesMax: net.sniff.bytes, timeoutMs: net.sniff.timeout })
    this.#refusal = new Refusal(this.#wheel)
    this.#refused = log.limited('net.connection_refused', REFUSALS_LOGGED_PER_SECOND)
    this.#datagrams = new DatagramGate({ desk: this.#desk, mesh, figures, log, metrics: this.#base.metrics })
    this.#base.onBeat = () => {
      const lost = this.#desk.acknowledge()
      if (lost > 0) log.error('net.handover_lost', { connections: lost })
    }
  }

  async start(): Promise<readonly ListeningAddress[]> {
    const { services } = await loadDefinitions(this.#data.modules)
    const addresses: ListeningAddress[] = []
    for (const listener of this.#data.listeners) {
      const { service, transport } = listener
      const sessionOf = services[listener.serviceIndex]?.listeners[transport]?.sessionOf
      this.#sessionOf[listener.index] = sessionOf && this.#guarded(sessionOf, service)
      if (this.#data.inherits) continue
      const opened =
        transport === 'udp'
          ? await this.#datagrams.open(listener, this.#sessionOf[listener.index])
          : await this.#open(listener)
      for (const { host, port } of opened) addresses.push({ service, transport, host, port })
    }
    this.#base.open()
    return addresses
  }

  shardUp(shard: number, port: MessagePort): void {
    this.#desk.shardUp(shard, port)
    this.#retryWaiting()
  }

  shardDown(shard: number): void {
    const lost = this.#desk.shardDown(shard)
    this.#admission.shardEnded(shard)
    // The rings are not touched: main says on the port of the links, and in order with the successor's link, that they
    // lost their peer. This call comes on another port and may be overtaken by that link.
    if (lost > 0) this.#base.log.warn('net.handover_lost', { shard, connections: lost })
  }

  shardLeaving(shard: number): Promise<void> {
    return this.#desk.shardLeaving(shard)
  }

  async giveListeners(port: MessagePort): Promise<void> {
    const tell = (message: InheritanceMessage, moved: readonly TcpHandle[] = []): void =>
      port.postMessage(message, [...moved] as unknown as MessagePort[])
    for (const { server, index, host } of this.#servers.splice(0)) {
      const handle = detachListening(server)
      if (handle !== undefined) tell({ kind: 'listener', index, host, handle }, [handle])
    }
    tell({ kind: 'last', admission: this.#admission.freeze() })
    this.#desk.retire()
    const untilMs = this.#base.clock.nowMs() + LEAVE_MS_MAX
    // Its successor's sockets are bound beside these by then, and what these still get is answered.
    await once(port, 'message')
    await pause(DATAGRAMS_LEFT_MS)
    this.#datagrams.close()
    const held = (): number => this.#sniffer.size + this.#waiting.length + this.#desk.owed
    while (held() > 0 && this.#base.clock.nowMs() < untilMs) await pause(LEAVE_POLL_MS)
  }

  async takeListeners(port: MessagePort): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let adopted = Promise.resolve()
    port.on('message', (message: InheritanceMessage) => {
      if (message.kind === 'last') {
        this.#admission.thaw(message.admission)
        adopted.then(resolve, reject)
      } else adopted = adopted.then(() => this.#adopt(message.index, message.host, message.handle))
    })
    await promise
    for (const listener of this.#data.listeners) {
      if (listener.transport === 'udp') await this.#datagrams.open(listener, this.#sessionOf[listener.index], true)
    }
    port.postMessage('open')
  }

  async #adopt(index: number, host: string, handle: TcpHandle): Promise<void> {
    const listener = this.#data.listeners[index]
    if (listener === undefined) handle.close()
    else this.#serve(listener, host, await adoptListening(handle))
  }

  stop(): void {
    this.#stopped = true
    for (const { server } of this.#servers) server.close()
    this.#datagrams.close()
    this.#sniffer.close()
    for (const { arrival } of this.#waiting) this.#turnAway(arrival, 'shutdown')
    this.#waiting = []
  }

  collect(): ReturnType<AcceptorControl['collect']> {
    return this.#base.metrics.collect()
  }

  // It runs user code on what strangers send: a throw must not cost the process its acceptor.
  #guarded(sessionOf: SessionOf, service: string): SessionOf {
    const failed = this.#base.log.limited('net.session_of_failed', FAILURES_LOGGED_PER_SECOND)
    return (head, start, end, fresh) => {
      try {
        return sessionOf(head, start, end, fresh)
      } catch (error) {
        failed.error({ service, ...errorFields(error) })
        return { state: 'none' }
      }
    }
  }

  async #open(listener: ListenerSpec): Promise<{ host: string; port: number }[]> {
    const { rawHandoff, config } = this.#data
    const make = (): Server =>
      rawHandoff
        ? createServer()
        : createServer({ pauseOnConnect: true }, (socket) => this.#accept(listener, undefined, socket))
    const opened = await openServers(listener.host, listener.port, config.net.backlog, make)
    for (const { socket, host } of opened) {
      if (rawHandoff) this.#serve(listener, host, socket)
      else this.#servers.push({ server: socket, index: listener.index, host })
    }
    return opened
  }

  #serve(listener: ListenerSpec, host: string, server: Server): void {
    takeHandles(
      server,
      (handle) => this.#accept(listener, handle, undefined),
      (status) => this.#acceptFailed(listener, status),
    )
    this.#servers.push({ server, index: listener.index, host })
  }

  #accept(listener: ListenerSpec, handle: TcpHandle | undefined, socket: Socket | undefined): void {
    const { clock } = this.#base
    const remote = handle === undefined ? remoteOf(socket) : peerOf(handle)
    if (handle !== undefined) tune(handle)
    else socket?.setNoDelay(true).setKeepAlive(true, 60_000)
    const id = this.#serials.nextId()
    if (remote === undefined || this.#stopped) {
      // Reset before we came to it.
      handle?.close()
      socket?.destroy()
      return
    }
    const arrival: Arrival = { id, listener, remote, acceptedMs: clock.nowMs(), handle, socket }
    const refusal = this.#admission.enter(listener)
    if (refusal !== undefined) {
      this.#refuse(arrival, refusal)
      return
    }
    const sessionOf = listener.tls === undefined ? this.#sessionOf[listener.index] : undefined
    if (handle !== undefined && listener.proxyProtocol) this.#sniff(arrival, handle, sessionOf)
    else {
      this.#admit(arrival, () => {
        if (handle === undefined || sessionOf === undefined) this.#place(arrival, keyOf(remote), undefined)
        else this.#sniff(arrival, handle, sessionOf)
      })
    }
  }

  /** Mostly: no descriptor is left. libuv then closes what waits, so that clients hear of it. */
  #acceptFailed(listener: ListenerSpec, status: number): void {
    add(this.#base.figures, refusedColumn('error'), 1)
    this.#refused.error({ service: listener.service, reason: getSystemErrorName(status) })
  }

  /** Reads the head, then places. Behind a proxy the client's address, and so its limit, is known only then. */
  #sniff(arrival: Arrival, handle: TcpHandle, sessionOf: SessionOf | undefined): void {
    const { listener } = arrival
    this.#sniffer.add(handle, { sessionOf, proxyProtocol: listener.proxyProtocol }, (result) => {
      if (result.state === 'gone') this.#admission.leave(arrival.id, listener, -1)
      else if (result.state === 'invalid') this.#turnAway(arrival, 'proxy_header')
      else {
        const known = { ...arrival, remote: result.source ?? arrival.remote }
        const place = (): void => this.#place(known, result.key ?? keyOf(known.remote), result.head)
        if (listener.proxyProtocol) this.#admit(known, place)
        else place()
      }
    })
  }

  /** Goes on with a connection that its listener and its address still have a place for. */
  #admit(arrival: Arrival, goOn: () => void): void {
    const { remote, listener, id } = arrival
    if (this.#admission.listenerFull(listener)) {
      this.#wheel.schedule(SURPLUS_MS, () => {
        if (this.#admission.listenerFull(listener)) this.#turnAway(arrival, 'service_limit')
        else this.#admit(arrival, goOn)
      })
      return
    }
    const refusal = this.#admission.track(id, listener, remote.address)
    if (refusal === undefined) goOn()
    else this.#turnAway(arrival, refusal)
  }

  #place(arrival: Arrival, key: string, head: Uint8Array | undefined): void {
    const shard = this.#desk.shardFor(key, arrival.listener.serviceIndex)
    if (shard < 0) this.#waitForShard(arrival, key, head)
    else this.#give(arrival, key, head, shard)
  }

  #give(arrival: Arrival, key: string, head: Uint8Array | undefined, shard: number): void {
    const { listener, remote, id, acceptedMs, handle, socket } = arrival
    const serial = this.#serials.nextSerial(listener.index)
    const { address, port } = remote
    this.#desk.post(shard, listener.serviceIndex, {
      listener: listener.index,
      id,
      serial,
      address,
      port,
      session: key,
      acceptedMs,
      head,
      handle,
      socket,
    })
    this.#admission.leave(id, listener, shard)
  }

  #waitForShard(arrival: Arrival, key: string, head: Uint8Array | undefined): void {
    if (this.#waiting.length >= WAITING_MAX || this.#stopped) {
      this.#turnAway(arrival, 'no_shard')
      return
    }
    this.#waiting.push({ arrival, key, head, sinceMs: this.#base.clock.nowMs() })
    this.#retrySoon()
  }

  #retrySoon(): void {
    if (this.#retryScheduled) return
    this.#retryScheduled = true
    this.#wheel.schedule(WAITING_RETRY_MS, () => {
      this.#retryScheduled = false
      this.#retryWaiting()
    })
  }

  /** Places those that wait, in order; who waited too long is turned away. */
  #retryWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = []
    const nowMs = this.#base.clock.nowMs()
    for (const place of waiting) {
      const { arrival, key, head } = place
      const shard = this.#desk.shardFor(key, arrival.listener.serviceIndex)
      if (shard >= 0) this.#give(arrival, key, head, shard)
      else if (nowMs - place.sinceMs > WAITING_MS) this.#turnAway(arrival, 'no_shard')
      else this.#waiting.push(place)
    }
    if (this.#waiting.length > 0) this.#retrySoon()
  }

  /** Refuses a connection that had been let in. */
  #turnAway(arrival: Arrival, reason: RefuseReason): void {
    this.#admission.leave(arrival.id, arrival.listener, -1)
    this.#refuse(arrival, reason)
  }

  #refuse({ listener, handle, socket }: Arrival, reason: RefuseReason): void {
    add(this.#base.figures, refusedColumn(reason), 1)
    this.#refused.warn({ service: listener.service, transport: listener.transport, reason })
    const speaksHttp = (listener.transport === 'ws' || listener.transport === 'http') && listener.tls === undefined
    if (speaksHttp && reason !== 'proxy_header') this.#refusal.answer(handle, socket)
    else {
      handle?.close()
      socket?.destroy()
    }
  }
}

function remoteOf(socket: Socket | undefined): RemoteAddress | undefined {
  const { remoteAddress, remotePort: port } = socket ?? {}
  return remoteAddress === undefined || port === undefined ? undefined : { address: plainAddress(remoteAddress), port }
}

/** Two acceptors at a time have different indexes. */
export function lineOf(thread: number): AcceptorLine {
  return thread === THREAD.acceptor ? 0 : 1
}

function keyOf({ address, port }: RemoteAddress): string {
  return peerKey(address, port)
}
