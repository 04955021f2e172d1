// What a client asks for, one message at a time, and what it is answered. Replies come in the order of requests: one that
// takes its time lets the client wait. [PROTOCOLS 4.2, 4.3, 4.8]
import { parseBinary } from './binary-message.ts'
import { COUNT } from './census.ts'
import { inflatedProblem } from './compressed-json.ts'
import type { ReceivedType } from './counter.ts'
import type { HubEdge } from './edge.ts'
import { binaryPayload, eventJson } from './event.ts'
import type { Member } from './member.ts'
import { RATED, type Rated } from './rate-limit.ts'
import {
  broadcastOf,
  channelsOf,
  channelText,
  idJson,
  type Members,
  membersOf,
  optionsOf,
  positionsOf,
} from './request.ts'
import { CLOSE, errorJson, retryAfterJson, TEXT, unknownType } from './text.ts'

export const TEXT_BYTES_MAX = 1024 * 1024
export const BINARY_BYTES_MAX = 16 * 1024 * 1024
/** Frames for 'unknown': their bucket is that of what cannot be read. */
const REQUESTS: ReadonlySet<string> = new Set(RATED.filter((type) => type !== 'binary' && type !== 'invalid'))

interface Request {
  readonly member: Member
  readonly members: Members
  /** `,"id":…`, or nothing. */
  readonly id: string
}

export class Dialog {
  readonly #edge: HubEdge

  constructor(edge: HubEdge) {
    this.#edge = edge
  }

