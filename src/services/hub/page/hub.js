// The page of the hub: a client of it that shows what its channels say. Without a JWT it is nobody; with one it is who
// the JWT says, until the page is closed: nothing is stored.
import { ChannelTable } from './channel-table.js'
import { element, setText } from './element.js'
import { EventList } from './event-list.js'
import { HubLink } from './link.js'
import { MetricCards } from './metric-card.js'

const LIST_MS_MAX = 3_000
const LIST_AGAIN_MS = 1_000

const at = (id) => document.getElementById(id)
const metrics = new MetricCards(at('totals'))
const events = new EventList(at('events'))
let lostSince

/** What there is: without it there is nothing to ask for. */
async function listChannels() {
  for (;;) {
    try {
      const signal = AbortSignal.timeout(LIST_MS_MAX)
      const response = await fetch('api/v1/websocket/channels', { cache: 'no-store', signal })
      if (response.ok) return await response.json()
    } catch {
      // Nobody answers: asked again.
    }
    showState('lost', '')
    await new Promise((resolve) => setTimeout(resolve, LIST_AGAIN_MS))
  }
}

function showState(state, detail) {
  setText(at('state'), state)
  at('state').dataset.state = state
  const isLost = state === 'lost' || state === 'refused'
  document.body.className = state === 'live' ? '' : isLost ? 'lost' : document.body.className
  if (state === 'live') {
    lostSince = undefined
    at('lost').hidden = true
  }
  if (!isLost) return
  if (lostSince === undefined) metrics.gap()
  lostSince ??= new Date()
  const why = detail === '' || detail === undefined ? '' : `: ${detail}`
  const text =
    state === 'lost'
      ? `No connection since ${lostSince.toLocaleTimeString('en-GB')}${why}. Trying again.`
      : `The server refuses${why}.`
  setText(at('lost'), text)
  at('lost').hidden = false
}

function showFacts(facts) {
  at('facts').replaceChildren(
    ...Object.entries(facts).map(([name, text]) =>
      element('div', {}, element('dt', {}, name), element('dd', { id: `fact-${name.toLowerCase()}` }, text)),
    ),
  )
}

const { channels, descriptions } = await listChannels()
const table = new ChannelTable(at('channels'), channels, descriptions)
at('shown').append(...channels.map((channel) => element('option', { value: channel }, channel)))

const link = new HubLink(channels, {
  state(state, detail) {
    showState(state, detail)
    if (state === 'lost' || state === 'refused') table.state(channels, 'waiting')
  },
  connected({ client_id: client, user_id: user, reconnected }) {
    showFacts({ User: user ?? 'nobody', Client: client.slice(0, 8), Session: reconnected ? 'resumed' : 'new' })
  },
  subscribed(allowed, denied) {
    table.state(allowed, 'subscribed')
    table.state(denied, 'denied')
  },
  missed: (channel, count, isAll) => table.missed(channel, count, isAll),
  event(event, isMissed) {
    table.event(event)
    events.push(event, isMissed)
    if (event.channel === 'metrics') metrics.show(event)
  },
  refused(text) {
    setText(at('lost'), `The server says: ${text}`)
    at('lost').hidden = false
  },
})

at('identity').addEventListener('submit', (event) => {
  event.preventDefault()
  link.start(at('token').value.trim())
  at('token').value = ''
})
at('shown').addEventListener('change', () => events.show(at('shown').value))
at('hold').addEventListener('change', () => events.hold(at('hold').checked))
link.start('')
