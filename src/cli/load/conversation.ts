// One connection of the generator: its link, its books, and where its answers are counted. The generator decides when
// something is sent; the conversation knows what came back.
import { Ledger, VERDICT } from './ledger.ts'
import type { Link, LinkListener } from './link.ts'
import { type MessagePattern, WRONG } from './message.ts'
import type { ErrorKind, Tally } from './tally.ts'

/** What all conversations of a thread share. */
export interface Exchange {
  readonly pattern: MessagePattern
  readonly errors: Tally
  readonly ordered: boolean
  answered(conversation: Conversation, dueMs: number, right: boolean): void
  missing(dueMs: number): void
  opened(conversation: Conversation): void
  closed(conversation: Conversation, wasOpen: boolean): void
}

export class Conversation implements LinkListener {
  readonly number: number
  readonly ledger: Ledger
  link: Link | undefined
  /** Index in the generator's list of open conversations; −1 when it is not open. */
  place = -1
  /** Waits in the generator's list of conversations that may send again. */
  queued = false
  readonly #exchange: Exchange

  constructor(number: number, exchange: Exchange, messages: number) {
    this.number = number
    this.ledger = new Ledger(exchange.ordered, messages)
    this.#exchange = exchange
  }

  opened(): void {
    this.#exchange.opened(this)
  }

  closed(kind: ErrorKind, detail: string): void {
    const { errors } = this.#exchange
    errors.count(kind, detail)
    this.ledger.writeOff(Infinity, (dueMs) => {
      errors.count('lost')
      this.#exchange.missing(dueMs)
    })
    this.#exchange.closed(this, this.place >= 0)
  }

  received(bytes: Buffer, start: number, end: number): void {
    const { pattern, errors } = this.#exchange
    const sequence = pattern.read(bytes, start, end, this.number)
    if (sequence === WRONG.foreign) errors.count('foreign')
    else if (sequence < 0) this.#mismatch(pattern.damaged)
    else this.#settle(sequence, true)
  }

  garbled(): void {
    this.#mismatch(-1)
  }

  answered(sequence: number): void {
    this.#settle(sequence, true)
  }

  failed(sequence: number, kind: ErrorKind, detail: string): void {
    this.#exchange.errors.count(kind, detail)
    this.#settle(sequence, false)
  }

  /** Gives up what was sent before `sentBeforeMs`. */
  expire(sentBeforeMs: number): void {
    if (this.ledger.unanswered > 0) this.ledger.writeOff(sentBeforeMs, this.#giveUp)
  }

  makeRoom(): void {
    this.ledger.writeOffSkipped(this.#giveUp)
  }

  readonly #giveUp = (dueMs: number, skipped: boolean): void => {
    const { errors, ordered } = this.#exchange
    // A datagram that does not come back is lost; a silent connection may only be slow.
    errors.count(skipped || !ordered ? 'lost' : 'timeout')
    this.#exchange.missing(dueMs)
  }

  #mismatch(damaged: number): void {
    this.#exchange.errors.count('mismatch')
    const sequence = damaged >= 0 ? damaged : this.ledger.guess()
    if (sequence >= 0) this.#settle(sequence, false)
  }

  #settle(sequence: number, right: boolean): void {
    const { errors } = this.#exchange
    switch (this.ledger.settle(sequence)) {
      case VERDICT.reordered:
        errors.count('reordered')
        break
      case VERDICT.duplicate:
        errors.count('duplicate')
        return
      case VERDICT.unexpected:
        errors.count('unexpected')
        return
      case VERDICT.late:
        // Its latency was recorded when it was given up, and it stays missing.
        errors.count('late')
        return
    }
    this.#exchange.answered(this, this.ledger.dueMs, right)
  }
}
