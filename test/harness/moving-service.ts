// A service for tests of moves, loaded through `modules`: echoes over TCP (lines) and WebSocket, subscribes everyone to
// one topic, counts in actors, and has an actor that publishes numbers. All of it can move.
import {
  type Connection,
  defineActor,
  defineService,
  defineTopic,
  queryValueOf,
  requestTargetOf,
  type ServiceContext,
  type SessionKey,
  type TcpHandler,
  type WebSocketHandler,
} from '../../src/index.ts'

const NEWLINE = 0x0a
const TICKS = 'ticks.all'

/** The version of this code: a test that changes the file sees it change. */
const VERSION = 'first'

export const counter = defineActor({
  kind: 'tally',
  create: () => ({ count: 0 }),
  on: {
    add(state, amount: number) {
      state.count += amount
      return state.count
    },
    // As one that asks a database: it is in its handler when the move begins.
    async slowly(state, ms: number) {
      await new Promise((resolve) => setTimeout(resolve, ms))
      state.count++
      return state.count
    },
  },
})

export const ticker = defineActor({
  kind: 'ticker',
  create: () => ({ number: 0 }),
  on: {
    start(_state, periodMs: number, context) {
      context.every('tick', periodMs, 'tick')
    },
    tick(state, _none: undefined, context) {
      state.number++
      context.publish(TICKS, `t ${state.number}\n`)
    },
    stop(state, _none: undefined, context) {
      context.cancel('tick')
      return state.number
    },
  },
})

export const ticks = defineTopic({ kind: 'ticks', slow: 'disconnect' })

/** `?session=KEY`. */
function sessionOfTarget(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const session = queryValueOf(found.target, 'session')
  return session === undefined ? { state: 'none' } : { state: 'key', key: `moving:${session}` }
}

/** The answer to one line or message, without its newline. */
function answerTo(context: ServiceContext<unknown>, text: string): string | Promise<string> {
  const [command, key = '', amount = '1'] = text.split(' ')
  const failed = (error: Error): string => `failed ${error.message}`
  switch (command) {
    case 'where':
      return String(context.shard.id)
    case 'version':
      return VERSION
    case 'add':
      return context
        .actor(counter, key)
        .ask('add', Number(amount))
        .then((count) => `count ${count}`, failed)
    case 'slowly':
      return context
        .actor(counter, key)
        .ask('slowly', Number(amount))
        .then((count) => `count ${count}`, failed)
    case 'ticker':
      context.actor(ticker, 'all').tell('start', Number(key))
      return 'started'
    case 'last':
      return context
        .actor(ticker, 'all')
        .ask('stop')
        .then((number) => `last ${number}`, failed)
    default:
      return text
  }
}

export const moving = defineService({
  name: 'moving',
  listeners: { tcp: { port: 0 }, ws: { port: 0, sessionOf: sessionOfTarget } },
  start(context) {
    const reply = (connection: Connection<never>, text: string, end: string): undefined | Promise<void> => {
      const answer = answerTo(context, text)
      if (typeof answer !== 'string') return answer.then((later) => void connection.send(later + end))
      connection.send(answer + end)
      return undefined
    }
    const opened = (connection: Connection<never>): never => {
      context.subscribe(connection, TICKS)
      return undefined as never
    }
    const tcp: TcpHandler<never> = {
      open: opened,
      data(connection, bytes) {
        let start = 0
        for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
          const later = reply(connection, bytes.toString('utf8', start, end), '\n')
          later?.catch(() => connection.close())
          start = end + 1
        }
        return start
      },
      thaw: () => undefined as never,
    }
    const ws: WebSocketHandler<never> = {
      open: opened,
      message: (connection, payload) => reply(connection, payload.toString(), ''),
      thaw: () => undefined as never,
    }
    return {
      tcp: tcp as TcpHandler,
      ws: ws as WebSocketHandler,
      topicEvent(connection, event) {
        if (event.type !== 'subscribed') connection.send(`${event.type} ${JSON.stringify(event)}\n`)
      },
    }
  },
})
