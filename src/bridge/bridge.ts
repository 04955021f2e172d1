// What connects the threads of a host, and hosts with each other: channels, keys with a time to live, and logs that
// give each entry an offset. Engines (local-engine.ts, redis-engine.ts) do it in the bridge thread; everybody else calls
// them through a `Bridge`. Payloads are bytes that nobody looks into on the way.

/** Of a channel, a key or the name of a log, UTF-8. */
export const BRIDGE_NAME_BYTES_MAX = 1_024
/** Of one call of `script`, keys and arguments together. */
export const SCRIPT_ARGUMENTS_MAX = 1_000
/** Entries that one answer of `read` lists; beside it `ring.messageMax` bounds their bytes. */
export const LOG_READ_MAX = 1_000

export interface LogPosition {
  readonly epoch: number
  readonly offset: number
}

export interface LogEntry {
  readonly offset: number
  readonly payload: Uint8Array
}

/**
 * Every call: what it takes, what it answers. Calls of one thread are done in the order they were made. A call fails
 * with a PolyloopError: BRIDGE_DOWN (the server is away; nothing happened), BRIDGE_REFUSED (the server said no;
 * details.problem says why), MESSAGE_TOO_LARGE (the call, or its answer, is longer than `ring.messageMax`), BRIDGE_BUSY (too much waits), BRIDGE_TIMEOUT and BRIDGE_LOST (no answer in time, or the
 * connection or the bridge's thread died: nobody knows whether it happened).
 */
export interface BridgeOperations {
  /** Answers how many subscribers the server knows of (with Redis: connections of hosts, not sessions). */
  publish(message: { readonly channel: string; readonly payload: Uint8Array }): number
  get(of: { readonly key: string }): Uint8Array | undefined
  /** Without `ttlSeconds` it stays for ever. */
  set(entry: { readonly key: string; readonly value: Uint8Array; readonly ttlSeconds?: number | undefined }): void
  /** Its time to live begins anew. False: there is no such key. */
  expire(of: { readonly key: string; readonly ttlSeconds: number }): boolean
  /** Reads and removes in one step. */
  take(of: { readonly key: string }): Uint8Array | undefined
  /** False: there was none. */
  remove(of: { readonly key: string }): boolean
  /**
   * Adds an entry to a log and publishes it to the channel of the same name, in one step. Offsets count from 1 within an
   * epoch; a log that was lost begins a new epoch. What is published are `encodeLogEntry` bytes (log-entry.ts). Logs and
   * keys share their names.
   */
  append(entry: {
    readonly log: string
    readonly payload: Uint8Array
    /** Entries kept, and for how long after the last one. */
    readonly countMax: number
    readonly ttlSeconds: number
    /** As for `open`. */
    readonly after?: LogPosition | undefined
  }): LogPosition
  /**
   * Where a log stands; begins it when there is none, with offset 0. It is kept for at least `ttlSeconds` from now on: who
   * follows a log calls it again before that. A log that ends before `after` in the same epoch has lost entries (a replica
   * that had not got them became the master) and begins anew.
   */
  open(of: { readonly log: string; readonly ttlSeconds: number; readonly after?: LogPosition | undefined }): LogPosition
  /**
   * Entries behind `offset`, oldest first, and where the log stands; `first` is the oldest that is kept. Fewer than asked
   * for when they would not fit into one answer. There is no such log: `epoch` is 0.
   */
  read(of: { readonly log: string; readonly offset: number; readonly count: number }): {
    readonly epoch: number
    readonly offset: number
    readonly first: number
    readonly entries: readonly LogEntry[]
  }
  /**
   * Runs a Lua script, as EVAL of Redis does: one step for the server. BRIDGE_REFUSED where the bridge is local, and with
   * what the script throws. Answers are numbers, null, bytes, and arrays of them.
   */
  script(call: {
    readonly text: string
    /** In a Cluster all of one slot. */
    readonly keys: readonly string[]
    readonly args: readonly (string | number | Uint8Array)[]
    /**
     * Answered when it is on disk, as `store.redis.ack: disk` says; BRIDGE_REFUSED without that. Such calls are in order
     * among each other. Where nobody knows whether it is on disk: BRIDGE_TIMEOUT or BRIDGE_LOST.
     */
    readonly onDisk?: boolean
  }): unknown
  /** A round trip to the server. Answers how long it took; BRIDGE_DOWN and the like if there is none. */
  ping(): { readonly ms: number }
}

export type BridgeOperation = keyof BridgeOperations

/** Where a subscriber of a channel was: the last message it was given. */
export interface ChannelPosition {
  /** Of the bridge's thread: another one has other numbers. */
  readonly life: number
  readonly sequence: number
}

/** What it throws is given to the thread's error handler; the others hear of the message all the same. */
export interface ChannelListener {
  /** `payload` is a view, valid only during the call. Messages of a channel come in the server's order, each at most once. */
  message(payload: Buffer, position: ChannelPosition): void
  /** Messages may be missing here: the server was away, a ring was full, or the bridge's thread died. */
  gap(): void
}

export interface ChannelSubscription {
  /** Settles when nothing published from now on is missed. Rejects as calls do; the subscription has ended then. */
  readonly confirmed: Promise<void>
  /**
   * What it was given last, or where the channel stood when it was confirmed: what `since` is to be when it moves.
   * Undefined before that.
   */
  readonly position: ChannelPosition | undefined
  /**
   * Ends it. `isMoving`: somebody goes on in another thread with `since`: the bridge stays subscribed for a moment and
   * keeps what comes meanwhile.
   */
  end(isMoving?: boolean): void
}

/** The bridge as everybody but its own thread sees it. */
export type Bridge = {
  readonly [Name in BridgeOperation]: (
    ...argument: Parameters<BridgeOperations[Name]>
  ) => Promise<ReturnType<BridgeOperations[Name]>>
} & {
  /** `since`: goes on behind that message, as far as it is kept; otherwise the listener is told of the gap first. */
  subscribe(channel: string, listener: ChannelListener, since?: ChannelPosition): ChannelSubscription
}
