// The totals on top: a card each, with the present figure and a chart of the last two minutes.
import { Card } from './card.js'
import { countText, secondsText, shareText, shortCountText } from './text.js'

const sum = (rows, figure) => rows.reduce((total, row) => total + row[figure], 0)
const most = (shards, figure) => shards.reduce((top, shard) => Math.max(top, shard[figure]), 0)
const mean = (shards, figure) => (shards.length === 0 ? 0 : sum(shards, figure) / shards.length)

const CARDS = [
  {
    ...{ title: 'Connections', text: countText, axis: shortCountText, floor: 10 },
    series: [{ name: '', color: 'busy', of: (shards) => sum(shards, 'connections') }],
  },
  {
    ...{ title: 'Messages per second', text: countText, axis: shortCountText, floor: 10 },
    series: [
      { name: 'in', color: 'in', of: (_shards, services) => sum(services, 'messages_in_per_second') },
      { name: 'out', color: 'out', of: (_shards, services) => sum(services, 'messages_out_per_second') },
    ],
  },
  {
    ...{ title: 'Event loop utilisation', text: shareText, axis: shareText, top: 1 },
    series: [
      { name: 'mean', color: 'busy', of: (shards) => mean(shards, 'eventloop_utilization') },
      { name: 'busiest', color: 'out', of: (shards) => most(shards, 'eventloop_utilization') },
    ],
  },
  {
    ...{ title: 'Turn p99, slowest shard', text: secondsText, axis: secondsText, floor: 0.001 },
    series: [{ name: '', color: 'turn', of: (shards) => most(shards, 'turn_p99_seconds') }],
  },
]

export class Totals {
  #cards

  constructor(host) {
    this.#cards = CARDS.map((row) => new Card(host, row))
  }

  show({ shards, services }, seconds) {
    for (const [index, { series }] of CARDS.entries()) {
      this.#cards[index].show(
        series.map(({ of }) => of(shards, services)),
        seconds,
      )
    }
  }

  gap(seconds) {
    for (const card of this.#cards) card.gap(seconds)
  }
}
