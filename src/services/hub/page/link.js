// The page's connection to the hub: opens it, opens it again when it was lost, resumes its session, and asks for what was
// missed. Knows nothing of what is shown.
//
//                 open            connected
//   (none) ──▶ connecting ─────────────────▶ live
//                ▲   │ refused, with a JWT    │ lost
//                │   └────────▶ refused       ▼
//                └──────────────────────── waiting
const PATH = 'ws'
const RETRY_MS = 500
const RETRY_MS_MAX = 5_000
/** The server says something every 30 s. */
const SILENCE_MS_MAX = 45_000
const ANSWER_MS_MAX = 15_000
const LOOK_MS = 5_000
/** Of a token's life, before the next one is asked for. */
const RENEWAL_SHARE = 0.8
/** Events that are remembered by their offset, of each channel. */
const SEEN_MAX = 2_000
/** Closed so, the server does not want us back. */
const isFinal = (code) => code >= 4500 && code < 5000

export class HubLink {
  #listener
  #channels
  #jwt = ''
  #resumption
  #socket
  #attempt = 0
  #retry
  #renewal
  #heardMs = 0
  #isAsking = false
  /** Channel → epoch, offset of the newest event, and the offsets seen. */
  #seen = new Map()
  /** Where each channel stood when the connection was opened. */
  #positions = {}
  /** Channel → missed events that are still to come. */
  #missed = new Map()

  /**
   * `listener`: state(name, detail), connected(frame), subscribed(channels, denied), missed(channel, count, isAll),
   * event(event, isMissed), refused(text).
   */
  constructor(channels, listener) {
    this.#channels = channels
    this.#listener = listener
    setInterval(() => this.#look(), LOOK_MS)
  }

  /** With a new identity, or none: a new session. */
  start(jwt) {
    this.#jwt = jwt
    this.#resumption = undefined
    this.#drop()
    this.#attempt = 0
    this.#open()
  }

  #open() {
    clearTimeout(this.#retry)
    const url = new URL(PATH, location.href)
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
    url.searchParams.set('offsets', '1')
    if (this.#jwt !== '') url.searchParams.set('token', this.#jwt)
    const { token, untilMs } = this.#resumption ?? { untilMs: 0 }
    if (performance.now() < untilMs) url.searchParams.set('reconnection_token', token)
    this.#listener.state('connecting')
    this.#missed.clear()
    this.#positions = Object.fromEntries(
      [...this.#seen].map(([channel, { epoch, offset }]) => [channel, { epoch, offset }]),
    )
    const socket = new WebSocket(url)
    this.#socket = socket
    this.#heardMs = performance.now()
    this.#isAsking = false
    let isLive = false
    socket.onmessage = ({ data }) => {
      if (typeof data !== 'string') return
      isLive = true
      this.#heardMs = performance.now()
      this.#isAsking = false
      this.#take(JSON.parse(data))
    }
    socket.onclose = ({ code, reason }) => {
      if (this.#socket === socket) void this.#lost(isLive, code, reason)
    }
  }

  async #lost(wasLive, code, reason) {
    const socket = this.#socket
    clearTimeout(this.#renewal)
    if (isFinal(code)) {
      this.#listener.state('refused', reason)
      return
    }
    // A browser does not say why a handshake failed: with a JWT and a server that answers, it is the JWT.
    if (!wasLive && this.#jwt !== '' && (await this.#isReachable())) {
      if (this.#socket === socket) this.#listener.state('refused', 'the server does not accept this JWT')
      return
    }
    if (this.#socket !== socket) return
    const pauseMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** this.#attempt++) * (0.8 + 0.4 * Math.random())
    this.#listener.state('lost', reason)
    this.#retry = setTimeout(() => this.#open(), pauseMs)
  }

  async #isReachable() {
    try {
      return (await fetch('health/live', { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS_MAX) })).ok
    } catch {
      return false // No answer is one.
    }
  }

  /** Whoever dropped it does not want to hear of it any more. */
  #drop() {
    const socket = this.#socket
    this.#socket = undefined
    socket?.close()
    clearTimeout(this.#retry)
    clearTimeout(this.#renewal)
  }

  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame))
  }

  /** A connection that is dead may look alive for long. */
  #look() {
    const silentMs = performance.now() - this.#heardMs
    const socket = this.#socket
    if (socket === undefined || socket.readyState > WebSocket.OPEN || silentMs < SILENCE_MS_MAX) return
    if (silentMs < SILENCE_MS_MAX + ANSWER_MS_MAX) {
      if (!this.#isAsking) this.#send({ type: 'ping' })
      this.#isAsking = true
      return
    }
    // Its own close would wait for the other side.
    socket.onclose = null
    socket.onmessage = null
    socket.close()
    void this.#lost(true, 0, 'nothing was heard')
  }

  #take(frame) {
    switch (frame.type) {
      case undefined:
        this.#event(frame)
        return
      case 'connected':
        this.#connected(frame)
        return
      case 'session_restored':
        this.#restored(frame)
        return
      case 'subscribed':
        this.#listener.subscribed(frame.channels, frame.denied ?? [])
        if (frame.channels.some((channel) => this.#positions[channel] !== undefined)) this.#recover(frame.channels)
        return
      case 'recovered':
        this.#recovered(frame.channels)
        return
      case 'reconnection_token':
        this.#renewed(frame)
        return
      case 'disconnected':
        this.#keep(frame.reconnection_token, frame.expires_in)
        return
      case 'error':
        this.#listener.refused(frame.message)
    }
  }

  #connected(frame) {
    this.#attempt = 0
    this.#listener.state('live')
    this.#listener.connected(frame)
    this.#send({ type: 'get_reconnection_token' })
    if (!frame.reconnected) this.#send({ type: 'subscribe', channels: this.#channels })
  }

  #restored({ channels, denied = [] }) {
    this.#listener.subscribed(channels, denied)
    this.#recover(channels)
    const others = this.#channels.filter((channel) => !channels.includes(channel))
    if (others.length > 0) this.#send({ type: 'subscribe', channels: others })
  }

