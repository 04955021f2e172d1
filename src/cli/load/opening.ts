// Opens the link that a plan asks for, from a local address that has ports left.
import { assert } from '../../lib/assert.ts'
import { ChatLink } from './chat-link.ts'
import { HttpLink, requestOf } from './http-link.ts'
import { HubLink } from './hub/link.ts'
import { lineLink } from './line-link.ts'
import type { Link, LinkAddress, LinkListener } from './link.ts'
import type { MessageIds } from './message-ids.ts'
import type { LoadPlan } from './plan.ts'
import type { RoomCompany } from './rooms/company.ts'
import { RoomLink } from './rooms/link.ts'
import { SessionLink, SessionRedis } from './session/link.ts'
import { UdpLink } from './udp-link.ts'
import { WsLink, requestOf as wsRequestOf } from './ws-link.ts'

/** Connections from one address to one target: Linux has 28,232 ephemeral ports by default. */
export const CONNECTIONS_PER_ADDRESS = 20_000

/** Opens the links of one thread. */
export class Opening {
  readonly #plan: LoadPlan
  readonly #address: string
  readonly #ids: MessageIds | undefined
  readonly #company: RoomCompany | undefined
  readonly #request: Buffer
  readonly #redis: SessionRedis | undefined

  /** `ids` is what links of chat check theirs with, `company` what members of a room share. */
  constructor(plan: LoadPlan, address: string, ids: MessageIds | undefined, company: RoomCompany | undefined) {
    this.#plan = plan
    this.#address = address
    this.#ids = ids
    this.#company = company
    this.#request = plan.http === undefined ? Buffer.alloc(0) : requestOf(plan, plan.http)
    this.#redis = plan.session === undefined ? undefined : new SessionRedis(plan.session)
  }

  link(connection: number, listener: LinkListener): Link {
    const plan = this.#plan
    const where = this.address(connection)
    switch (plan.transport) {
      case 'ws':
        return new WsLink(plan, where, listener, wsRequestOf(plan, connection))
      case 'tcp':
        return lineLink(plan, where, listener)
      case 'udp':
        return new UdpLink(where, listener)
      case 'http':
        return new HttpLink(this.#request, plan.timeoutMs, where, listener)
      case 'session-proxy': {
        const redis = this.#redis
        assert(redis !== undefined, 'a plan for the session proxy has one')
        return new SessionLink(plan, connection, where, redis, listener)
      }
      case 'hub': {
        const { hub } = plan
        const company = this.#company
        assert(hub !== undefined && company !== undefined, 'a plan for the hub has both')
        return new HubLink({ plan, hub, company }, connection, where, listener)
      }
      case 'rooms':
        assert(this.#company !== undefined, 'a plan for rooms has one')
        return new RoomLink(this.#company, connection, where, listener)
      case 'chat': {
        const { chat, sizeBytes, timeoutMs } = plan
        const ids = this.#ids
        assert(chat !== undefined && ids !== undefined, 'a plan for chat has both')
        return new ChatLink({ chat, sizeBytes, timeoutMs, number: connection, ids }, where, listener)
      }
    }
  }

  /** Of the connection with that number. */
  address(connection: number): LinkAddress {
    return { address: this.#address, port: this.#plan.port, localAddress: localAddressOf(this.#address, connection) }
  }
}

/** 127.0.0.2, 127.0.0.3, … for every further 20,000 connections to a loopback address; the system's choice before. */
export function localAddressOf(address: string, connection: number): string | undefined {
  const block = Math.floor(connection / CONNECTIONS_PER_ADDRESS)
  return block > 0 && address.startsWith('127.') ? `127.0.0.${block + 1}` : undefined
}
