// Charts of the last two minutes: one uPlot each, and the history that feeds it. Knows no figures, only columns.

export const WINDOW_SECONDS = 120
/** Time may stand still for a page in the background, or jump: more points than this are never kept. */
const POINTS_MAX = 2 * WINDOW_SECONDS
const SYNC = 'polyloop'

/** What all charts show of time: they move together. */
export const frame = { from: 0, to: 0 }

/** Columns of figures over time. */
export class History {
  #times = []
  #columns

  constructor(width) {
    this.#columns = Array.from({ length: width }, () => [])
  }

  /** `values` of one moment; null in the place of one makes a gap. */
  push(seconds, values) {
    this.#times.push(seconds)
    for (const [index, column] of this.#columns.entries()) column.push(values[index] ?? null)
    while (this.#times.length > POINTS_MAX || this.#times[0] < seconds - WINDOW_SECONDS - 2) {
      for (const column of [this.#times, ...this.#columns]) column.shift()
    }
  }

  /** Takes in another history: its past, and where both know a moment, what `together` makes of the two values. */
  absorb(other, together) {
    const first = this.#times[0] ?? Number.POSITIVE_INFINITY
    const count = other.#times.filter((seconds) => seconds < first).length
    for (const [index, seconds] of this.#times.entries()) {
      const found = other.#times.indexOf(seconds)
      if (found === -1) continue
      for (const [at, column] of this.#columns.entries()) {
        column[index] = together[at](column[index] ?? 0, other.#columns[at][found] ?? 0)
      }
    }
    this.#times.unshift(...other.#times.slice(0, count))
    for (const [at, column] of this.#columns.entries()) column.unshift(...other.#columns[at].slice(0, count))
  }

  /** The largest value of a column in the last two minutes. */
  max(index) {
    return this.#columns[index].reduce((most, value) => Math.max(most, value ?? 0), 0)
  }

  get data() {
    return [this.#times, ...this.#columns]
  }

  pick(indexes) {
    return [this.#times, ...indexes.map((index) => this.#columns[index])]
  }
}

/** The next of 1, 2, 5, 10, 20, … so that a scale seldom changes. */
export function roundUp(value) {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 5].find((step) => step * power >= value * 0.999) ?? 10) * power
}

const dark = matchMedia('(prefers-color-scheme: dark)')
let palette = readPalette()
const charts = new Set()
dark.addEventListener('change', () => {
  palette = readPalette()
  for (const chart of charts) chart.redraw()
})

function readPalette() {
  const style = getComputedStyle(document.documentElement)
  const colorOf = (name) => style.getPropertyValue(`--${name}`).trim()
  return Object.fromEntries(['in', 'out', 'busy', 'turn', 'grid', 'muted'].map((name) => [name, colorOf(name)]))
}

/** Canvases that are out of sight are not drawn. */
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const chart = [...charts].find(({ host }) => host === target)
    chart?.setSeen(isIntersecting)
  }
})
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) [...charts].find(({ host }) => host === target)?.resize()
})

export class Chart {
  host
  #plot
  #seen = false
  #data

  /**
   * `colors`: a name of the palette for each column. `max`: the top of the scale, asked for at each drawing.
   * `axis`: how a value reads; with it the chart has axes and a cursor. `onCursor`: the index under it, or null.
   */
  constructor(host, { colors, max, axis, onCursor }) {
    this.host = host
    this.#data = [[], ...colors.map(() => [])]
    const hidden = { show: false }
    this.#plot = new uPlot(
      {
        ...sizeOf(host),
        padding: axis === undefined ? [3, 1, 1, 1] : [8, 2, 0, 0],
        legend: hidden,
        cursor:
          axis === undefined
            ? hidden
            : { y: false, points: hidden, drag: { x: false, y: false }, sync: { key: SYNC, scales: ['x', null] } },
        scales: { x: { range: () => [frame.from, frame.to] }, y: { range: () => [0, max()] } },
        axes: axis === undefined ? [hidden, hidden] : [timeAxis(), valueAxis(axis, max)],
        series: [
          {},
          ...colors.map((name, index) => ({
            stroke: () => palette[name],
            // Only the first: two fills would mix into a colour that means nothing.
            fill: index === 0 ? () => `color-mix(in srgb, ${palette[name]} 14%, transparent)` : undefined,
            width: 1.5,
            points: hidden,
          })),
        ],
        hooks: { setCursor: [(plot) => onCursor?.(plot.cursor.idx ?? null)] },
      },
      this.#data,
      host,
    )
    charts.add(this)
    sight.observe(host)
    sizes.observe(host)
  }

  show(data) {
    this.#data = data
    if (this.#seen && !document.hidden) this.#plot.setData(data)
  }

  setSeen(seen) {
    this.#seen = seen
    if (seen) this.#plot.setData(this.#data)
  }

  resize() {
    this.#plot.setSize(sizeOf(this.host))
  }

  redraw() {
    this.#plot.redraw()
  }

  close() {
    charts.delete(this)
    sight.unobserve(this.host)
    sizes.unobserve(this.host)
    this.#plot.destroy()
  }
}

function sizeOf(host) {
  return { width: Math.max(1, host.clientWidth), height: Math.max(1, host.clientHeight) }
}

const FONT = '11px system-ui, sans-serif'

function timeAxis() {
  const ago = [90, 60, 30]
  return {
    ...{ font: FONT, size: 20, gap: 3, stroke: () => palette.muted },
    ticks: { show: false },
    grid: { show: false },
    splits: () => ago.map((seconds) => frame.to - seconds),
    values: () => ago.map((seconds) => `−${seconds} s`),
  }
}

function valueAxis(text, max) {
  return {
    ...{ font: FONT, size: 46, gap: 6, stroke: () => palette.muted },
    ticks: { show: false },
    grid: { stroke: () => palette.grid, width: 1 },
    splits: () => [0, max() / 2, max()],
    values: (_plot, splits) => splits.map(text),
  }
}
