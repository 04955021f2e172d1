// Services for tests whose handshakes are decided on, loaded through `modules`: beside requests, and alone. What comes of
// them can be asked over HTTP.
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { defineService } from '../../src/index.ts'
import type { UpgradeAnswer, UpgradeRequest, WebSocketHandler } from '../../src/net/handler.ts'
import { pathSegmentsOf } from '../../src/net/head.ts'

export interface GateCounts {
  asked: number
  opened: number
  abandoned: number
}

const counts: GateCounts = { asked: 0, opened: 0, abandoned: 0 }

/** `/yes/…`, `/no/…`, `/throw/…`, `/slowly/<ms>`; `/hang` accepts when nobody waits any more. */
async function decide({ target, headers, signal }: UpgradeRequest): Promise<UpgradeAnswer> {
  counts.asked++
  const [command, argument] = pathSegmentsOf(target) ?? []
  if (command === 'no') return { accept: false, status: 403, body: 'Invalid authorization token' }
  if (command === 'throw') throw new Error('on purpose')
  if (command === 'slowly') await pause(Number(argument))
  if (command === 'hang') await once(signal, 'abort')
  const value = headers.authorization ?? 'nobody'
  return headers['sec-websocket-protocol'] === undefined
    ? { accept: true, value }
    : { accept: true, value, protocol: 'second' }
}

const ws: WebSocketHandler<string> = {
  upgrade: decide,
  abandoned: () => void counts.abandoned++,
  open(connection, value) {
    counts.opened++
    connection.send(`hello ${value}`)
    return String(value)
  },
  message: (connection, payload) => void connection.send(`${connection.state}: ${payload}`),
  freeze: ({ state }) => state,
  thaw: (_connection, state) => String(state),
}

export const gate = defineService({
  name: 'gate',
  listeners: { ws: { port: 0 } },
  start: () => ({
    ws: ws as WebSocketHandler,
    http: (_request, response) => response.end(JSON.stringify(counts)),
  }),
})

export const bare = defineService({
  name: 'bare',
  listeners: { ws: { port: 0 } },
  start: () => ({ ws: ws as WebSocketHandler }),
})
