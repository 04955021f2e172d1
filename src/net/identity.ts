// What is known of a connection before it opens. Plain data.

export interface RemoteAddress {
  readonly address: string
  readonly port: number
}

/** What is known of a connection before it opens. */
export interface ConnectionIdentity {
  /** Unique in the process. */
  readonly id: number
  /** Counts the connections of one listener from 1, in accept order over all shards. */
  readonly serial: number
  readonly remote: RemoteAddress
  /** The session key it was placed by. */
  readonly session: string
  /** Index of the service in the figure table; -1 for connections of no service. */
  readonly service: number
}
