// The page: asks for the runtime report once a second, and gives it to the parts that show it. When no answer comes it
// says so, keeps what it has, and goes on asking.
import { frame, WINDOW_SECONDS } from './chart.js'
import { element, setText } from './element.js'
import { Lanes } from './lane.js'
import { ageText, bytesText, countText, secondsText, shareText } from './text.js'
import { Totals } from './total.js'

const POLL_MS = 1_000
const ANSWER_MS_MAX = 3_000
/** How long the end of a move stays to be read. */
const MOVE_SHOWN_MS = 8_000

const MOVES = {
  reload: ['Reload', 'Reload finished'],
  shards: ['Changing the number of shards', 'Number of shards changed'],
  rebalance: ['Rebalancing', 'Rebalanced'],
  replace: ['Replacing a shard', 'Shard replaced'],
}

const at = (id) => document.getElementById(id)
const totals = new Totals(at('totals'))
const lanes = new Lanes(at('lanes'))
let lostSince

async function poll() {
  const startMs = performance.now()
  try {
    const response = await fetch('api/v1/runtime', { signal: AbortSignal.timeout(ANSWER_MS_MAX), cache: 'no-store' })
    if (!response.ok)
      throw new Error(
        response.status === 401 ? 'it wants its token: load this page again' : `it answered ${response.status}`,
      )
    show(await response.json())
  } catch (error) {
    showLost(error)
  }
  setTimeout(poll, Math.max(0, POLL_MS - (performance.now() - startMs)))
}

function show(report) {
  const seconds = report.time_ms / 1_000
  if (lostSince !== undefined) {
    // Between the last answer and this one nothing is known.
    lanes.gap(seconds - 0.001)
    totals.gap(seconds - 0.001)
    lostSince = undefined
    at('lost').hidden = true
  }
  frame.to = seconds
  frame.from = seconds - WINDOW_SECONDS
  document.body.className = ''
  showHead(report)
  showMove(report.migration, report.time_ms)
  totals.show(report, seconds)
  lanes.show(report.shards, seconds)
  showServices(report)
  showThreads(report.threads)
}

function showLost(error) {
  lostSince ??= new Date()
  const why =
    error.name === 'TimeoutError'
      ? 'it does not answer'
      : error.name === 'TypeError'
        ? 'it cannot be reached'
        : error.message
  setText(at('lost'), `No figures from the server since ${lostSince.toLocaleTimeString()}: ${why}. Trying again.`)
  at('lost').hidden = false
  document.body.classList.add('lost')
}

function showHead({ version, node, uptime_seconds, readiness, shards, threads }) {
  const down = shards.filter(({ state }) => state === 'hung' || state === 'dead').length
  const pill = at('readiness')
  const state = readiness === 'ready' && down > 0 ? 'degraded' : readiness
  setText(pill, state)
  pill.dataset.state = state
  const heap = [...shards, ...threads].reduce((sum, { heap_used_bytes }) => sum + heap_used_bytes, 0)
  const facts = {
    Shards: countText(new Set(shards.map(({ id }) => id)).size),
    Actors: countText(shards.reduce((sum, { actors }) => sum + actors, 0)),
    Heap: bytesText(heap),
    Up: ageText(uptime_seconds),
    Version: version,
    Node: node.replace(/^v/, ''),
  }
  const host = at('facts')
  if (host.children.length === 0) {
    for (const name of Object.keys(facts)) host.append(element('div', {}, element('dt', {}, name), element('dd', {})))
  }
  for (const [index, text] of Object.values(facts).entries()) setText(host.children[index].lastChild, text)
}

function showMove({ state, kind, moved, remaining, lingering, failed, finished_ms, error }, nowMs) {
  const isOver = state !== 'moving'
  const isFresh = finished_ms !== null && nowMs - finished_ms < MOVE_SHOWN_MS
  const host = at('move')
  host.hidden = kind === null || (state === 'idle' && !isFresh)
  if (host.hidden) return
  const all = moved + failed + remaining
  const [during, after] = MOVES[kind]
  setText(at('move-title'), error === undefined ? (isOver ? after : during) : `${during} failed`)
  const parts = [
    `${countText(moved)} of ${countText(all)} connections moved`,
    ...(failed === 0 ? [] : [`${countText(failed)} failed`]),
    ...(lingering === 0 ? [] : [`${countText(lingering)} lingering on the old shard`]),
    ...(error === undefined ? [] : [error]),
  ]
  setText(at('move-text'), parts.join(', '))
  at('move-bar').value = all === 0 ? Number(isOver) : (moved + failed) / all
  host.dataset.state = error === undefined ? state : 'failed'
}

function showServices({ services, listeners }) {
  const rows = services.map((service) => {
    const own = listeners.filter((one) => one.service === service.name)
    // Both loopback addresses have one port: one line.
    const open = [...new Set(own.map(({ transport, port }) => `${transport} ${port}`))]
    return [
      service.name,
      open.join(' · '),
      countText(service.connections),
      countText(service.opened_per_second),
      countText(service.messages_in_per_second),
      countText(service.messages_out_per_second),
      countText(service.handoffs_failed + service.handoffs_rerouted),
    ]
  })
  fill(at('services'), ['Service', 'Listens on', 'Connections', 'New/s', 'In/s', 'Out/s', 'Failed handovers'], rows)
}

function showThreads(threads) {
  const rows = threads.map((thread) => [
    thread.name,
    shareText(thread.eventloop_utilization),
    secondsText(thread.eventloop_delay_seconds),
    bytesText(thread.heap_used_bytes),
    bytesText(thread.ring_used_bytes + thread.ring_overflow_bytes),
  ])
  fill(at('threads'), ['Thread', 'Utilisation', 'Delay p99', 'Heap', 'Rings'], rows)
}

/** Writes a table; its cells are made once for each row. */
function fill(table, titles, rows) {
  if (table.tHead === null) {
    const heads = titles.map((title) => element('th', { scope: 'col' }, title))
    table.append(element('thead', {}, element('tr', {}, ...heads)), element('tbody', {}))
  }
  const [body] = table.tBodies
  while (body.rows.length > rows.length) body.deleteRow(-1)
  while (body.rows.length < rows.length) {
    const cells = titles.map((title, index) => {
      const cell = element(index === 0 ? 'th' : 'td', index === 0 ? { scope: 'row' } : {})
      cell.dataset.title = title
      return cell
    })
    body.append(element('tr', {}, ...cells))
  }
  for (const [row, texts] of rows.entries()) {
    for (const [index, text] of texts.entries()) setText(body.rows[row].cells[index], text)
  }
}

poll()
