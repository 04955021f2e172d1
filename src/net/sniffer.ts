// Reads the first bytes of accepted connections, just enough to know their session, within limits. Ends with the raw
// handle and what was read; never writes.
import type { Socket } from 'node:net'
import type { TimerHandle, TimerWheel } from '../timer/wheel.ts'
import { adopt, detach, type TcpHandle } from './handoff.ts'
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
  /** The peer went away. */
  | { readonly state: 'gone' }

export interface SnifferOptions {
  readonly wheel: TimerWheel
  /** Limits of `net.sniff`: bytes read and time waited, after which the peer's address is the key. */
  readonly bytesMax: number
  readonly timeoutMs: number
}

interface Sniffed {
  readonly socket: Socket
  readonly task: SniffTask
  readonly done: (result: SniffResult) => void
  /** Bytes of earlier segments; most heads come in one. */
  kept: Buffer | undefined
  /** Behind the PROXY header, once that is read. */
  start: number
  proxyDone: boolean
  source: RemoteAddress | undefined
  timer: TimerHandle
}

export class Sniffer {
  readonly #options: SnifferOptions
  // One for all: a sniffed socket that is not decided copies its bytes out.
  readonly #buffer: Buffer
  readonly #open = new Set<Sniffed>()
  #freshCount = 0
  readonly #freshPrefix = `${process.pid.toString(36)}-${Date.now().toString(36)}-`

  constructor(options: SnifferOptions) {
    this.#options = options
    this.#buffer = Buffer.allocUnsafeSlow(options.bytesMax)
  }

  /** Takes over the handle; `done` is called exactly once. */
  add(handle: TcpHandle, task: SniffTask, done: (result: SniffResult) => void): void {
    const socket: Socket = adopt(handle, this.#buffer, (bytes, buffer) => this.#onBytes(sniffed, buffer, bytes))
    const sniffed: Sniffed = {
      socket,
      task,
      done,
      kept: undefined,
      start: 0,
      proxyDone: !task.proxyProtocol,
      source: undefined,
      timer: this.#options.wheel.schedule(this.#options.timeoutMs, () => this.#giveUp(sniffed)),
    }
    this.#open.add(sniffed)
    socket.on('error', ignoreReset)
    // A half-close before the key is there: the shard shall decide what to make of it, it will see the same end.
    socket.once('end', () => this.#giveUp(sniffed))
    socket.once('close', () => {
      if (this.#remove(sniffed)) sniffed.done({ state: 'gone' })
    })
    socket.resume()
  }

  close(): void {
    for (const { socket } of this.#open) socket.destroy()
  }

  #onBytes(sniffed: Sniffed, buffer: Buffer, bytes: number): boolean {
    if (!this.#open.has(sniffed)) return false
    const fresh = buffer.subarray(0, bytes)
    const all = sniffed.kept === undefined ? fresh : Buffer.concat([sniffed.kept, fresh])
    if (!sniffed.proxyDone) {
      const header = parseProxyHeader(all, 0, all.length)
      if (header.state === 'invalid') {
        this.#finish(sniffed, all, 'invalid')
        return false
      }
      if (header.state === 'more') return this.#wait(sniffed, all)
      sniffed.proxyDone = true
      sniffed.start = header.bytes
      sniffed.source = header.source
    }
    const { sessionOf } = sniffed.task
    if (sessionOf === undefined) {
      this.#finish(sniffed, all, undefined)
      return false
    }
    const key = sessionOf(all, sniffed.start, all.length, `${this.#freshPrefix}${++this.#freshCount}`)
    if (key.state === 'more') return this.#wait(sniffed, all)
    this.#finish(sniffed, all, key.state === 'key' ? { key: key.key } : undefined)
    return false
  }

  #wait(sniffed: Sniffed, all: Buffer): boolean {
    // `all` may be a view of the shared buffer, or a concatenation of its own.
    sniffed.kept = sniffed.kept === undefined ? Buffer.from(all) : all
    if (all.length - sniffed.start < this.#options.bytesMax) return true
    this.#giveUp(sniffed)
    return false
  }

  /** Too much, too late, or half-closed: without a key. */
  #giveUp(sniffed: Sniffed): void {
    const read = sniffed.kept ?? Buffer.alloc(0)
    this.#finish(sniffed, read, sniffed.proxyDone ? undefined : 'invalid')
  }

  #finish(sniffed: Sniffed, all: Buffer, found: { key: string } | 'invalid' | undefined): void {
    if (!this.#remove(sniffed)) return
    const handle = detach(sniffed.socket)
    if (handle === undefined) sniffed.done({ state: 'gone' })
    else if (found === 'invalid') sniffed.done({ state: 'invalid', handle })
    else {
      const head = all.length === sniffed.start ? undefined : Uint8Array.from(all.subarray(sniffed.start))
      sniffed.done({ state: 'found', handle, key: found?.key, head, source: sniffed.source })
    }
  }

  #remove(sniffed: Sniffed): boolean {
    if (!this.#open.delete(sniffed)) return false
    this.#options.wheel.cancel(sniffed.timer)
    return true
  }
}

function ignoreReset(): void {
  // 'close' follows.
}
