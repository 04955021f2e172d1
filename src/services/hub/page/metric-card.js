// The figures of the channel `metrics` as charts. Of a cluster's hosts, those of the one that was heard first.
import { Card } from './card.js'
import { frame, WINDOW_SECONDS } from './chart.js'
import { bytesText, countText, shareText, shortCountText } from './text.js'

const MEGABYTE = 1024 * 1024
const memoryText = (megabytes) => bytesText(megabytes * MEGABYTE)
const decimal = (value) => (value < 10 ? value.toFixed(1) : countText(value))

const CARDS = [
  {
    ...{ title: 'CPU of the process', text: shareText, axis: shareText, floor: 0.1 },
    series: [{ name: '', color: 'busy', of: ({ cpu_percent: percent }) => percent / 100 }],
  },
  {
    ...{ title: 'Memory', text: memoryText, axis: shortCountText, floor: 100 },
    series: [{ name: '', color: 'turn', of: ({ memory_mb: megabytes }) => megabytes }],
  },
  {
    ...{ title: 'Events per second', text: decimal, axis: shortCountText, floor: 10 },
    series: [{ name: '', color: 'out', of: ({ events_per_sec: rate }) => rate }],
  },
  {
    ...{ title: 'Connections', text: countText, axis: shortCountText, floor: 10 },
    series: [{ name: '', color: 'in', of: ({ total_connections: count }) => count }],
  },
  {
    ...{ title: 'Subscriptions', text: countText, axis: shortCountText, floor: 10 },
    series: [{ name: '', color: 'in', of: ({ total_subscriptions: count }) => count }],
  },
  {
    ...{ title: 'Events kept for the absent', text: countText, axis: shortCountText, floor: 10 },
    series: [{ name: '', color: 'busy', of: ({ buffered_events: count }) => count }],
  },
]

export class MetricCards {
  #cards
  #host
  #lastSeconds = 0

  constructor(section) {
    this.#cards = CARDS.map((row) => new Card(section, row))
  }

  show({ event_type: type, timestamp, data }) {
    if (type !== 'system_metrics') return
    const seconds = new Date(timestamp).getTime() / 1_000
    this.#host ??= data.host
    // What comes late has no place in a line that went on without it.
    if (data.host !== this.#host || !(seconds > this.#lastSeconds)) return
    this.#lastSeconds = seconds
    frame.to = seconds
    frame.from = seconds - WINDOW_SECONDS
    for (const [index, { series }] of CARDS.entries()) {
      this.#cards[index].show(
        series.map(({ of }) => of(data)),
        seconds,
      )
    }
  }

  /** Nothing is known of this moment; and who comes back may be another host. */
  gap() {
    this.#host = undefined
    if (this.#lastSeconds === 0) return
    for (const card of this.#cards) card.gap(this.#lastSeconds + 0.001)
  }
}
