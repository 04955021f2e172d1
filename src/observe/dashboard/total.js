// The totals on top: a card each, with the present figure and a chart of the last two minutes.
import { Chart, History, roundUp } from './chart.js'
import { element, setText } from './element.js'
import { countText, secondsText, shareText, shortCountText } from './text.js'

const sum = (rows, figure) => rows.reduce((total, row) => total + row[figure], 0)
const most = (shards, figure) => shards.reduce((top, shard) => Math.max(top, shard[figure]), 0)
const mean = (shards, figure) => (shards.length === 0 ? 0 : sum(shards, figure) / shards.length)

/** `floor`: the least top of the scale. `top`: always this one. */
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
    for (const card of this.#cards) card.show(shards, services, seconds)
  }

  gap(seconds) {
    for (const card of this.#cards) card.gap(seconds)
  }
}

class Card {
  #row
  #history
  #values
  #chart
  /** Index of the moment under the cursor. */
  #pointed = null

  constructor(host, row) {
    this.#row = row
    this.#history = new History(row.series.length)
    this.#values = row.series.map(({ color }) => element('b', { className: `${color}-color` }))
    const names = row.series.map(({ name }, index) =>
      element('span', {}, this.#values[index], element('small', {}, name)),
    )
    const plot = element('div', { className: 'plot' })
    const card = element(
      'article',
      { className: 'card' },
      element('h3', {}, row.title),
      element('p', {}, ...names),
      plot,
    )
    host.append(card)
    this.#chart = new Chart(plot, {
      colors: row.series.map(({ color }) => color),
      max: () => row.top ?? roundUp(Math.max(row.floor, ...row.series.map((_, index) => this.#history.max(index)))),
      axis: row.axis,
      onCursor: (index) => {
        this.#pointed = index
        this.#write()
      },
    })
  }

  show(shards, services, seconds) {
    this.#history.push(
      seconds,
      this.#row.series.map(({ of }) => of(shards, services)),
    )
    this.#chart.show(this.#history.data)
    this.#write()
  }

  gap(seconds) {
    this.#history.push(seconds, [])
  }

  /** The figures under the cursor, or else the present ones. */
  #write() {
    for (const [index, value] of this.#values.entries()) {
      const column = this.#history.data[index + 1]
      const figure = column[this.#pointed ?? column.length - 1] ?? column.at(-1)
      setText(value, figure === null || figure === undefined ? '–' : this.#row.text(figure))
    }
  }
}
