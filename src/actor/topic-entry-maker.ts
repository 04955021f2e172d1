// Makes of what was published the entry that a topic keeps and sends: plain payloads as they are, values as their kind
// encodes them.
import { copyBytes } from '../lib/bytes.ts'
import { decodeValue } from '../lib/codec.ts'
import { PolyloopError } from '../lib/errors.ts'
import { errorFields, type LimitedLogger, type Logger } from '../observe/logger.ts'
import { TOPIC_KEY_BYTES_MAX } from './topic-definition.ts'
import type { TopicEntry } from './topic-entry.ts'
import type { TopicHome } from './topic-home.ts'
import { plainPayload, topicKeyOf } from './topic-publisher.ts'
import { FORM, TOPIC_HEAD_BYTES_MAX } from './topic-record.ts'

/** Log lines about user code that throws. */
const FAILURES_PER_SECOND = 5

/** A message as it was published: `bytes` from `start` on are its key and its payload. */
export interface Published {
  readonly form: number
  readonly keyBytes: number
  readonly bytes: Buffer
  readonly start: number
}

export class TopicEntryMaker {
  /** What no ring takes would hold up its topic. */
  readonly #bodyBytesMax: number
  readonly #encodeFailed: LimitedLogger

  constructor(messageBytesMax: number, log: Logger) {
    this.#bodyBytesMax = messageBytesMax - TOPIC_HEAD_BYTES_MAX
    this.#encodeFailed = log.limited('topic.encode_failed', FAILURES_PER_SECOND)
  }

  /** Undefined: user code threw, or made too much of it. */
  make(
    topic: Pick<TopicHome, 'name' | 'definition' | 'epoch'>,
    offset: number,
    atMs: number,
    published: Published,
  ): TopicEntry | undefined {
    const { form, keyBytes, bytes, start } = published
    if (form >= FORM.value) return this.#encode(topic, offset, atMs, published)
    // Another host may allow longer ones, and other programs may append what they like.
    if (keyBytes > TOPIC_KEY_BYTES_MAX || bytes.length - start - keyBytes > this.#bodyBytesMax) return undefined
    const body = Buffer.allocUnsafe(bytes.length - start)
    copyBytes(bytes, start, bytes.length, body, 0)
    return { offset, atMs, text: form === FORM.text, keyBytes, body }
  }

  #encode(
    { name, definition, epoch }: Pick<TopicHome, 'name' | 'definition' | 'epoch'>,
    offset: number,
    atMs: number,
    { form, keyBytes, bytes, start }: Published,
  ): TopicEntry | undefined {
    const valueStart = start + keyBytes
    try {
      const message = decodeValue(form - FORM.value, bytes, valueStart, bytes.length)
      // From a thread without definitions it has no key yet.
      const key = keyBytes > 0 ? bytes.subarray(start, valueStart) : Buffer.from(topicKeyOf(definition, message))
      const payload = definition.encode?.(message as never, { topic: name, epoch, offset }) ?? plainPayload(message)
      const encoded = typeof payload === 'string' ? Buffer.from(payload) : payload
      const body = Buffer.concat([key, encoded])
      if (body.length > this.#bodyBytesMax) throw new PolyloopError('MESSAGE_TOO_LARGE', { bytes: body.length })
      return { offset, atMs, text: typeof payload === 'string', keyBytes: key.length, body }
    } catch (error) {
      this.#encodeFailed.warn({ topic: name, ...errorFields(error) })
      return undefined
    }
  }
}
