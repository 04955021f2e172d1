// A service for tests of topics, loaded through `modules`: whoever connects, over TCP (lines) or WebSocket, says what it
// subscribes to and publishes. One kind per treatment of slow subscribers. All of it can move.
//
// A message is `T:OFFSET US KEY FILLER`: T the id of its topic (one character), US when it should have been published on
// the clock of the machine. An answer begins with `=`, an event of a subscription is `!` and its JSON.
import {
  type ActorContext,
  type Connection,
  defineActor,
  defineService,
  defineTopic,
  queryValueOf,
  requestTargetOf,
  type ServiceContext,
  type SessionKey,
  type SubscribeOptions,
  type TcpHandler,
  type WebSocketHandler,
} from '../../src/index.ts'

const NEWLINE = 0x0a
/** A publisher that is late catches up by so many messages each time. */
const BURST_MAX = 1_000

export interface TopicPost {
  readonly us: number
  readonly key: string
  readonly bytes: number
}

function encode({ us, key, bytes }: TopicPost, { topic, offset }: { topic: string; offset: number }): string {
  return `${topic.slice(topic.indexOf('.') + 1)}:${offset} ${us} ${key} ${'.'.repeat(bytes)}\n`
}

const key = (post: TopicPost): string => post.key
/** For catch-up: more than any test publishes in a round. */
const history = { count: 4_096, bytes: 64 * 1024 ** 2, age: '5m' } as const

export const cut = defineTopic<TopicPost>({ kind: 'cut', slow: 'disconnect', encode })
export const newest = defineTopic<TopicPost>({ kind: 'newest', slow: 'drop-oldest', encode })
export const latest = defineTopic<TopicPost>({ kind: 'latest', slow: 'conflate', key, encode })
export const whole = defineTopic<TopicPost>({ kind: 'whole', slow: 'catch-up', history, encode })
/** Its history is so short that who comes late has missed something. */
export const brief = defineTopic<TopicPost>({ kind: 'brief', slow: 'catch-up', history: { count: 20 }, encode })
export const known = defineTopic<TopicPost>({ kind: 'known', history: { count: 50 }, presence: true, encode })

/** The clock that every process of the machine shares. */
export function machineUs(): number {
  return Math.floor(Number(process.hrtime.bigint()) / 1000)
}

interface Pace {
  startUs: number
  periodUs: number
  keys: number
  bytes: number
  /** How many there will be. */
  count: number
  published: number
  refused: number
}

/** Publishes what is due, with the time it was due, and comes back for the next. */
function publishDue(pace: Pace, context: ActorContext): void {
  for (let burst = 0; pace.published < pace.count; burst++) {
    const us = Math.floor(pace.startUs + pace.published * pace.periodUs)
    const waitMs = Math.ceil((us - machineUs()) / 1000)
    if (waitMs > 0 || burst === BURST_MAX) {
      context.after('publish', Math.max(1, waitMs), 'publish')
      return
    }
    const post = { us, key: `k${pace.published % pace.keys}`, bytes: pace.bytes }
    if (context.publish(context.id, post)) pace.published++
    else {
      pace.refused++
      context.after('publish', 1, 'publish')
      return
    }
  }
}

/** Publishes at a steady rate to the topic it is called like. */
export const publisher = defineActor({
  kind: 'publisher',
  create: (): Pace => ({ startUs: 0, periodUs: 0, keys: 1, bytes: 0, count: 0, published: 0, refused: 0 }),
  on: {
    start(pace, order: { perSecond: number; keys: number; bytes: number; count: number }, context) {
      const { keys, bytes, count } = order
      const periodUs = 1e6 / order.perSecond
      Object.assign(pace, { startUs: machineUs(), periodUs, keys, bytes, count, published: 0, refused: 0 })
      publishDue(pace, context)
    },
    publish: (pace, _none: undefined, context) => publishDue(pace, context),
    published: ({ published, refused }) => ({ published, refused }),
    stop(pace, _none: undefined, context) {
      context.cancel('publish')
      return { published: pace.published, refused: pace.refused }
    },
  },
})

/** `?session=KEY`. */
function sessionOfTarget(head: Uint8Array, start: number, end: number): SessionKey {
  const found = requestTargetOf(head, start, end)
  if (found.state !== 'target') return found
  const session = queryValueOf(found.target, 'session')
  return session === undefined ? { state: 'none' } : { state: 'key', key: `topical:${session}` }
}

function sinceOf(epoch: string | undefined, offset: string | undefined): SubscribeOptions {
  return offset === undefined ? {} : { since: { epoch: Number(epoch), offset: Number(offset) } }
}

/** The answer to one line; undefined: none. */
async function obey(
  context: ServiceContext<unknown>,
  connection: Connection<never>,
  line: string,
): Promise<string | undefined> {
  const [command, topic = '', ...rest] = line.split(' ')
  const numbers = rest.map(Number)
  const [first = 1, second = 0, third = 1, fourth = 1] = numbers
  switch (command) {
    case 'where':
      return `${context.shard.id}`
    case 'sub': {
      const outcome = context.subscribe(connection, topic, {
        ...sinceOf(rest[0], rest[1]),
        presence: connection.session,
      })
      return outcome === 'accepted' ? undefined : outcome
    }
    case 'unsub':
      return `${context.unsubscribe(connection, topic)}`
    // pub TOPIC COUNT BYTES: from the service itself.
    case 'pub': {
      for (let index = 0; index < first; index++) {
        if (!context.publish(topic, { us: machineUs(), key: `k${index}`, bytes: second })) return `refused ${index}`
      }
      return `published ${first}`
    }
    // run TOPIC PER-SECOND BYTES KEYS COUNT: from an actor.
    case 'run':
      context.actor(publisher, topic).tell('start', { perSecond: first, bytes: second, keys: third, count: fourth })
      return 'running'
    case 'ran':
      return JSON.stringify(await context.actor(publisher, topic).ask('published'))
    case 'stop':
      return JSON.stringify(await context.actor(publisher, topic).ask('stop'))
    case 'who':
      return JSON.stringify(await context.presence(topic))
    default:
      return `what is ${command}`
  }
}

export const topical = defineService({
  name: 'topical',
  listeners: { tcp: { port: 0 }, ws: { port: 0, sessionOf: sessionOfTarget } },
  start(context) {
    const answer = async (connection: Connection<never>, line: string): Promise<void> => {
      const text = await obey(context, connection, line).catch((error: Error) => `failed ${error.message}`)
      if (text !== undefined) connection.send(`=${text}\n`)
    }
    const tcp: TcpHandler<never> = {
      data(connection, bytes) {
        let start = 0
        for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
          void answer(connection, bytes.toString('utf8', start, end))
          start = end + 1
        }
        return start
      },
      thaw: () => undefined as never,
    }
    const ws: WebSocketHandler<never> = {
      message: (connection, payload) => answer(connection, payload.toString()),
      thaw: () => undefined as never,
    }
    return {
      tcp: tcp as TcpHandler,
      ws: ws as WebSocketHandler,
      topicEvent(connection, event) {
        connection.send(`!${JSON.stringify(event)}\n`)
      },
    }
  },
})
