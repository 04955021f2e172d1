// A listener as the acceptor and the shards know it: plain data, made by main from definitions and configuration.
import type { Transport } from '../config/service-options.ts'

export interface ListenerSpec {
  /** Its place in the list of listeners; part of the records between threads. */
  readonly index: number
  readonly service: string
  /** The service's index in the figure table. */
  readonly serviceIndex: number
  readonly transport: Transport
  /** `localhost` listens on 127.0.0.1 and ::1. */
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  readonly tls: { readonly cert: string; readonly key: string } | undefined
  readonly proxyProtocol: boolean
  readonly permessageDeflate: boolean
  /** Connections of the service. */
  readonly serviceConnectionsMax: number
  /** Connections of this listener alone; undefined: no limit of its own. */
  readonly connectionsMax: number | undefined
}

/** One open socket of a listener. */
export interface ListeningAddress {
  readonly service: string
  readonly transport: Transport
  readonly host: string
  readonly port: number
}
