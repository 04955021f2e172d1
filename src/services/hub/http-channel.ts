// Channels and clients over HTTP: what there is, who is there (for administrators), and broadcasts. [PROTOCOLS 4.10]
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { COUNT } from './census.ts'
import type { HubEdge } from './edge.ts'
import { eventJson } from './event.ts'
import { isAdmin, limited, requesterOf } from './http-access.ts'
import { HTTP_TEXT, sendDetail, sendJson } from './http-answer.ts'
import { broadcastOf, type Members } from './request.ts'
import { jsonOf } from './text.ts'

const ROOT = '/api/v1/websocket'

/** Those of the default; a channel of somebody's own has none. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  metrics: 'Figures of the process, every few seconds',
  signals: 'Signals that publishers detect',
  actions: 'What administrators do, and rate limits that are hit',
  logs: 'Warnings and errors of the log',
  status: 'Start, failure and recovery of the process and its parts',
  connections: 'Clients that connect and disconnect',
}

/** Members of a broadcast's body that are not copied to its event: those the hub itself writes. */
const RESERVED: ReadonlySet<string> = new Set([
  'type',
  'channel',
  'timestamp',
  'event_type',
  'data',
  'offset',
  'epoch',
  'buffered_at',
])

type ChannelRequest = FastifyRequest<{ Params: { channel: string } }>
type BroadcastRequest = FastifyRequest<{ Querystring: { channel?: string | string[] }; Body: unknown }>

export function addChannels(app: FastifyInstance, edge: HubEdge): void {
  const { channels } = edge.context.config
  app.get(`${ROOT}/channels`, (_request, reply) => {
    const descriptions = Object.fromEntries(channels.map((channel) => [channel, DESCRIPTIONS[channel] ?? '']))
    return sendJson(reply, 200, { channels, descriptions })
  })
  app.get(`${ROOT}/channels/:channel`, async (request: ChannelRequest, reply) => {
    const { channel } = request.params
    const subscribers = subscribersOf(edge, await edge.census.sync(), channel)
    const clients = subscribers > 0 && (await isAdmin(edge, request)) ? await edge.clients() : []
    const ids = clients.filter((client) => client.channels.includes(channel)).map(({ client_id: id }) => id)
    return sendJson(reply, 200, { channel, subscribers, subscriber_ids: ids })
  })
  app.get(`${ROOT}/status`, async (request, reply) => {
    const [sums, buffered] = await Promise.all([edge.census.sync(), edge.buffered()])
    const websocket = {
      endpoint: '/ws',
      protocol: 'ws',
      total_connections: sums[COUNT.connections] ?? 0,
      total_channels: channels.length,
      total_subscriptions: sums.slice(COUNT.channels).reduce((sum, count) => sum + count, 0),
      buffered_events: buffered,
      clients: (await isAdmin(edge, request)) ? await edge.clients() : [],
    }
    return sendJson(reply, 200, { status: 'ok', websocket })
  })
  app.post(
    `${ROOT}/broadcast`,
    { onRequest: [limited(edge, 'broadcast'), broadcasters(edge)] },
    (request: BroadcastRequest, reply) => broadcast(edge, request, reply),
  )
}

function broadcasters(edge: HubEdge): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request, reply) => {
    const identity = await requesterOf(edge, request)
    if (identity === undefined) {
      reply.header('www-authenticate', 'Bearer')
      sendDetail(reply, 401, HTTP_TEXT.notAuthenticated)
      return
    }
    const { channel } = request.query as { readonly channel?: unknown }
    const { permissions } = edge
    const isKnown = typeof channel === 'string' && permissions.isChannel(channel)
    const may = isKnown ? permissions.mayBroadcast(identity.role, channel) : permissions.broadcasts(identity.role)
    if (!may) sendDetail(reply, 403, HTTP_TEXT.notAllowed)
  }
}

async function broadcast(edge: HubEdge, request: BroadcastRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { channel } = request.query
  const { body } = request
  if (typeof channel !== 'string' || channel === '') return sendDetail(reply, 422, HTTP_TEXT.channelMissing)
  if (!edge.permissions.isChannel(channel)) return sendDetail(reply, 422, `Unknown channel: ${channel}`)
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    return sendDetail(reply, 422, HTTP_TEXT.bodyNoObject)
  const wanted = broadcastOf(body as Members)
  if ('problem' in wanted) return sendDetail(reply, 422, wanted.problem)
  const { clock } = edge.context
  const startMs = clock.nowMs()
  const more = Object.entries(body)
    .filter(([name]) => !RESERVED.has(name))
    .map(([name, value]) => `,${JSON.stringify(name)}:${jsonOf(value) ?? 'null'}`)
  const json = eventJson(channel, wanted.eventType, wanted.data, clock.wallMs(), more.join(''))
  if (!(await edge.broadcast(channel, json))) return sendDetail(reply, 503, HTTP_TEXT.overloaded)
  const [sums] = await Promise.all([edge.census.sync(), edge.placed(channel)])
  const subscribers = subscribersOf(edge, sums, channel)
  edge.counters.channel(channel).broadcast.observe((clock.nowMs() - startMs) / 1_000)
  return sendJson(reply, 200, { status: 'ok', channel, subscribers, message_sent: true })
}

function subscribersOf(edge: HubEdge, sums: readonly number[], channel: string): number {
  const index = edge.context.config.channels.indexOf(channel)
  return index < 0 ? 0 : (sums[COUNT.channels + index] ?? 0)
}
