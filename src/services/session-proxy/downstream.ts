// Messages of channels as WebSocket frames: each is checked and framed once, and the same bytes go to every connection of
// its session. It remembers one message, because the bridge gives a message to all its listeners in one go.
import { isUtf8 } from 'node:buffer'
import type { ChannelPosition } from '../../bridge/bridge.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Wire } from '../../net/framing.ts'
import { encodeDeflatedFrame } from '../../net/websocket/deflate.ts'
import { encodeFrame, OPCODE } from '../../net/websocket/frame.ts'
import type { ProxyCounters } from './counter.ts'

export class Downstream {
  /** When the message at hand arrived in this shard. */
  arrivedMs = 0
  readonly #clock: Clock
  readonly #counters: ProxyCounters
  #session = ''
  #life = 0
  #sequence = Number.NaN
  #isText = false
  #plain: Buffer | undefined
  #deflated: Buffer | undefined

  constructor(clock: Clock, counters: ProxyCounters) {
    this.#clock = clock
    this.#counters = counters
  }

  /** The frame of a message; undefined: it is not UTF-8, so it cannot be sent as text. */
  frameOf(session: string, payload: Buffer, { life, sequence }: ChannelPosition, wire: Wire): Buffer | undefined {
    if (sequence !== this.#sequence || life !== this.#life || session !== this.#session) {
      this.#session = session
      this.#life = life
      this.#sequence = sequence
      this.#take(payload)
    }
    if (!this.#isText) return undefined
    if (wire === 'deflated') {
      this.#deflated ??= encodeDeflatedFrame(payload, OPCODE.text)
      return this.#deflated
    }
    this.#plain ??= encodeFrame(payload, OPCODE.text)
    return this.#plain
  }

  #take(payload: Buffer): void {
    this.arrivedMs = this.#clock.nowMs()
    this.#counters.fromBridge.value++
    this.#plain = undefined
    this.#deflated = undefined
    this.#isText = isUtf8(payload)
    if (!this.#isText) this.#counters.error('invalid_utf8')
  }
}
