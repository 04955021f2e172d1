// One session that nobody knows, before the shard is ready: its client talks to itself through the bridge, until the code
// on the way of a message is compiled, both ways.
//
//   here ──▶ channel `down` ──▶ member ──▶ client, and again         client ──▶ member ──▶ channel `up`, which nobody hears
import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { REHEARSAL_PREFIX } from '../../bridge/bridge-rule.ts'
import type { WebSocketHandler } from '../../net/handler.ts'
import { encodeFrame, OPCODE } from '../../net/websocket/frame.ts'
import type { Stage } from '../service.ts'
import { type EdgeContext, ProxyEdge } from './edge.ts'
import { channelOf, Member } from './member.ts'
import { webSocketHandler } from './web-socket.ts'

/** More than the calls after which code is compiled early. */
const ROUNDS = 100
/** Messages under way: every thread has one to work on, and few come to any of them together. */
const WINDOW = 4
/** How soon a bridge that has not reached its server is asked again. */
const ASK_AGAIN_MS = 5
const TEXT = `{"type":"data","message_id":"${randomUUID()}","timestamp":12345678901}`
const PAYLOAD = Buffer.from(TEXT)
const FRAME = maskedFrameOf(PAYLOAD)

/** Rejects when the bridge cannot serve it; ends with the stage's time at the latest. */
export async function rehearse(context: EdgeContext, stage: Stage): Promise<void> {
  const { bridge } = context
  await reached(context, stage.signal)
  const edge = new ProxyEdge({ ...context, metrics: stage.metrics }, REHEARSAL_PREFIX)
  const session = randomUUID()
  const member = new Member(edge, 'rehearsal', session)
  try {
    await member.listens
    // As a handshake asks: what is compiled later has seen these, too. There is no such key, or it may not be asked for.
    const key = `${REHEARSAL_PREFIX}${session}:auth`
    await Promise.allSettled([bridge.get({ key }), bridge.expire({ key, ttlSeconds: 1 })])
    const handler: WebSocketHandler<Member> = {
      ...webSocketHandler(edge),
      open(connection) {
        member.open(connection)
        return member
      },
    }
    const client = await stage.connect(handler)
    const channel = channelOf(session, 'down', REHEARSAL_PREFIX)
    await play(client, () => bridge.publish({ channel, payload: PAYLOAD }), stage.signal)
  } finally {
    member.leave()
  }
}

/** The shard may be there before the bridge's thread has reached its server. */
async function reached({ bridge, after }: EdgeContext, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await bridge.ping()
      return
    } catch (error) {
      // It may be away for long.
      if (signal.aborted) throw error
      await new Promise<void>((resolve) => after(ASK_AGAIN_MS, resolve))
    }
  }
}

async function play(client: Socket, publish: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let rounds = 0
  const next = (): void => {
    client.write(FRAME)
    publish().catch(reject)
  }
  client.on('data', () => {
    if (++rounds >= ROUNDS || signal.aborted) resolve()
    else next()
  })
  client.once('close', () => resolve())
  for (let index = 0; index < WINDOW; index++) next()
  await promise
}

/** As clients send it: masked, and short enough for a head of six bytes. */
function maskedFrameOf(payload: Buffer): Buffer {
  const mask = Buffer.from([0x5a, 0xa5, 0x3c, 0xc3])
  const plain = encodeFrame(payload, OPCODE.text)
  const masked = plain.subarray(2).map((byte, index) => byte ^ (mask[index % mask.length] ?? 0))
  return Buffer.concat([Buffer.from([plain[0] ?? 0, 0x80 | (plain[1] ?? 0)]), mask, masked])
}
