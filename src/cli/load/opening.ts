// Opens the link that a plan asks for, from a local address that has ports left.
import type { Link, LinkAddress, LinkListener } from './link.ts'
import type { LoadPlan } from './plan.ts'
import { TcpLink } from './tcp-link.ts'
import { UdpLink } from './udp-link.ts'
import { WsLink } from './ws-link.ts'

/** Connections from one address to one target: Linux has 28,232 ephemeral ports by default. */
export const CONNECTIONS_PER_ADDRESS = 20_000

export function openLink(plan: LoadPlan, address: string, connection: number, listener: LinkListener): Link {
  const where: LinkAddress = { address, port: plan.port, localAddress: localAddressOf(address, connection) }
  switch (plan.transport) {
    case 'ws':
      return new WsLink(plan, connection, where, listener)
    case 'tcp':
      return new TcpLink(plan, where, listener)
    case 'udp':
      return new UdpLink(where, listener)
  }
}

/** 127.0.0.2, 127.0.0.3, … for every further 20,000 connections to a loopback address; the system's choice before. */
export function localAddressOf(address: string, connection: number): string | undefined {
  const block = Math.floor(connection / CONNECTIONS_PER_ADDRESS)
  return block > 0 && address.startsWith('127.') ? `127.0.0.${block + 1}` : undefined
}
