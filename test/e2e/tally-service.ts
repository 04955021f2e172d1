// A service with actors for tests, loaded through `modules`: an echo over WebSocket, each of whose messages also goes to
// the actor of its session.
import { defineActor, defineService, queryValueOf, requestTargetOf, type SessionKey } from '../../src/index.ts'

export const tally = defineActor({
  kind: 'tally',
  create: () => ({ messages: 0, bytes: 0 }),
  on: {
    count(state, bytes: number): void {
      state.messages++
      state.bytes += bytes
    },
  },
})

function sessionOfTarget(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const session = queryValueOf(found.target, 'session')
  return session === undefined ? { state: 'none' } : { state: 'key', key: `tally:${session}` }
}

export const tallying = defineService({
  name: 'tallying',
  listeners: { ws: { port: 0, sessionOf: sessionOfTarget } },
  start: ({ actor }) => ({
    ws: {
      thaw: () => undefined,
      message(connection, payload, isBinary) {
        if (!connection.send(payload, isBinary)) connection.pause()
        actor(tally, connection.session).tell('count', payload.length)
      },
      writable: (connection) => connection.resume(),
    },
  }),
})
