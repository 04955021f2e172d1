// One thread's end of all rings: sends to any thread by its index, and calls one sink for whatever arrives. It decides
// when tails are published, who is woken, who is read next and when to sleep. Knows nothing of what the records mean.
//
//              ring, attach, watchdog                 turn
//     ┌────────┐ ───────────────────────────▶ ┌─────────┐ ───▶ ┌───────────┐
//     │ asleep │                              │ turning │      │ scheduled │ (a setImmediate is pending)
//     └────────┘ ◀─────────────────────────── └─────────┘ ◀─── └───────────┘
//              nothing to do, polled enough, no marks
import type { MessagePort } from 'node:worker_threads'
import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import { THREADS_MAX } from '../lib/thread.ts'
import { type Bell, createBell } from './bell.ts'
import { Doorbell } from './doorbell.ts'
import type { Lane, LinkEnd } from './link.ts'
import type { MeshOptions, MeshStats } from './mesh-options.ts'
import { Peer } from './peer.ts'

const DRAIN_RECORDS_MAX = 512
const DRAIN_MS = 1

/** Records from one ring before the next one is looked at and the clock is read: 16 make the clock cost 2 ns each. */
const SLICE_RECORDS = 16

/** Records of the control lanes before whoever waits for them has a chance to go on. */
const ANSWERS_PER_PART = 32

/**
 * A turn that brought this many records is followed by a few that only look, since more is likely on its way; after a
 * turn with fewer the thread sleeps at once. bench/ring-round-trip.bench.ts on busy cores: four looks after each message
 * made a chain of single round trips 1.6 times as slow as a bare port, without them it is 1.1; twenty looks 3.6.
 */
const POLL_RECORDS_MIN = 8
const POLL_TURNS_MAX = 4

/** A turn that sends much publishes on the way, so that the reader works meanwhile: a small part of a 256 KiB ring. */
const PUBLISH_BYTES = 4 * 1024

/**
 * In a turn of the event loop with many events the first that sends wakes at once; what the others send leaves together
 * when the turn ends, or with so many messages: a wake-up costs more than a message. 1,000 sessions of the hub that come
 * back at once, four calls of the bridge each: 60 µs of its CPU instead of 130 for each of them.
 */
const GATHERED_MAX = 16

/** The watchdog forgives a mark that is younger: its producer may be between marking and ringing, or the ring queued. */
const LATE_WAKE_MS = 400

type State = 'asleep' | 'scheduled' | 'turning' | 'closed'

