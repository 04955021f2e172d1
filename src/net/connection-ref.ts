// The name of a connection: plain data that may travel and be kept. Every shard can send to it, also after the
// connection moved.

export interface ConnectionRef {
  /** Of its session key: whoever owns it knows the connection, or where it was made. */
  readonly slot: number
  /** Unique in the process. */
  readonly id: number
  /** Seat of the shard where it was when the reference was made. */
  readonly shard: number
}
