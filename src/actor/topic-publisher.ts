// The way of a message from whoever publishes it to the topic's home: encoded once, or handed to the home as a value
// when its kind wants to see the offset first.

import { encodeValue } from '../lib/codec.ts'
import { PolyloopError } from '../lib/errors.ts'
import type { Route } from './router.ts'
import { TOPIC_KEY_BYTES_MAX, type TopicDefinition, topicDefinitionOf } from './topic-definition.ts'
import type { TopicAddresses } from './topic-inquiry.ts'
import { FORM, PUBLISH, TOPIC_HEAD_BYTES_MAX, TOPIC_RECORD, writeName } from './topic-record.ts'

/** Of this thread: what receives a record may publish in turn, but not before it is copied. */
const head = Buffer.alloc(TOPIC_HEAD_BYTES_MAX)

export interface TopicPublisherOptions {
  readonly definitions: ReadonlyMap<string, TopicDefinition>
  readonly route: Route
  readonly messageBytesMax: number
  /** The topic lives in this thread, and its message would go nowhere. Default: it may not. */
  readonly isUnheard?: (slot: number, topic: string, definition: TopicDefinition) => boolean
}

/** Of one UTF-16 unit in UTF-8, at most. */
const UNIT_BYTES_MAX = 3

export class TopicPublisher {
  readonly #options: TopicPublisherOptions
  readonly #addresses: TopicAddresses

  constructor(options: TopicPublisherOptions, addresses: TopicAddresses) {
    this.#options = options
    this.#addresses = addresses
  }

  /**
   * Publishes to all subscribers, on every shard. False: overloaded, nothing was published. Throws TOPIC_NAME_INVALID,
   * VALUE_INVALID and MESSAGE_TOO_LARGE.
   */
  publish(topic: string, message: unknown): boolean {
    const { slot, kind, name } = this.#addresses.of(topic)
    const { definitions, messageBytesMax, route, isUnheard } = this.#options
    const definition = topicDefinitionOf(definitions, kind)
    // User code first: it may publish, too, and the head is shared.
    const key = topicKeyOf(definition, message)
    // Only what is no error for sure: whoever publishes is told the same, heard or not.
    const isPlain = typeof message === 'string' && definition.encode === undefined
    const bytesMax = isPlain ? message.length * UNIT_BYTES_MAX + TOPIC_HEAD_BYTES_MAX : Number.POSITIVE_INFINITY
    if (bytesMax <= messageBytesMax && isUnheard?.(slot, topic, definition) === true) return true
    let form: number
    let body: Uint8Array
    let start = 0
    let end: number
    if (definition.encode !== undefined) {
      const value = encodeValue(message)
      form = FORM.value + value.tag
      ;({ bytes: body, start, end } = value)
    } else {
      const plain = plainPayload(message)
      form = typeof plain === 'string' ? FORM.text : FORM.binary
      body = typeof plain === 'string' ? Buffer.from(plain) : plain
      end = body.length
    }
    // With room for the longest head: every record that the message will be in must fit.
    if (end - start > messageBytesMax - TOPIC_HEAD_BYTES_MAX)
      throw new PolyloopError('MESSAGE_TOO_LARGE', { topic, bytes: end - start })
    return route(slot, TOPIC_RECORD.publish, head, writeHead(slot, form, name, key), body, start, end - start)
  }
}

/** What a message is the latest value of. Throws VALUE_INVALID. */
export function topicKeyOf(definition: TopicDefinition, message: unknown): string {
  if (definition.slow !== 'conflate' || definition.key === undefined) return ''
  const key = definition.key(message as never)
  // Each UTF-16 unit takes at most three bytes.
  if (key.length * 3 > TOPIC_KEY_BYTES_MAX && Buffer.byteLength(key) > TOPIC_KEY_BYTES_MAX)
    throw new PolyloopError('VALUE_INVALID', { problem: `its key has more than ${TOPIC_KEY_BYTES_MAX} bytes` })
  return key
}

/** What clients get of a message whose kind encodes nothing. Throws VALUE_INVALID. */
export function plainPayload(message: unknown): string | Uint8Array {
  if (typeof message === 'string' || message instanceof Uint8Array) return message
  const json = JSON.stringify(message)
  if (json === undefined) throw new PolyloopError('VALUE_INVALID', { problem: 'it has no JSON' })
  return json
}

function writeHead(slot: number, form: number, name: Uint8Array, key: string): number {
  head.writeUInt16LE(slot, 0)
  head.writeUInt16LE(0, 2)
  head[PUBLISH.form] = form
  const keyStart = writeName(head, PUBLISH.nameBytes, PUBLISH.name, name)
  const keyBytes = key === '' ? 0 : head.write(key, keyStart)
  head.writeUInt16LE(keyBytes, PUBLISH.keyBytes)
  return keyStart + keyBytes
}