export class Mesh {
  readonly #options: MeshOptions
  readonly #doorbell: Doorbell
  readonly #bell: Bell
  readonly #clock: Clock
  readonly #drainRecordsMax: number
  readonly #drainMs: number
  readonly #schedule: (turn: () => void) => void
  readonly #peers: (Peer | undefined)[] = new Array(THREADS_MAX).fill(undefined)
  /** Peers with something to read, each at most once, served in turn. */
  readonly #queue: Peer[] = []
  readonly #dirty: Peer[] = []
  #flushScheduled = false
  /** Until this turn of the event loop ends. */
  #gathering: NodeJS.Immediate | undefined
  /** Messages that wait for that, and one. */
  #gathered = 0
  #state: State = 'scheduled'
  /** The next part of this turn is a microtask that is pending. */
  #partPending = false
  /** Of the turn under way, all its parts. */
  #records = 0
  /** Of its part under way: records of the control lanes. */
  #answers = 0
  #untilMs = 0
  /** Turns that only look, before the thread sleeps. */
  #pollsLeft = 0
  /** When the watchdog first saw a mark while asleep; no turn has run since. */
  #suspectSinceMs: number | undefined
  readonly #stats: MeshStats = {
    recordsIn: 0,
    recordsOut: 0,
    full: 0,
    refused: 0,
    dropped: 0,
    overflowBytes: 0,
    usedBytes: 0,
    watchdogWakes: 0,
    discardedChunks: 0,
    wakesIn: 0,
    wakesOut: 0,
  }

  constructor(options: MeshOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#drainRecordsMax = options.drainRecordsMax ?? DRAIN_RECORDS_MAX
    this.#drainMs = options.drainMs ?? DRAIN_MS
    this.#schedule = options.schedule ?? setImmediate
    this.#doorbell = new Doorbell(options.doorbells, options.self)
    this.#bell = createBell(options.bell ?? 'port', this.#doorbell, this.#onRing)
    this.#schedule(this.#onTurn)
  }

  /**
   * Copies a message of two parts for `peer`; it leaves with the next `flush`, or at the end of this turn. False means
   * overloaded (RING_FULL), or longer than `messageBytesMax`: nothing was taken. Order is kept per peer and lane.
   */
  send(
    peer: number,
    lane: Lane,
    kind: number,
    head: Uint8Array,
    headBytes: number,
    body?: Uint8Array,
    bodyStart = 0,
    bodyBytes = 0,
  ): boolean {
    if (this.#state === 'closed') return false
    const bytes = headBytes + bodyBytes
    if (bytes > this.#options.messageBytesMax) {
      this.#stats.refused++
      this.#options.onFault?.({ what: 'message-too-large', peer, kind, bytes })
      return false
    }
    const to = this.#peers[peer] ?? this.#addPeer(peer)
    const outbox = lane === 'data' ? to.data : to.control
    const sent = outbox.send(kind, head, headBytes, body, bodyStart, bodyBytes)
    if (!to.dirty) this.#markDirty(to)
    if (sent === 'refused') {
      this.#stats.refused++
      return false
    }
    this.#stats.recordsOut++
    if (sent === 'waiting') this.#onWaiting(to)
    if (outbox.unpublishedBytes >= PUBLISH_BYTES) this.#publish(to)
    if (this.#gathered > 0 && ++this.#gathered > GATHERED_MAX) this.flush()
    return true
  }

  /** Publishes what was sent and wakes who sleeps: call it at the end of a turn, else it is done soon. */
  flush(): void {
    // A publish cannot make a peer dirty, so the list does not grow meanwhile.
    for (const peer of this.#dirty) {
      peer.dirty = false
      if (this.#peers[peer.index] !== peer) continue
      peer.flushWaiting()
      this.#publish(peer)
    }
    this.#dirty.length = 0
    this.#gathered = 0
  }

  /** Joins a peer: the first link, or fresh ends over the same memory after one of the two threads was replaced. */
  attach(link: LinkEnd): void {
    if (this.#state === 'closed') {
      link.port.close()
      return
    }
    assert(link.peer !== this.#options.self, 'a thread has no link to itself')
    const peer = this.#peers[link.peer] ?? this.#addPeer(link.peer)
    peer.connect(link)
    link.port.on('message', this.#onRing)
    peer.flushWaiting()
    peer.publish()
    this.#doorbell.mark(peer.index)
    // Unconditionally: the sleeping word may have been swapped for a ring at the dead predecessor's port.
    this.#ring(peer, link.port)
    this.#visitSoon(peer.index)
    this.#wake()
  }

  /** The peer's thread died and a successor will come: what was sent is left for it, and sends go on as room allows. */
  detach(index: number): void {
    const peer = this.#peers[index]
    if (peer === undefined) return
    peer.disconnect()
    this.#visitSoon(index)
    this.#wake()
  }

  /** The peer will not come back: its waiting messages are dropped and counted. The next send asks for a new link. */
  forget(index: number): void {
    const peer = this.#peers[index]
    if (peer === undefined) return
    peer.publish()
    this.#drop(peer)
  }

  /** Every 500 ms: a thread asleep though it was marked missed its ring. That is a bug; it is counted and healed. */
  watchdog(nowMs: number): void {
    if (this.#state !== 'asleep' || !this.#doorbell.hasMarks()) {
      this.#suspectSinceMs = undefined
      return
    }
    this.#suspectSinceMs ??= nowMs
    const asleepMs = nowMs - this.#suspectSinceMs
    if (asleepMs < LATE_WAKE_MS) return
    this.#stats.watchdogWakes++
    this.#options.onFault?.({ what: 'late-wake', asleepMs })
    this.#wake()
  }

  /** The counters of this thread; the same object each time. */
  stats(): Readonly<MeshStats> {
    const stats = this.#stats
    stats.overflowBytes = 0
    stats.usedBytes = 0
    for (const peer of this.#peers) {
      if (peer === undefined) continue
      stats.overflowBytes += peer.control.waitingBytes + peer.data.waitingBytes
      stats.usedBytes += peer.control.usedBytes + peer.data.usedBytes
    }
    return stats
  }

  /** Publishes what fits, drops what waits and lets go of all ports. Records in the rings stay for a successor. */
  close(): void {
    if (this.#state === 'closed') return
    this.flush()
    for (const peer of this.#peers) if (peer !== undefined) this.#drop(peer)
    this.#queue.length = 0
    this.#state = 'closed'
    this.#bell.close()
  }

  // Sending -----------------------------------------------------------------------------------------------------------

  #addPeer(index: number): Peer {
    const { self, generation, overflowBytesMax, messageBytesMax, sink } = this.#options
    assert(index >= 0 && index < THREADS_MAX && index !== self, 'a peer is another thread')
    const stats = this.#stats
    const peer = new Peer({
      index,
      generation,
      overflowBytesMax,
      messageBytesMax,
      sink: (kind, bytes, offset, length, view) => {
        stats.recordsIn++
        sink(index, kind, bytes, offset, length, view)
      },
      onDiscard: (chunks) => {
        stats.discardedChunks += chunks
        this.#options.onFault?.({ what: 'chunks-discarded', source: index, chunks })
      },
    })
    this.#peers[index] = peer
    return peer
  }

  #onWaiting(peer: Peer): void {
    if (peer.linked) {
      this.#stats.full++
    } else if (!peer.linkRequested) {
      peer.linkRequested = true
      this.#options.requestLink(peer.index)
    }
  }

  #markDirty(peer: Peer): void {
    peer.dirty = true
    this.#dirty.push(peer)
    if (this.#state === 'turning' || this.#flushScheduled || this.#partPending) return
    if (this.#gathering !== undefined) {
      if (this.#gathered > 0) return
      // Only now must the loop come back for it.
      this.#gathering.ref()
      this.#gathered = 1
      return
    }
    this.#flushScheduled = true
    queueMicrotask(this.#onMicrotask)
  }

  readonly #onMicrotask = (): void => {
    this.#flushScheduled = false
    if (this.#state === 'closed') return
    this.flush()
    this.#gathering ??= setImmediate(this.#onGathered).unref()
  }

  readonly #onGathered = (): void => {
    this.#gathering = undefined
    if (this.#state !== 'closed') this.flush()
  }

  /** Publish, mark, look for a sleeper: in this order (doorbell.ts says why). */
  #publish(peer: Peer): void {
    if (!peer.publish()) return
    this.#notify(peer)
  }

  #notify(peer: Peer): void {
    this.#doorbell.mark(peer.index)
    // Without a port there is nobody to ring: the mark is found by the successor, and `attach` rings.
    if (peer.port !== undefined && this.#doorbell.takeSleeper(peer.index)) this.#ring(peer, peer.port)
  }

  #ring(peer: Peer, port: MessagePort): void {
    this.#stats.wakesOut++
    this.#bell.ring(peer.index, port)
  }

  #drop(peer: Peer): void {
    this.#stats.dropped += peer.control.waitingMessages + peer.data.waitingMessages
    peer.disconnect()
    peer.stop()
    this.#peers[peer.index] = undefined
  }

  // Receiving ---------------------------------------------------------------------------------------------------------

  readonly #onRing = (): void => {
    this.#stats.wakesIn++
    // Otherwise a turn is pending, and will find the marks.
    if (this.#state !== 'asleep') return
    this.#doorbell.awake()
    this.#turn()
  }

  readonly #onTurn = (): void => {
    if (this.#state === 'scheduled') this.#turn()
  }

  readonly #onMark = (source: number): void => this.#visitSoon(source)

  /** Before its link has come a peer's mark means nothing: `attach` reads whatever is there. */
  #visitSoon(source: number): void {
    const peer = this.#peers[source]
    if (peer === undefined || peer.queued) return
    peer.queued = true
    this.#queue.push(peer)
  }

  /** Something came up that no ring announces. */
  #wake(): void {
    if (this.#state !== 'asleep') return
    this.#doorbell.awake()
    this.#state = 'scheduled'
    this.#schedule(this.#onTurn)
  }

  #turn(): void {
    this.#suspectSinceMs = undefined
    this.#records = 0
    this.#untilMs = this.#clock.nowMs() + this.#drainMs
    this.#part()
  }

  #part(): void {
    this.#state = 'turning'
    this.#answers = 0
    this.#options.beginTurn?.()
    try {
      // What arrives meanwhile belongs to this turn, while its budget lasts: with a peer on another core batches are
      // small, and a turn of the event loop for each of them costs more than the records.
      do {
        this.#doorbell.take(this.#onMark)
        if (this.#queue.length === 0) break
        this.#answers += this.#drainControl(ANSWERS_PER_PART)
        this.#records += this.#answers
        this.#records += this.#drainData(this.#drainRecordsMax - this.#records)
        this.flush()
      } while (this.#answers === 0 && this.#doorbell.hasMarks() && this.#hasBudget())
    } finally {
      // Also when the sink threw: what it took is claimed, the rest must still be read if the owner lives on.
      try {
        this.#options.leaveTurn?.()
      } finally {
        this.#endPart()
      }
    }
  }

  #hasBudget(): boolean {
    return this.#records < this.#drainRecordsMax && this.#clock.nowMs() < this.#untilMs
  }

  // Who waits for an answer goes on in a microtask. The next part of the turn is one behind all of these, so that the
  // other thread gets what they send, and works, while this one reads on: a turn that took all answers first would keep
  // the two waiting for each other in turn.
  #endPart(): void {
    if (this.#isClosed()) return
    if (this.#answers === 0 || !this.#hasBudget()) {
      this.#endTurn()
      return
    }
    this.flush()
    this.#state = 'scheduled'
    this.#partPending = true
    queueMicrotask(this.#onPart)
  }

  readonly #onPart = (): void => {
    this.#partPending = false
    if (this.#state !== 'scheduled') return
    this.flush()
    this.#part()
  }

  #endTurn(): void {
    this.flush()
    const records = this.#records
    if (records > 0) this.#pollsLeft = records < POLL_RECORDS_MIN ? 0 : POLL_TURNS_MAX
    const idle = this.#queue.length === 0 && this.#pollsLeft-- <= 0
    if (idle && this.#trySleep()) return
    this.#state = 'scheduled'
    this.#schedule(this.#onTurn)
  }

  #trySleep(): boolean {
    this.#doorbell.asleep()
    if (this.#doorbell.hasMarks() || !this.#bell.wait()) {
      this.#doorbell.awake()
      return false
    }
    this.#state = 'asleep'
    return true
  }

  /** The control lanes of all queued peers, ahead of any data. */
  #drainControl(recordsMax: number): number {
    let left = recordsMax
    for (let index = 0; index < this.#queue.length && left > 0; index++) {
      const peer = this.#queue[index]
      if (peer === undefined) break
      if (this.#peers[peer.index] !== peer) continue
      for (;;) {
        const budget = Math.min(SLICE_RECORDS, left)
        const taken = peer.drainControl(budget)
        left -= taken
        if (taken < budget || left === 0 || this.#clock.nowMs() >= this.#untilMs) break
      }
    }
    return recordsMax - left
  }

  /** A slice of each queued peer in turn, until the budget is used up; at least one, whatever control took. */
  #drainData(recordsMax: number): number {
    let records = 0
    let turns = 0
    while (turns < this.#queue.length && (records < recordsMax || turns === 0)) {
      const peer = this.#queue[turns++]
      if (peer === undefined) break
      records += this.#visit(peer)
      // Slice by slice: who waits for the answers can go on meanwhile.
      this.flush()
      if (this.#answers >= ANSWERS_PER_PART || this.#clock.nowMs() >= this.#untilMs) break
    }
    this.#queue.splice(0, turns)
    return records
  }

  /** One slice of each lane. A peer that filled a slice has more, and goes to the end of the queue. */
  #visit(peer: Peer): number {
    peer.queued = false
    if (this.#peers[peer.index] !== peer) return 0
    if (peer.flushWaiting() && !peer.dirty) this.#markDirty(peer)
    const control = peer.drainControl(SLICE_RECORDS)
    this.#answers += control
    const data = peer.drainData(SLICE_RECORDS)
    if (peer.takeRoomRequest()) this.#notify(peer)
    if (control === SLICE_RECORDS || data === SLICE_RECORDS) this.#visitSoon(peer.index)
    return control + data
  }

  // A method, because the compiler believes that a sink cannot change the state.
  #isClosed(): boolean {
    return this.#state === 'closed'
  }
}
