// A figure with a chart of its last two minutes. Knows nothing of what it means.
import { Chart, History, roundUp } from './chart.js'
import { element, setText } from './element.js'

/**
 * `row`: its title; `text` and `axis`, how a figure reads, beside the title and on the axis; `floor`, the least top of the scale,
 * or `top`, always this one; `series`, of `name` and `color`.
 */
export class Card {
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

  /** A value for each series, of one moment. */
  show(values, seconds) {
    this.#history.push(seconds, values)
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
