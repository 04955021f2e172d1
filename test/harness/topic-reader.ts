// What one subscriber hears of its topics, as topic-service.ts says it: each offset must come once and in order, or be
// in a gap that is told of. Knows no sockets.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { TopicEvent } from '../../src/index.ts'
import { machineUs } from './topic-service.ts'

const ANSWER = '='.charCodeAt(0)
const EVENT = '!'.charCodeAt(0)
const COLON = ':'.charCodeAt(0)
const ZERO = '0'.charCodeAt(0)
const SPACE = ' '.charCodeAt(0)
const CHARACTERS = 128
/** Digits of an offset and of a time, and what is around them. */
const HEAD_BYTES_MAX = 64

/** Where it stands in one topic. */
export class TopicPlace {
  readonly topic: string
  epoch: number
  /** The offset that comes next. */
  next: number
  /** Where it came in. */
  readonly start: number
  messages = 0
  /** Offsets that gaps took. */
  missed = 0
  /** The reasons of gaps, in order. */
  readonly gaps: string[] = []
  /** Offsets since the last gap; only of a reader that keeps them. */
  behindGap = 0
  /** The newest offset of each key; only of a reader that keeps them. */
  readonly keys = new Map<string, number>()

  constructor(topic: string, epoch: number, offset: number) {
    this.topic = topic
    this.epoch = epoch
    this.next = offset + 1
    this.start = offset
  }

  /** The last offset that came or was missed. */
  get offset(): number {
    return this.next - 1
  }
}

export class TopicReader {
  readonly name: string
  readonly events: TopicEvent[] = []
  /** Keeps keys. */
  keepsKeys = false
  /** Records the time from when a message was due, in µs; one may serve many readers. */
  latency: RecordableHistogram | undefined
  /** Undefined while the connection is open. */
  end: { readonly code: number; readonly reason: string } | undefined
  readonly #fault: (what: string) => void
  /** By the character that is the topic's id. */
  readonly #places: (TopicPlace | undefined)[] = new Array<undefined>(CHARACTERS).fill(undefined)
  readonly #askers: ((answer: string) => void)[] = []

  constructor(name: string, fault: (what: string) => void) {
    this.name = name
    this.#fault = fault
  }

  /** Undefined: not subscribed. */
  place(topic: string): TopicPlace | undefined {
    const place = this.#places[tagOf(topic)]
    return place?.topic === topic ? place : undefined
  }

  /** All it has subscribed to. */
  places(): TopicPlace[] {
    return this.#places.filter((place) => place !== undefined)
  }

  /** It has unsubscribed: from now on a message is a fault. */
  left(topic: string): void {
    this.#places[tagOf(topic)] = undefined
  }

  /** Resolves with the next answer that no earlier one waits for; with `closed` at the end. */
  answer(): Promise<string> {
    return new Promise((resolve) => {
      if (this.end === undefined) this.#askers.push(resolve)
      else resolve('closed')
    })
  }

  /** One message, answer or event, `bytes[start, end)`, perhaps with its newline. */
  hear(bytes: Buffer, start: number, end: number): void {
    const first = bytes[start] as number
    if (bytes[start + 1] === COLON && first !== ANSWER && first !== EVENT) this.#message(bytes, first, start + 2, end)
    else if (first === EVENT) this.#event(JSON.parse(bytes.toString('utf8', start + 1, end)) as TopicEvent)
    else if (first === ANSWER) this.#askers.shift()?.(bytes.toString('utf8', start + 1, end).trimEnd())
    else this.#fault(`what is ${bytes.toString('latin1', start, Math.min(end, start + HEAD_BYTES_MAX))}`)
  }

  ended(code: number, reason: string): void {
    if (this.end !== undefined) return
    this.end = { code, reason }
    for (const asker of this.#askers.splice(0)) asker('closed')
  }

  #message(bytes: Buffer, tag: number, start: number, end: number): void {
    const place = this.#places[tag]
    let at = start
    let offset = 0
    for (; at < end && bytes[at] !== SPACE; at++) offset = offset * 10 + (bytes[at] as number) - ZERO
    let us = 0
    for (at++; at < end && bytes[at] !== SPACE; at++) us = us * 10 + (bytes[at] as number) - ZERO
    if (place === undefined || offset !== place.next) {
      this.#fault(`${String.fromCharCode(tag)}:${offset} instead of ${place?.next}`)
      if (place !== undefined) place.next = offset + 1
      return
    }
    place.next++
    place.messages++
    place.behindGap++
    if (this.latency !== undefined) this.latency.record(Math.max(1, machineUs() - us))
    if (this.keepsKeys) place.keys.set(bytes.toString('latin1', at + 1, bytes.indexOf(SPACE, at + 1)), offset)
  }

  #event(event: TopicEvent): void {
    this.events.push(event)
    const tag = tagOf(event.topic)
    const place = this.#places[tag]
    if (event.type === 'subscribed') {
      if (place !== undefined) this.#fault(`subscribed twice to ${event.topic}`)
      this.#places[tag] = new TopicPlace(event.topic, event.epoch, event.offset)
    } else if (event.type === 'refused') {
      this.#fault(`${event.topic} refused`)
    } else if (place === undefined || event.topic !== place.topic) {
      this.#fault(`a gap in ${event.topic}, which it has not subscribed to`)
    } else {
      const isAnew = event.epoch !== place.epoch
      if (isAnew !== (event.reason === 'epoch') || (!isAnew && event.from !== place.next) || event.to < event.from - 1)
        this.#fault(`${JSON.stringify(event)} at ${place.next}`)
      place.epoch = event.epoch
      place.missed += event.to - event.from + 1
      place.next = event.to + 1
      place.behindGap = 0
      place.gaps.push(event.reason)
    }
  }
}

/** For many readers at once: microseconds up to a minute. */
export function createLatency(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 })
}

function tagOf(topic: string): number {
  return topic.charCodeAt(topic.indexOf('.') + 1)
}
