// A chat room over WebSocket. Clients of all shards meet in a topic; a member is a session, which may have several
// connections, or none for a while. What a client sends is JSON:
//   { "join": "lobby", "name": "ada" }   first; with "since": { epoch, offset } it gets what it missed
//   { "say": "hello" }                   to everybody in the room
//   { "say": "psst", "to": "bob" }       to all connections of bob, or to his next one
//   { "who": true }                      who is there?
import { defineService, defineSession, defineTopic, type WebSocketHandler } from '../../src/index.ts' // you write: 'polyloop'

type Line = { readonly from: string; readonly say: string }
type Seat = { readonly name: string; readonly topic: string } | undefined
type Input = {
  join?: unknown
  name?: unknown
  say?: unknown
  to?: unknown
  who?: unknown
  since?: { epoch: number; offset: number }
}

const NAME = /^[\w-]{1,32}$/

/** `room.lobby`: everybody gets every message, in one order. Encoded once, however many there are. */
export const room = defineTopic<Line>({
  kind: 'room',
  history: { count: 100, age: '1h' },
  presence: true,
  encode: (line, { offset }) => JSON.stringify({ ...line, offset }),
})

/** `member/bob`. What it sends without a connection waits for the next one. */
export const member = defineSession({
  kind: 'member',
  create: () => undefined,
  resumeFor: '10m',
  on: {
    whisper: (session, line: Line) => session.send(JSON.stringify({ ...line, whispered: true })),
  },
})

export const chatRoom = defineService({
  name: 'chat-room',
  listeners: { ws: { port: 8092 } },
  start({ actor, attach, publish, subscribe, presence }) {
    const ws: WebSocketHandler<Seat> = {
      open: () => undefined,
      async message(connection, payload) {
        const { join, name, say, to, who, since } = JSON.parse(payload.toString()) as Input // what is no JSON ends in 1011
        const seat = connection.state
        if (seat === undefined) {
          if (typeof name !== 'string' || !NAME.test(name) || typeof join !== 'string' || !NAME.test(join))
            return connection.close(4500, 'who?')
          connection.state = { name, topic: `room.${join}` }
          attach(connection, member, name)
          subscribe(connection, `room.${join}`, { presence: name, ...(since && { since }) })
        } else if (who === true) connection.send(JSON.stringify({ here: (await presence(seat.topic)).members }))
        else if (typeof say === 'string' && typeof to === 'string')
          actor(member, to).tell('whisper', { from: seat.name, say })
        else if (typeof say === 'string') publish(seat.topic, { from: seat.name, say })
      },
      // With these two a connection can move to another shard while it is open: on a reload, for example.
      freeze: ({ state }) => state,
      thaw: (_connection, frozen) => frozen as Seat,
    }
    // It has joined (this is where it stands), or has missed something.
    return { ws, topicEvent: (connection, event) => void connection.send(JSON.stringify(event)), messageBytesMax: 4096 }
  },
})
