// One client stream through the receiver of `ws` and through ours, as comparable lists of events.
import * as ws from 'ws'
import {
  type FailureCode,
  type FrameSink,
  INFLATE_ERROR,
  WebSocketReceiver,
} from '../../../src/net/websocket/receiver.ts'
import { Random } from '../../net/websocket/random.ts'
import type { ClientStream } from './stream-generator.ts'

// @types/ws does not know these exports of ws.
interface OracleReceiver {
  on(event: string, listener: (data: Buffer | number, extra: boolean | Buffer) => void): void
  _write(chunk: Buffer, encoding: string, done: (error?: Error | null) => void): void
  readonly _messageLength: number
}
interface OracleDeflate {
  accept(offers: readonly object[]): object
  decompress(data: Buffer, fin: boolean, done: (error: Error | null, data?: Buffer) => void): void
  cleanup(): void
  readonly _inflate: object | null
}
interface OracleModule {
  readonly Receiver: new (options: object) => OracleReceiver
  readonly PerMessageDeflate: new (options: object) => OracleDeflate
}
const { Receiver, PerMessageDeflate } = ws as unknown as OracleModule

export interface Outcome {
  /** `text …`, `binary …`, `ping …`, `pong …`, and at most one `close CODE …` or `fail CODE` at the end. */
  readonly events: readonly string[]
  /** It failed while inflating: at which fragment (we only ever do at the last one). */
  readonly inflateFailure?: 'last' | 'earlier'
  /** ws only: how many events came before a fragment that was not the last ended the deflate data. */
  readonly restartedAt?: number
}

export async function runOracle(stream: ClientStream): Promise<Outcome> {
  const events: string[] = []
  let inflateFailure: Outcome['inflateFailure']
  let restartedAt: number | undefined
  const extensions: Record<string, OracleDeflate> = {}
  let deflate: OracleDeflate | undefined
  if (stream.deflate) {
    deflate = new PerMessageDeflate({
      isServer: true,
      maxPayload: stream.messageBytesMax,
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
    })
    deflate.accept([{}])
    const own = deflate
    const decompress = own.decompress.bind(own)
    own.decompress = (data, fin, done) => {
      decompress(data, fin, (error, inflated) => {
        if (!fin && error === null && own._inflate === null) restartedAt ??= events.length
        const lengthBytes = receiver._messageLength + (inflated?.length ?? 0)
        if (error !== null || lengthBytes > stream.messageBytesMax) inflateFailure = fin ? 'last' : 'earlier'
        done(error, inflated)
      })
    }
    extensions['permessage-deflate'] = deflate
  }
  const receiver = new Receiver({ isServer: true, maxPayload: stream.messageBytesMax, extensions })
  receiver.on('message', (data, isBinary) => events.push(`${isBinary ? 'binary' : 'text'} ${latin1(data)}`))
  receiver.on('ping', (data) => events.push(`ping ${latin1(data)}`))
  receiver.on('pong', (data) => events.push(`pong ${latin1(data)}`))
  receiver.on('conclude', (code, reason) => events.push(`close ${String(code)} ${latin1(reason)}`))
  const bytes = Buffer.from(stream.bytes) // it unmasks in place, and so do we
  let offset = 0
  for (const size of stream.pieces) {
    const chunk = bytes.subarray(offset, offset + size)
    offset += size
    let isDone = false
    let failure: Error | null | undefined
    const written = new Promise<void>((resolve) => {
      receiver._write(chunk, 'buffer', (error) => {
        isDone = true
        failure = error
        resolve()
      })
    })
    if (!isDone) await written
    if (failure) {
      events.push(`fail ${closeCodeOf(failure)}`)
      break
    }
  }
  deflate?.cleanup()
  return {
    events,
    ...(inflateFailure === undefined ? {} : { inflateFailure }),
    ...(restartedAt === undefined ? {} : { restartedAt }),
  }
}

/** `ws` keeps the close status of an error under a symbol. */
function closeCodeOf(error: Error): unknown {
  const symbol = Object.getOwnPropertySymbols(error).find((key) => key.description === 'status-code')
  return symbol === undefined ? error : Reflect.get(error, symbol)
}

export function runOurs(stream: ClientStream): Outcome {
  // Decides when to pause and when to move to another thread: neither may change anything.
  const random = new Random(stream.seed ^ 0x5bd1e995)
  const pauses = random.oneIn(3)
  const moves = random.oneIn(8)
  const events: string[] = []
  let failedInflating = false
  const sink: FrameSink = {
    message: (payload, isBinary) => void events.push(`${isBinary ? 'binary' : 'text'} ${latin1(payload)}`),
    ping: (payload) => void events.push(`ping ${latin1(payload)}`),
    pong: (payload) => void events.push(`pong ${latin1(payload)}`),
    close: (code, reason) => void events.push(`close ${code} ${latin1(reason)}`),
    fail: (code: FailureCode, error) => {
      failedInflating = error === INFLATE_ERROR.corrupt || error === INFLATE_ERROR.tooLarge
      events.push(`fail ${code}`)
    },
    stopped: () => pauses && random.oneIn(2),
  }
  const limits = { messageBytesMax: stream.messageBytesMax, deflate: stream.deflate }
  let receiver = new WebSocketReceiver(limits)
  const bytes = Buffer.from(stream.bytes)
  let offset = 0
  for (const size of stream.pieces) {
    const end = offset + size
    while (offset < end) {
      offset += receiver.push(bytes, offset, end, sink)
      if (moves && random.oneIn(4)) receiver = WebSocketReceiver.thaw(limits, structuredClone(receiver.freeze()))
    }
  }
  return { events, ...(failedInflating ? { inflateFailure: 'last' } : {}) }
}

function latin1(data: unknown): string {
  return (data as Buffer).toString('latin1')
}
