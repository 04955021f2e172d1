// What `receive` takes from: control frames and events in arrival order, each kind bounded, so that a flood of events
// that nobody receives cannot push out a reply.
import type { HubFrame } from './frame.ts'
import { HubError } from './hub-error.ts'

/** Of each kind; the oldest goes first. */
const FRAMES_MAX = 1000
/** Of each kind, in characters of JSON: a thousand events may be a gigabyte. The newest stays in any case. */
const CHARACTERS_MAX = 16 * 1024 ** 2
const RECEIVERS_MAX = 1000

export interface ReceiveOptions {
  /** Milliseconds. Default: until something comes. */
  readonly timeout?: number
  /** Also events of channels. Default: control frames only. */
  readonly events?: boolean
}

interface Entry {
  readonly frame: HubFrame
  readonly characters: number
  /** Arrival, over both kinds. */
  readonly order: number
}

interface Receiver {
  readonly events: boolean
  readonly resolve: (frame: HubFrame) => void
  readonly reject: (error: HubError) => void
  readonly timer: ReturnType<typeof setTimeout> | undefined
}

class Lane {
  readonly #entries: Entry[] = []
  #characters = 0

  get first(): Entry | undefined {
    return this.#entries[0]
  }

  push(entry: Entry): void {
    this.#entries.push(entry)
    this.#characters += entry.characters
    while (this.#entries.length > FRAMES_MAX || (this.#characters > CHARACTERS_MAX && this.#entries.length > 1))
      this.shift()
  }

  shift(): HubFrame | undefined {
    const entry = this.#entries.shift()
    this.#characters -= entry?.characters ?? 0
    return entry?.frame
  }
}

export class FrameQueue {
  readonly #control = new Lane()
  readonly #events = new Lane()
  readonly #receivers = new Set<Receiver>()
  #order = 0
  #failure = new HubError('NOT_CONNECTED', 'Not connected')

  push(frame: HubFrame, isEvent: boolean, characters: number): void {
    // Whoever waits has found nothing of its kind, so the first that takes this kind gets the oldest frame.
    for (const receiver of this.#receivers) {
      if (isEvent && !receiver.events) continue
      this.#forget(receiver)
      receiver.resolve(frame)
      return
    }
    const lane = isEvent ? this.#events : this.#control
    lane.push({ frame, characters, order: this.#order++ })
  }

  /** `isOpen` false: nothing more will come. Rejects with TIMEOUT, LIMIT, or what `fail` said last. */
  receive({ timeout, events = false }: ReceiveOptions, isOpen: boolean): Promise<HubFrame> {
    const frame = this.#take(events)
    if (frame !== undefined) return Promise.resolve(frame)
    if (!isOpen) return Promise.reject(this.#failure)
    if (this.#receivers.size >= RECEIVERS_MAX) return Promise.reject(new HubError('LIMIT', 'Too many are receiving'))
    const { promise, resolve, reject } = Promise.withResolvers<HubFrame>()
    const expire = (): void => {
      this.#receivers.delete(receiver)
      reject(new HubError('TIMEOUT', `Nothing received in ${timeout} ms`))
    }
    const timer = timeout === undefined ? undefined : setTimeout(expire, timeout)
    const receiver: Receiver = { events, resolve, reject, timer }
    this.#receivers.add(receiver)
    return promise
  }

  /** Whoever waits waits in vain, and so will those who come when it is not open. */
  fail(error: HubError): void {
    this.#failure = error
    for (const receiver of this.#receivers) {
      this.#forget(receiver)
      receiver.reject(error)
    }
  }

  #take(events: boolean): HubFrame | undefined {
    const control = this.#control.first
    const event = events ? this.#events.first : undefined
    if (event !== undefined && (control === undefined || event.order < control.order)) return this.#events.shift()
    return this.#control.shift()
  }

  #forget(receiver: Receiver): void {
    this.#receivers.delete(receiver)
    clearTimeout(receiver.timer)
  }
}
