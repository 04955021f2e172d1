// The newest events of all channels, or of one, as a list. Text is only ever set as text.
import { timeText } from './channel-table.js'
import { element } from './element.js'

const EVENTS_MAX = 200
const DATA_LENGTH_MAX = 2_000

export class EventList {
  #host
  #shown = ''
  #isHeld = false
  #events = []
  #isDue = false

  constructor(host) {
    this.#host = host
  }

  push(event, isMissed) {
    this.#events.push({ event, isMissed })
    if (this.#events.length > 2 * EVENTS_MAX) this.#events = this.#newest()
    this.#drawSoon()
  }

  /** Empty: of all. */
  show(channel) {
    this.#shown = channel
    this.#drawSoon()
  }

  hold(isHeld) {
    this.#isHeld = isHeld
    this.#drawSoon()
  }

  /** So many of each channel are kept that a busy one does not push the others out. */
  #newest() {
    const counts = new Map()
    return this.#events
      .toReversed()
      .filter(({ event: { channel } }) => {
        const count = (counts.get(channel) ?? 0) + 1
        counts.set(channel, count)
        return count <= EVENTS_MAX / 4
      })
      .toReversed()
  }

  /** However many come, once a frame. */
  #drawSoon() {
    if (this.#isDue) return
    this.#isDue = true
    requestAnimationFrame(() => {
      this.#isDue = false
      if (!this.#isHeld) this.#draw()
    })
  }

  #draw() {
    const wanted = this.#events.filter(({ event }) => this.#shown === '' || event.channel === this.#shown)
    const rows = wanted
      .slice(-EVENTS_MAX)
      .toReversed()
      .map((entry) => {
        entry.row ??= rowOf(entry)
        return entry.row
      })
    this.#host.replaceChildren(...rows)
  }
}

function rowOf({ event, isMissed }) {
  const { channel, timestamp, event_type: type, data } = event
  const row = element(
    'li',
    {},
    element('time', { dateTime: timestamp }, timeText(timestamp)),
    element('b', {}, channel),
    element('i', { className: isMissed ? 'missed' : '' }, type),
    element('code', {}, JSON.stringify(data).slice(0, DATA_LENGTH_MAX)),
  )
  row.dataset.channel = channel
  return row
}
