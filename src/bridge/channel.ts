// A channel as its host keeps it: who hears it, and the last messages, for those who move from thread to thread.
// Sequences count over all channels of the host, so that a channel which is subscribed anew never repeats one.

import { NO_TIMER, type TimerHandle } from '../timer/wheel.ts'
import { REHEARSAL_PREFIX } from './bridge-rule.ts'

/** A handle of a thread on a channel. */
export class Subscriber {
  readonly thread: number
  readonly handle: number
  readonly channel: Channel
  /** A message did not fit into its ring: it hears of the gap as soon as that fits. */
  isGapDue = false

  constructor(thread: number, handle: number, channel: Channel) {
    this.thread = thread
    this.handle = handle
    this.channel = channel
  }
}

/** Who waits for the channel to be subscribed. */
export interface Request {
  readonly thread: number
  readonly number: number
  readonly handle: number
  readonly sinceLife: number
  readonly sinceSequence: number
  /** Goes back with the answer. */
  readonly round: number
}

export interface KeptMessage {
  readonly channel: Channel
  readonly sequence: number
  readonly keptMs: number
  /** Undefined: it is not kept any more. */
  payload: Buffer | undefined
}

export class Channel {
  readonly name: string
  /**
   *     asked ──▶ subscribed ──(the last one left, and moves)──▶ lingering ──▶ subscribed, or forgotten
   */
  state: 'asked' | 'subscribed' | 'lingering' = 'asked'
  /** Its messages are traffic. */
  readonly isCounted: boolean
  readonly subscribers: Subscriber[] = []
  readonly requests: Request[] = []
  /** Of its last message or gap. */
  sequence: number
  /** Everything behind this sequence is kept. */
  keptFrom: number
  readonly kept: KeptMessage[] = []
  lingerTimer: TimerHandle = NO_TIMER

  constructor(name: string, sequence: number) {
    this.name = name
    this.isCounted = !name.startsWith(REHEARSAL_PREFIX)
    this.sequence = sequence
    this.keptFrom = sequence
  }
}
