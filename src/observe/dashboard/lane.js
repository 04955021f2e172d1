// The shards as lanes: a row for each seat, with its figures and small charts. One scale for all rows, so that they can
// be compared.
import { Chart, History, roundUp } from './chart.js'
import { element, setText } from './element.js'
import { bytesText, countText, secondsText, shareText } from './text.js'

const HEADS = [
  ['shard', 'Shard'],
  ['connections', 'Connections'],
  ['rate', 'Messages per second'],
  ['busy', 'Utilisation'],
  ['turn', 'Turn p99'],
  ['heap', 'Heap'],
  ['ring', 'Rings'],
  ['actors', 'Actors'],
  ['mailbox', 'Mailbox'],
]
const COLUMN = { in: 0, out: 1, busy: 2, turn: 3 }
const sum = (a, b) => a + b
/** What two seats of one shard are together, by column. */
const TOGETHER = [sum, sum, Math.max, Math.max]
const BUSY = 0.6
const FULL = 0.85
const HEAP_FULL = 0.85
const TURN_SECONDS_MIN = 0.001

export class Lanes {
  #host
  #lanes = new Map()
  #scale = { rate: 1, turn: TURN_SECONDS_MIN }

  constructor(host) {
    this.#host = Object.assign(host, { role: 'table', ariaLabel: 'Shards' })
    const heads = HEADS.map(([name, title]) => element('span', { className: name, role: 'columnheader' }, title))
    host.append(element('div', { className: 'lane heads', role: 'row' }, ...heads))
  }

  show(shards, seconds) {
    const seats = new Set(shards.map(({ seat }) => seat))
    for (const lane of this.#lanes.values()) if (!seats.has(lane.seat)) this.#retire(lane)
    const counts = new Map()
    for (const { id } of shards) counts.set(id, (counts.get(id) ?? 0) + 1)
    for (const [index, shard] of shards.entries()) {
      let lane = this.#lanes.get(shard.seat)
      if (lane === undefined) {
        lane = new Lane(shard, this.#scale)
        this.#lanes.set(shard.seat, lane)
      }
      const place = this.#host.children[index + 1]
      if (place !== lane.host) this.#host.insertBefore(lane.host, place ?? null)
      lane.push(shard, seconds, counts.get(shard.id) > 1)
    }
    const lanes = [...this.#lanes.values()]
    const most = (...columns) => Math.max(...lanes.flatMap(({ history }) => columns.map((name) => history.max(name))))
    this.#scale.rate = roundUp(most(COLUMN.in, COLUMN.out))
    this.#scale.turn = roundUp(Math.max(TURN_SECONDS_MIN, most(COLUMN.turn)))
    for (const lane of lanes) lane.draw()
  }

  /** Nothing is known of this moment: lines must not cross it. */
  gap(seconds) {
    for (const { history } of this.#lanes.values()) history.push(seconds, [])
  }

  /** A seat was given up. Who took over its shard continues its lines. */
  #retire(lane) {
    lane.close()
    this.#lanes.delete(lane.seat)
    const successor = [...this.#lanes.values()].find(({ id }) => id === lane.id)
    successor?.history.absorb(lane.history, TOGETHER)
  }
}

class Lane {
  id
  seat
  host
  history = new History(Object.keys(COLUMN).length)
  #cells = {}
  #charts = []

  constructor({ id, seat }, scale) {
    this.id = id
    this.seat = seat
    this.host = element('div', { className: 'lane', role: 'row' })
    for (const [name, title] of HEADS) {
      const cell = element('div', { className: name, role: 'cell' })
      cell.dataset.title = title
      this.host.append(cell)
      this.#cells[name] = cell
    }
    const { shard, connections, rate, busy, turn, heap, ring, actors, mailbox } = this.#cells
    shard.append(element('b', {}, String(id)), element('span', { className: 'pill' }), element('small', {}))
    for (const cell of [connections, ring, actors, mailbox]) cell.append(element('span', { className: 'number' }))
    rate.append(
      element('span', { className: 'pair' }, element('i', { className: 'in' }), element('i', { className: 'out' })),
    )
    for (const cell of [busy, turn]) cell.append(element('span', { className: 'number' }))
    heap.append(element('span', { className: 'number' }), element('span', { className: 'meter' }, element('i', {})))
    this.#charts = [
      this.#chart(rate, [COLUMN.in, COLUMN.out], { colors: ['in', 'out'], max: () => scale.rate }),
      this.#chart(busy, [COLUMN.busy], { colors: ['busy'], max: () => 1 }),
      this.#chart(turn, [COLUMN.turn], { colors: ['turn'], max: () => scale.turn }),
    ]
  }

  push(report, seconds, isOneOfTwo) {
    const { shard, connections, rate, busy, turn, heap, ring, actors, mailbox } = this.#cells
    this.host.dataset.state = report.state
    this.host.dataset.shard = String(report.id)
    setText(shard.children[1], report.state)
    shard.children[1].dataset.state = report.state
    setText(shard.children[2], isOneOfTwo ? `seat ${report.seat}` : restartsText(report.restarts))
    setText(connections.firstChild, countText(report.connections))
    setText(rate.firstChild.children[0], countText(report.messages_in_per_second))
    setText(rate.firstChild.children[1], countText(report.messages_out_per_second))
    setText(busy.firstChild, shareText(report.eventloop_utilization))
    busy.dataset.level = levelOf(report.eventloop_utilization, BUSY, FULL)
    setText(turn.firstChild, secondsText(report.turn_p99_seconds))
    const share = report.heap_limit_bytes === 0 ? 0 : report.heap_used_bytes / report.heap_limit_bytes
    setText(heap.firstChild, bytesText(report.heap_used_bytes))
    heap.title = `${shareText(share)} of ${bytesText(report.heap_limit_bytes)}`
    heap.dataset.level = levelOf(share, HEAP_FULL * 0.8, HEAP_FULL)
    heap.children[1].firstChild.style.width = shareText(share)
    setText(ring.firstChild, bytesText(report.ring_used_bytes + report.ring_overflow_bytes))
    setText(actors.firstChild, countText(report.actors))
    setText(mailbox.firstChild, countText(report.mailbox_depth))
    this.history.push(seconds, [
      report.messages_in_per_second,
      report.messages_out_per_second,
      report.eventloop_utilization,
      report.turn_p99_seconds,
    ])
  }

  draw() {
    for (const { chart, columns } of this.#charts) chart.show(this.history.pick(columns))
  }

  close() {
    for (const { chart } of this.#charts) chart.close()
    this.host.remove()
  }

  #chart(cell, columns, options) {
    const host = element('div', { className: 'spark' })
    cell.append(host)
    return { chart: new Chart(host, options), columns }
  }
}

function restartsText(restarts) {
  if (restarts === 0) return ''
  return restarts === 1 ? '1 restart' : `${restarts} restarts`
}

function levelOf(share, busy, full) {
  if (share >= full) return 'full'
  return share >= busy ? 'busy' : 'calm'
}
