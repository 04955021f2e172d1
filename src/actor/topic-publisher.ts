// The way of a message from whoever publishes it to the topic's home: encoded once, or handed to the home as a value
// when its kind wants to see the offset first.
import { PolyloopError } from '../lib/errors.ts'
import { encodeValue } from './codec.ts'
import { TOPIC_KEY_BYTES_MAX, type TopicDefinition, topicDefinitionOf } from './topic-definition.ts'
import type { TopicAddresses } from './topic-inquiry.ts'
import { FORM, PUBLISH, TOPIC_HEAD_BYTES_MAX, TOPIC_RECORD, writeName } from './topic-record.ts'
import type { Route } from './topic-tender.ts'

export interface TopicPublisherOptions {
  readonly definitions: ReadonlyMap<string, TopicDefinition>
  readonly route: Route
  readonly messageBytesMax: number
}

export class TopicPublisher {
  readonly #options: TopicPublisherOptions
  readonly #addresses: TopicAddresses
  readonly #head = Buffer.alloc(TOPIC_HEAD_BYTES_MAX)

  constructor(options: TopicPublisherOptions, addresses: TopicAddresses) {
    this.#options = options
    this.#addresses = addresses
  }

  publish(name: string, message: unknown): boolean {
    const { slot, kind, name: nameBytes } = this.#addresses.of(name)
    const definition = topicDefinitionOf(this.#options.definitions, kind)
    // User code first: it may publish, too, and the head is shared.
    const key = definition.slow === 'conflate' ? (definition.key?.(message as never) ?? '') : ''
    let form: number
    let body: Uint8Array
    let start = 0
    let end: number
    if (definition.encode !== undefined) {
      const value = encodeValue(message)
      form = FORM.value + value.tag
      ;({ bytes: body, start, end } = value)
    } else {
      const isBinary = message instanceof Uint8Array
      form = isBinary ? FORM.binary : FORM.text
      body = isBinary ? message : Buffer.from(textOf(message))
      end = body.length
    }
    const head = this.#head
    head.writeUInt16LE(slot, 0)
    head.writeUInt16LE(0, 2)
    head[PUBLISH.form] = form
    const keyStart = writeName(head, PUBLISH.nameBytes, PUBLISH.name, nameBytes)
    const keyBytes = key === '' ? 0 : writeKey(head, keyStart, key)
    head.writeUInt16LE(keyBytes, PUBLISH.keyBytes)
    // With room for the longest head: every record that the message will be in must fit.
    if (end - start > this.#options.messageBytesMax - TOPIC_HEAD_BYTES_MAX)
      throw new PolyloopError('MESSAGE_TOO_LARGE', { topic: name, bytes: end - start })
    return this.#options.route(slot, TOPIC_RECORD.publish, head, keyStart + keyBytes, body, start, end - start)
  }
}

function textOf(message: unknown): string {
  if (typeof message === 'string') return message
  const json = JSON.stringify(message)
  if (json === undefined) throw new PolyloopError('VALUE_INVALID', { problem: 'it has no JSON' })
  return json
}

function writeKey(head: Buffer, at: number, key: string): number {
  const bytes = Buffer.byteLength(key)
  if (bytes > TOPIC_KEY_BYTES_MAX)
    throw new PolyloopError('VALUE_INVALID', { problem: `its key has more than ${TOPIC_KEY_BYTES_MAX} bytes` })
  return head.write(key, at)
}