  /** Also of nothing: after a restore the server waits for it. */
  #recover(channels) {
    const known = channels.filter((channel) => this.#positions[channel] !== undefined)
    const positions = Object.fromEntries(known.map((channel) => [channel, this.#positions[channel]]))
    this.#send({ type: 'recover', positions })
  }

  #recovered(channels) {
    for (const [channel, { recovered, missed }] of Object.entries(channels)) {
      if (!recovered) this.#seen.delete(channel)
      this.#missed.set(channel, missed)
      this.#listener.missed(channel, missed, recovered)
    }
  }

  #renewed({ token, expires_in: seconds }) {
    this.#keep(token, seconds)
    clearTimeout(this.#renewal)
    const pauseMs = seconds * 1_000 * RENEWAL_SHARE
    this.#renewal = setTimeout(() => this.#send({ type: 'get_reconnection_token' }), pauseMs)
  }

  #keep(token, seconds) {
    this.#resumption = { token, untilMs: performance.now() + seconds * 1_000 }
  }

  #event(event) {
    if (!this.#isNew(event)) return
    const left = this.#missed.get(event.channel) ?? 0
    if (left > 0) this.#missed.set(event.channel, left - 1)
    this.#listener.event(event, left > 0 || event.buffered_at !== undefined)
  }

  /** What was asked for may have come by itself meanwhile. */
  #isNew({ channel, epoch, offset }) {
    if (offset === undefined) return true
    const seen = this.#seen.get(channel)
    if (seen?.epoch !== epoch) {
      this.#seen.set(channel, { epoch, offset, offsets: new Set([offset]) })
      return true
    }
    if (seen.offsets.has(offset)) return false
    seen.offsets.add(offset)
    seen.offset = Math.max(seen.offset, offset)
    if (seen.offsets.size > SEEN_MAX) seen.offsets.delete(seen.offsets.values().next().value)
    return true
  }
}
