// A service for tests of sessions, loaded through `modules`: a WebSocket says `attach NAME` and belongs to a player then,
// who counts, remembers who came and went, and speaks to all his connections.
import {
  type ActorRef,
  type Connection,
  defineService,
  defineSession,
  queryValueOf,
  requestTargetOf,
  type ServiceContext,
  type SessionKey,
  type WebSocketHandler,
} from '../../src/index.ts'

/** What a player without a connection keeps for the next one. */
export const BACKLOG = 5
/** How long he waits for one. */
export const RESUME_MS = 1_500

interface Player {
  said: number
  came: number
  went: number
}

export const player = defineSession({
  kind: 'player',
  create: (): Player => ({ said: 0, came: 0, went: 0 }),
  resumeFor: RESUME_MS,
  backlog: BACKLOG,
  on: {
    say(session, text: string) {
      session.state.said++
      session.send(`${session.state.said} ${text}`)
    },
    look: ({ state, connections, dropped }) =>
      [state.said, state.came, state.went, connections.length, dropped].join(' '),
    kick: (session, code: number) => session.close(code, 'kicked'),
  },
  connected: ({ state }) => void state.came++,
  disconnected: ({ state }) => void state.went++,
})

/** `?session=KEY`: where a connection lives, whoever it belongs to. */
function sessionOfTarget(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const session = queryValueOf(found.target, 'session')
  return session === undefined ? { state: 'none' } : { state: 'key', key: `player:${session}` }
}

async function obey(context: ServiceContext<unknown>, connection: Connection, line: string): Promise<string> {
  const [command = '', name = '', ...rest] = line.split(' ')
  const to = (): ActorRef<typeof player.on> => context.actor(player, name)
  switch (command) {
    case 'where':
      return `at ${context.shard.id}`
    case 'attach':
      return `attached ${context.attach(connection, player, name)}`
    case 'say':
      return `said ${to().tell('say', rest.join(' '))}`
    case 'look':
      return `look ${await to().ask('look')}`
    case 'kick':
      return `kicked ${to().tell('kick', Number(rest[0]))}`
    default:
      return `? ${line}`
  }
}

export const players = defineService({
  name: 'players',
  listeners: { ws: { port: 0, sessionOf: sessionOfTarget } },
  start(context) {
    const ws: WebSocketHandler = {
      open: () => undefined,
      message: async (connection, payload) => void connection.send(await obey(context, connection, payload.toString())),
      thaw: () => undefined,
    }
    return { ws }
  },
})
