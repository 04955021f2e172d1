// The one table of error codes, and the one error class. Errors are operating conditions with a code; a broken
// invariant of the runtime is an AssertionError instead (assert.ts) and ends the thread.

/** What an error code means everywhere. `close` is the WebSocket close code, where the error ends a connection. */
export interface ErrorRow {
  readonly retryable: boolean
  readonly close?: number
  readonly text: string
}

export const ERRORS = {
  ACTOR_CYCLE: { retryable: false, text: 'the actor is waiting for this very call' },
  ACTOR_FAILED: { retryable: true, text: 'the actor failed too often and is stopped for a while' },
  ACTOR_HANDLER_FAILED: { retryable: false, text: 'the handler of the actor threw' },
  ACTOR_KIND_UNKNOWN: { retryable: false, text: 'no module defines this kind of actor' },
  ACTOR_METHOD_UNKNOWN: { retryable: false, text: 'the actor has no such handler' },
  ACTOR_REFUSED: { retryable: false, text: 'the actor refused' },
  ACTOR_UNREACHABLE: { retryable: true, text: 'the message was left over by a thread that died' },
  ASK_TIMEOUT: { retryable: true, text: 'no answer came before the deadline' },
  ASKS_TOO_MANY: { retryable: true, text: 'too many asks of this thread wait for their answer' },
  BRIDGE_ABSENT: { retryable: false, text: 'no service and no module was there to need a bridge' },
  BRIDGE_BUSY: { retryable: true, text: 'too much waits for the bridge' },
  BRIDGE_DOWN: { retryable: true, text: 'the server of the bridge is away' },
  BRIDGE_LOST: { retryable: true, text: 'the connection or the thread of the bridge ended before the answer came' },
  BRIDGE_REFUSED: { retryable: false, text: 'the server of the bridge refused' },
  BRIDGE_TIMEOUT: { retryable: true, text: 'the bridge did not answer in time' },
  CONFIG_INVALID: { retryable: false, text: 'the configuration has problems' },
  CONTROL_TIMEOUT: { retryable: true, text: 'a thread did not answer a control call in time' },
  HANDOFF_UNSUPPORTED: { retryable: false, text: 'this Node.js cannot move TCP handles between threads' },
  HEAP_FULL: { retryable: true, text: 'the shard has no memory for new actors' },
  LISTEN_FAILED: { retryable: true, text: 'a listener could not be opened' },
  MAILBOX_FULL: { retryable: true, text: 'the actor is overloaded' },
  MESSAGE_TOO_LARGE: { retryable: false, text: 'the message is larger than ring.messageMax' },
  MODULE_INVALID: { retryable: false, text: 'a module does not export a Polyloop definition' },
  RELOAD_REFUSED: { retryable: false, text: 'this change needs a restart' },
  RING_FULL: { retryable: true, text: 'the destination thread is overloaded' },
  RUNTIME_CLOSED: { retryable: false, text: 'the runtime is closed' },
  STORE_ABSENT: { retryable: false, text: 'no service and no actor was there to need a store' },
  STORE_BUSY: { retryable: true, text: 'too much waits for the store' },
  STORE_CONSTRAINT: { retryable: false, text: 'it contradicts what is stored' },
  STORE_CORRUPT: { retryable: false, text: 'the file of the store is damaged' },
  STORE_FAILED: { retryable: true, text: 'the store could not do it' },
  STORE_FULL: { retryable: true, text: 'the disk of the store is full' },
  STORE_LOCKED: { retryable: true, text: 'another process uses the file of the store' },
  STORE_LOST: { retryable: true, text: 'the thread of the store ended before it answered' },
  STORE_TIMEOUT: { retryable: true, text: 'the store did not answer in time' },
  THREAD_FAILED: { retryable: true, text: 'a thread failed to start' },
  TIMER_DELAY_INVALID: { retryable: false, text: 'a timer delay is not a number of at most 24.8 days' },
  TIMER_TABLE_FULL: { retryable: true, text: 'too many timers are pending on this thread' },
  TOPIC_NAME_INVALID: { retryable: false, text: 'a topic name is kind.id, of at most 255 bytes' },
  VALUE_INVALID: { retryable: false, text: 'the value cannot be sent to another thread' },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** Flat, structured-cloneable facts about one error: they cross threads as data and end up in log lines. */
export type ErrorDetails = Readonly<Record<string, unknown>>

export class PolyloopError extends Error {
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: ErrorOptions) {
    const facts = Object.entries(details).map(([key, value]) => `${key}=${textOf(value)}`)
    super(facts.length === 0 ? ERRORS[code].text : `${ERRORS[code].text} (${facts.join(', ')})`, options)
    this.name = 'PolyloopError'
    this.code = code
    this.details = details
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }
}

/** Anything as text, whatever user code threw: an object without a prototype has none, and its own may throw in turn. */
export function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return typeof value
  }
}
