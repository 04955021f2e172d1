// The channels as a table: whether they are subscribed, what came on each, and what was missed.
import { element, setText } from './element.js'
import { countText } from './text.js'

const TITLES = ['Channel', 'State', 'Events', 'Missed', 'Lost', 'Last', 'About']

export class ChannelTable {
  #rows = new Map()

  constructor(table, channels, descriptions) {
    const heads = TITLES.map((title) => element('th', { scope: 'col' }, title))
    const body = element('tbody', {})
    table.append(element('thead', {}, element('tr', {}, ...heads)), body)
    for (const channel of channels) {
      const row = new ChannelRow(channel, descriptions[channel] ?? '')
      this.#rows.set(channel, row)
      body.append(row.host)
    }
  }

  state(channels, state) {
    for (const channel of channels) this.#rows.get(channel)?.state(state)
  }

  event({ channel, timestamp }) {
    this.#rows.get(channel)?.event(timestamp)
  }

  missed(channel, count, isAll) {
    this.#rows.get(channel)?.missed(count, isAll)
  }
}

class ChannelRow {
  host
  #cells
  #events = 0
  #missed = 0
  /** How often nobody knows how many. */
  #gaps = 0

  constructor(channel, description) {
    const name = element('th', { scope: 'row' }, channel)
    this.#cells = TITLES.slice(1).map((title) => {
      const cell = element('td', {}, title === 'About' ? description : title === 'State' ? '' : '0')
      cell.dataset.title = title
      return cell
    })
    this.host = element('tr', {}, name, ...this.#cells)
    this.host.dataset.channel = channel
    setText(this.#cells[4], '–')
    setText(this.#cells[3], 'none')
    this.state('waiting')
  }

  state(state) {
    setText(this.#cells[0], state)
    this.#cells[0].dataset.state = state
  }

  event(timestamp) {
    setText(this.#cells[1], countText(++this.#events))
    setText(this.#cells[4], timeText(timestamp))
  }

  missed(count, isAll) {
    this.#missed += count
    setText(this.#cells[2], countText(this.#missed))
    if (isAll) return
    this.#gaps++
    setText(this.#cells[3], this.#gaps === 1 ? '1 gap' : `${this.#gaps} gaps`)
    this.host.dataset.lost = ''
  }
}

/** Of the browser's zone, with seconds. */
export function timeText(timestamp) {
  const date = new Date(timestamp)
  return Number.isNaN(date.getTime()) ? '–' : date.toLocaleTimeString('en-GB')
}
