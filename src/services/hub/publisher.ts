// Publishing events to the hub's channels, for everybody in the process: services, actors, programs.
import { cut } from './assembly.ts'
import { eventJson } from './event.ts'

export const TOPIC_KIND = 'hub'

/** What publishes to topics: a service's context, an actor's, or a runtime. */
export interface TopicPublishing {
  publish(topic: string, message: unknown): boolean
}

export interface HubPublisher {
  /** `data` is an object that JSON can say. False: refused, the way there is full. Throws VALUE_INVALID, MESSAGE_TOO_LARGE. */
  publish(channel: string, eventType: string, data: object): boolean
}

/** `hubOf(context).publish('signals', 'signal.detected', { priority: 200 })`. */
export function hubOf(publisher: TopicPublishing): HubPublisher {
  return {
    publish: (channel, eventType, data) =>
      publishEvent(publisher, channel, eventJson(channel, eventType, JSON.stringify(data), Date.now())),
  }
}

export function topicOf(channel: string): string {
  return `${TOPIC_KIND}.${channel}`
}

/** A whole event; in pieces if it is long. */
export function publishEvent(publisher: TopicPublishing, channel: string, payload: string | Buffer): boolean {
  return cut(payload).every((piece) => publisher.publish(topicOf(channel), piece))
}