  /** `payload` is valid only during the call. */
  received(member: Member, payload: Buffer, isBinary: boolean): Promise<void> | undefined {
    const { counters, context } = this.#edge
    const startMs = context.clock.nowMs()
    counters.receivedBytes.observe(payload.length)
    if (isBinary) return this.#timed(member, 'binary', startMs, this.#binary(member, payload))
    if (payload.length > TEXT_BYTES_MAX) {
      member.send('error', errorJson(TEXT.tooLarge))
      member.end('too_large', CLOSE.tooLarge)
      return undefined
    }
    const members = membersOf(payload.toString())
    if (members === undefined || members === null) {
      this.#unreadable(member, members === undefined ? TEXT.notJson : TEXT.notObject)
      return undefined
    }
    const { type } = members
    if (typeof type !== 'string' || !REQUESTS.has(type)) {
      counters.received('unknown')
      if (this.#admits(member, 'invalid', idJson(members))) this.#fail(member, unknownType(type), idJson(members))
      return undefined
    }
    const rated = type as Rated
    counters.received(rated)
    const request = { member, members, id: idJson(members) }
    if (!this.#admits(member, rated, request.id)) return undefined
    return this.#timed(member, rated, startMs, this.#answer(rated, request))
  }

  #answer(type: Rated, request: Request): Promise<void> | undefined {
    const { member, id } = request
    switch (type) {
      case 'ping':
        member.send('pong', `{"type":"pong","timestamp":"${member.timestamp}"${id}}`)
        return undefined
      case 'subscribe':
        return this.#subscribe(request)
      case 'unsubscribe':
        return this.#unsubscribe(request)
      case 'get_subscriptions': {
        const channels = JSON.stringify(member.channels)
        member.send(
          'subscriptions',
          `{"type":"subscriptions","channels":${channels},"timestamp":"${member.timestamp}"${id}}`,
        )
        return undefined
      }
      case 'get_reconnection_token':
        return this.#issueToken(request)
      case 'set_options':
        this.#setOptions(request)
        return undefined
      case 'broadcast':
        return this.#broadcast(request)
      case 'recover':
        return this.#recover(request)
      default:
        return undefined
    }
  }

  #subscribe({ member, members, id }: Request): Promise<void> | undefined {
    const { permissions, counters, logs } = this.#edge
    const wanted = channelsOf(members)
    if ('problem' in wanted) return this.#fail(member, wanted.problem, id)
    const { role } = member.session.identity
    const allowed = wanted.filter((channel) => permissions.maySubscribe(role, channel))
    const denied = wanted.filter((channel) => !allowed.includes(channel))
    for (const channel of allowed) {
      const log = logs.get(channel)
      if (log === undefined || member.has(channel)) continue
      member.subscribe(log)
      for (const cell of counters.channel(channel).subscriptions) cell.value++
    }
    for (const _ of denied) counters.error('permission')
    if (allowed.length > 0) member.persist()
    const refused =
      denied.length === 0
        ? ''
        : `,"denied":${JSON.stringify(denied)},"message":${JSON.stringify(`Permission denied for channels: ${denied.join(', ')}`)}`
    // Not before everybody counts it: who broadcasts next is told how many there are.
    return member.busy(
      this.#counted(allowed).then(() => {
        const channels = JSON.stringify(allowed)
        member.send(
          'subscribed',
          `{"type":"subscribed","channels":${channels}${refused},"timestamp":"${member.timestamp}"${id}}`,
        )
      }),
    )
  }

  /** Subscriptions are counted in the whole process, and their channels know where they stand. */
  async #counted(channels: readonly string[]): Promise<void> {
    if (channels.length > 0) await Promise.all([this.#edge.census.sync(), this.#edge.ready(channels)])
  }

  #unsubscribe({ member, members, id }: Request): Promise<void> | undefined {
    const channels = channelsOf(members)
    if ('problem' in channels) return this.#fail(member, channels.problem, id)
    let changed = false
    for (const channel of channels) {
      if (!member.has(channel)) continue
      changed = true
      member.unsubscribe(channel)
      this.#edge.counters.channel(channel).unsubscriptions.value++
    }
    const reply = (): void =>
      member.send(
        'unsubscribed',
        `{"type":"unsubscribed","channels":${JSON.stringify(channels)},"timestamp":"${member.timestamp}"${id}}`,
      )
    if (!changed) {
      reply()
      return undefined
    }
    member.persist()
    return member.busy(this.#edge.census.sync().then(reply))
  }

  #issueToken({ member, id }: Request): Promise<void> | undefined {
    if (!member.mayHaveTokens) return this.#fail(member, TEXT.tokensForUsers, id)
    const seconds = this.#edge.context.config.tokenTtl / 1_000
    return member.busy(
      member.issueToken().then((token) => {
        if (token === undefined) return void this.#fail(member, TEXT.tokenFailed, id)
        member.send(
          'reconnection_token',
          `{"type":"reconnection_token","token":"${token}","expires_in":${seconds},"timestamp":"${member.timestamp}"${id}}`,
        )
      }),
    )
  }

  #setOptions({ member, members, id }: Request): void {
    const options = optionsOf(members, member.session.options)
    if ('problem' in options) {
      this.#fail(member, options.problem, id)
      return
    }
    member.setOptions(options)
    member.persist()
    const { binary, compression, offsets } = options
    const more = offsets ? ',"offsets":true' : ''
    member.send(
      'options',
      `{"type":"options","binary":${binary},"compression":"${compression}"${more},"timestamp":"${member.timestamp}"${id}}`,
    )
  }

  #recover({ member, members, id }: Request): Promise<void> | undefined {
    const positions = positionsOf(members)
    if ('problem' in positions) return this.#fail(member, positions.problem, id)
    member.expectRecover()
    const places = [...positions].map(([channel, { epoch, offset }]) => [channel, epoch, offset] as const)
    return member.busy(
      this.#edge.catchUp(places).then(() => {
        if (member.isGone) return
        const { channels, start } = member.recover(positions)
        const told = JSON.stringify(Object.fromEntries(channels))
        member.send('recovered', `{"type":"recovered","channels":${told},"timestamp":"${member.timestamp}"${id}}`)
        start()
      }),
    )
  }

  // ---- broadcasts -------------------------------------------------------------------------------------------------

  #broadcast({ member, members, id }: Request): Promise<void> | undefined {
    const { context } = this.#edge
    const channel = this.#broadcastable(member, members.channel, id)
    if (channel === undefined) return undefined
    const broadcast = broadcastOf(members)
    if ('problem' in broadcast) return this.#fail(member, broadcast.problem, id)
    const { eventType, data } = broadcast
    const payload = eventJson(channel, eventType, data, context.clock.wallMs())
    return member.busy(this.#publish(member, channel, payload, id))
  }

  #binary(member: Member, frame: Buffer): Promise<void> | undefined {
    const { counters, context } = this.#edge
    counters.received('binary')
    if (!this.#admits(member, 'binary', '')) return undefined
    const parsed = parseBinary(frame)
    if ('problem' in parsed) return this.#badBinary(member, parsed.problem)
    const { channel } = parsed.metadata
    if (channel === undefined || channel === null) return this.#badBinary(member, TEXT.channelMissing)
    const allowed = this.#broadcastable(member, channel, '')
    if (allowed === undefined) return undefined
    // A copy: the frame is a view of what the shard reads into.
    const payload = binaryPayload(frame, context.clock.wallMs())
    if (parsed.type !== 'COMPRESSED_JSON') return member.busy(this.#publish(member, allowed, payload, ''))
    const checked = inflatedProblem(Buffer.from(parsed.payload)).then((problem) => {
      if (problem !== undefined) return void this.#badBinary(member, problem)
      return this.#publish(member, allowed, payload, '')
    })
    return member.busy(checked)
  }

  /** The channel, if the member may broadcast to it; otherwise it has been told why not. */
  #broadcastable(member: Member, channel: unknown, id: string): string | undefined {
    const { permissions, counters } = this.#edge
    const { role } = member.session.identity
    const name = channelText(channel)
    if (typeof channel === 'string' && permissions.mayBroadcast(role, channel)) return channel
    if (permissions.isChannel(name) || !permissions.broadcasts(role)) {
      counters.error('permission')
      this.#fail(member, `Permission denied: broadcast to ${name}`, id)
    } else this.#fail(member, `Unknown channel: ${name}`, id)
    return undefined
  }

  async #publish(member: Member, channel: string, payload: string | Buffer, id: string): Promise<void> {
    const { counters, census, context } = this.#edge
    const startMs = context.clock.nowMs()
    if (!(await this.#edge.broadcast(channel, payload))) {
      counters.error('message_handling')
      this.#fail(member, TEXT.broadcastFailed, id)
      return
    }
    const [sums] = await Promise.all([census.sync(), this.#edge.placed(channel)])
    const subscribers = sums[COUNT.channels + context.config.channels.indexOf(channel)] ?? 0
    counters.channel(channel).broadcast.observe((context.clock.nowMs() - startMs) / 1_000)
    member.send(
      'broadcast_ack',
      `{"type":"broadcast_ack","channel":"${channel}","subscribers":${subscribers},"timestamp":"${member.timestamp}"${id}}`,
    )
  }

  // ---- refusals ---------------------------------------------------------------------------------------------------

  #unreadable(member: Member, text: string): void {
    const { counters } = this.#edge
    counters.received('invalid')
    counters.error('invalid_json')
    if (this.#admits(member, 'invalid', '')) this.#fail(member, text, '')
  }

  #badBinary(member: Member, problem: string): undefined {
    this.#edge.counters.error('invalid_binary')
    return this.#fail(member, `Invalid binary message: ${problem}`, '')
  }

  #admits(member: Member, type: Rated, id: string): boolean {
    const seconds = member.session.buckets.take(type, member.wallMs)
    if (seconds === 0) return true
    this.#edge.counters.rateLimited(type)
    member.send('error', errorJson(TEXT.rateLimited, id, retryAfterJson(seconds)))
    member.toldLimit(type)
    return false
  }

  #fail(member: Member, text: string, id: string): undefined {
    member.send('error', errorJson(text, id))
  }

  #timed(
    _member: Member,
    type: ReceivedType,
    startMs: number,
    answer: Promise<void> | undefined,
  ): Promise<void> | undefined {
    const { counters, context } = this.#edge
    const done = (): void => counters.replied(type, (context.clock.nowMs() - startMs) / 1_000)
    if (answer === undefined) done()
    return answer?.then(done)
  }
}
