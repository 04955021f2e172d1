// Chat over UDP: Ping, Status and Typing. Whatever else comes is dropped and counted, never answered: a forged source
// draws four bytes at most.
import type { HandlerResult, UdpHandler } from '../../net/handler.ts'
import type { ChatEdge } from './edge.ts'
import { type Packet, parsePacket } from './packet.ts'

const PONG = Buffer.from('pong')
/** Tokens that are verified at a time; a verified one is remembered and costs nothing. */
const VERIFYING_MAX = 256

type News = Extract<Packet, { readonly type: 'Status' | 'Typing' }>

export function udpHandler(edge: ChatEdge): UdpHandler {
  const { context, counters, authenticator } = edge
  let verifying = 0

  function tell(news: News): void {
    const isSent =
      news.type === 'Status' ? edge.tellStatus(news.userId, news.status) : edge.tellTyping(news.chatId, news.userId)
    if (!isSent) counters.udpDropped('overload')
  }

  /** `userId`: whose token it was; undefined: nobody's. */
  function tellAs(userId: number | undefined, news: News): void {
    if (userId === undefined || userId !== news.userId) counters.udpDropped('invalid')
    else if (!edge.admits(`user:${userId}`)) counters.udpDropped('overload')
    else tell(news)
  }

  async function verify(token: string, news: News): Promise<void> {
    verifying++
    const userId = await authenticator?.userOf(token)
    verifying--
    tellAs(userId, news)
  }

  function take(address: string, news: News): HandlerResult {
    const { token } = news
    const known = token === undefined ? undefined : authenticator?.knownUserOf(token)
    // A token that is known has a bucket of its own.
    if (authenticator !== undefined && (token === undefined || known !== undefined)) tellAs(known, news)
    else if (!edge.admits(`address:${address}`) || verifying >= VERIFYING_MAX) counters.udpDropped('overload')
    else if (authenticator === undefined || token === undefined) tell(news)
    else return verify(token, news)
    return undefined
  }

  return {
    datagram(peer, payload) {
      if (payload.length > context.config.maxDatagramBytes) {
        counters.udpDropped('oversize')
        return
      }
      const packet = parsePacket(payload, 0, payload.length)
      counters.packet('udp', packet.type === 'problem' ? packet.packetType : packet.type)
      switch (packet.type) {
        case 'Ping':
          if (!edge.admits(`address:${peer.address}`) || !peer.send(PONG)) counters.udpDropped('overload')
          return
        case 'Status':
        case 'Typing':
          return take(peer.address, packet)
        case 'problem':
          counters.udpDropped(packet.reason === 'unknown_type' ? 'unsupported' : 'invalid')
          return
        default:
          counters.udpDropped('unsupported')
          return
      }
    },
  }
}
