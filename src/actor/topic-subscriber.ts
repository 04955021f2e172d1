// One connection's subscription to one topic: where it stands. What is done with it is in topic-feed.ts.
//
//   joining ──▶ recovering ──▶ level ◀──▶ queueing    (drop-oldest, conflate)
//      │            └────────▶ pulling ◀──▶ level     (recovering and thawed ones that miss something; catch-up)
//      └──────────────────────▶ level                 every state ──▶ gone
//
// joining: the shard does not have the topic yet. recovering: the home is being asked whether it has all since `since`.
// level: it has everything its shard has. pulling: it is given what it misses out of the home's history; also, without
// asking for anything, one that came from another shard and is ahead of this one. queueing: it is slow, messages wait.
import type { TopicConnection, TopicSince } from './topic-connection.ts'
import type { TopicFeed } from './topic-feed.ts'
import type { TopicEncoding } from './topic-message.ts'
import type { TopicQueue } from './topic-queue.ts'
import { RIGHT, type Right } from './topic-record.ts'

export type SubscriberState = 'joining' | 'recovering' | 'level' | 'pulling' | 'queueing' | 'gone'

export class Subscriber {
  readonly connection: TopicConnection
  readonly feed: TopicFeed
  readonly encoding: TopicEncoding
  /** JSON; undefined: its kind has no presence. */
  readonly presence: string | undefined
  state: SubscriberState = 'joining'
  /** Its place in the feed's array for its state. */
  index = -1
  /** What it asked for, or where it was when it was frozen. */
  since: TopicSince | undefined
  /** It was told that it is subscribed. */
  told: boolean
  /** The last message it was given or passed over; while it is level the feed's offset counts. */
  offset = 0
  /** Too much is unsent: it gets nothing until it has drained. */
  slow = false
  right: Right = RIGHT.history
  queue: TopicQueue | undefined

  constructor(
    connection: TopicConnection,
    feed: TopicFeed,
    encoding: TopicEncoding,
    presence: string | undefined,
    since: TopicSince | undefined,
    told: boolean,
  ) {
    this.connection = connection
    this.feed = feed
    this.encoding = encoding
    this.presence = presence
    this.since = since
    this.told = told
  }
}
