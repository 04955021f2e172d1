// Reads the first bytes of accepted connections, just enough to know their session, within limits. Ends with the raw
// handle and what was read; never writes.
import type { TimerHandle, TimerWheel } from '../timer/wheel.ts'
import { FreshIds } from './fresh-id.ts'
import { startReading, stopReading, type TcpHandle } from './handoff.ts'
import type { RemoteAddress } from './identity.ts'
import { parseProxyHeader } from './proxy-protocol.ts'
import type { SessionOf } from './session-key.ts'

export interface SniffTask {
  /** Undefined: only the PROXY header is wanted. */
  readonly sessionOf: SessionOf | undefined
  readonly proxyProtocol: boolean
}

export type SniffResult =
  | {
      readonly state: 'found'
      readonly handle: TcpHandle
      /** Undefined: place it by its peer's address. */
      readonly key: string | undefined
      /** What follows the PROXY header of what was read. */
      readonly head: Uint8Array | undefined
      /** The client's address from a PROXY header. */
      readonly source: RemoteAddress | undefined
    }
  /** No PROXY header where one is demanded. */
  | { readonly state: 'invalid'; readonly handle: TcpHandle }
  /** The sniffer was closed, and the connection with it. */
  | { readonly state: 'gone' }

export interface SnifferOptions {
  readonly wheel: TimerWheel
  /** Limits of `net.sniff`: bytes read and time waited, after which the peer's address is the key. */
  readonly bytesMax: number
  readonly timeoutMs: number
}

interface Sniffed {
  readonly handle: TcpHandle
  readonly task: SniffTask
  readonly done: (result: SniffResult) => void
  /** Bytes of earlier segments; most heads come in one. */
  kept: Uint8Array | undefined
  /** Behind the PROXY header, once that is read. */
  start: number
  proxyDone: boolean
  source: RemoteAddress | undefined
  timer: TimerHandle
}

export class Sniffer {
  readonly #options: SnifferOptions
  readonly #open = new Set<Sniffed>()
  readonly #fresh = new FreshIds()

  constructor(options: SnifferOptions) {
    this.#options = options
  }

  /** Takes over the handle; `done` is called exactly once. */
  add(handle: TcpHandle, task: SniffTask, done: (result: SniffResult) => void): void {
    const sniffed: Sniffed = {
      handle,
      task,
      done,
      kept: undefined,
      start: 0,
      proxyDone: !task.proxyProtocol,
      source: undefined,
      timer: this.#options.wheel.schedule(this.#options.timeoutMs, () => this.#giveUp(sniffed)),
    }
    this.#open.add(sniffed)
    startReading(handle, (bytes) => {
      // A half-close or reset before the key is there: the shard shall decide what to make of it, it will see the same.
      if (bytes === undefined) this.#giveUp(sniffed)
      else this.#onBytes(sniffed, bytes)
    })
  }

  get size(): number {
    return this.#open.size
  }

  close(): void {
    for (const sniffed of this.#open) {
      this.#remove(sniffed)
      sniffed.handle.close()
      sniffed.done({ state: 'gone' })
    }
  }

  #onBytes(sniffed: Sniffed, bytes: Uint8Array): void {
    if (!this.#open.has(sniffed)) return
    const all = sniffed.kept === undefined ? bytes : Buffer.concat([sniffed.kept, bytes])
    sniffed.kept = all
    if (!sniffed.proxyDone) {
      const header = parseProxyHeader(all, 0, all.length)
      if (header.state === 'invalid') this.#finish(sniffed, 'invalid')
      if (header.state === 'more') this.#wait(sniffed, all)
      if (header.state !== 'done') return
      sniffed.proxyDone = true
      sniffed.start = header.bytes
      sniffed.source = header.source
    }
    const { sessionOf } = sniffed.task
    if (sessionOf === undefined) {
      this.#finish(sniffed, undefined)
      return
    }
    const key = sessionOf(all, sniffed.start, all.length, this.#fresh.next())
    if (key.state === 'more') this.#wait(sniffed, all)
    else this.#finish(sniffed, key.state === 'key' ? { key: key.key } : undefined)
  }

  #wait(sniffed: Sniffed, all: Uint8Array): void {
    if (all.length - sniffed.start >= this.#options.bytesMax) this.#giveUp(sniffed)
  }

  /** Too much, too late, or half-closed: without a key. */
  #giveUp(sniffed: Sniffed): void {
    this.#finish(sniffed, sniffed.proxyDone ? undefined : 'invalid')
  }

  #finish(sniffed: Sniffed, found: { key: string } | 'invalid' | undefined): void {
    if (!this.#remove(sniffed)) return
    const { handle, done, kept, start, source } = sniffed
    if (found === 'invalid') done({ state: 'invalid', handle })
    else {
      const head = kept === undefined || kept.length === start ? undefined : kept.subarray(start)
      done({ state: 'found', handle, key: found?.key, head, source })
    }
  }

  #remove(sniffed: Sniffed): boolean {
    if (!this.#open.delete(sniffed)) return false
    this.#options.wheel.cancel(sniffed.timer)
    stopReading(sniffed.handle)
    return true
  }
}
