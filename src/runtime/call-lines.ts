// Main's side of all threads that do calls for others: which of them run, and how the bridge is.
import type { MessagePort } from 'node:worker_threads'
import { THREAD } from '../lib/thread.ts'
import type { MetricSource } from '../observe/exposition.ts'
import type { BridgeState } from '../observe/report.ts'
import { CallLine, type CallLineOptions } from './call-line.ts'
import type { ThreadNeed } from './thread-need.ts'

const NOT_CONNECTED: BridgeState = { isUp: false, problem: 'not connected yet' }

export class CallLines {
  readonly #store: CallLine
  readonly #bridge: CallLine
  /** As its thread said last. */
  #bridgeState = NOT_CONNECTED

  constructor(options: CallLineOptions) {
    this.#store = new CallLine(THREAD.store, options)
    this.#bridge = new CallLine(THREAD.bridge, options)
  }

  /** Undefined: there is no bridge. */
  get bridgeState(): BridgeState | undefined {
    return this.#bridge.isRunning ? this.#bridgeState : undefined
  }

  set bridgeState({ isUp, problem }: BridgeState) {
    this.#bridgeState = { isUp, problem }
  }

  get sources(): MetricSource[] {
    const lines = [this.#bridge, this.#store]
    return lines.flatMap(({ control, thread }) => (control ? { thread, collect: () => control.collect() } : []))
  }

  /** Starts those that are needed now and were not before. */
  async start({ usesStoreThread, usesBridge }: ThreadNeed): Promise<void> {
    await Promise.all([
      usesStoreThread ? this.#store.start() : undefined,
      usesBridge ? this.#bridge.start() : undefined,
    ])
  }

  begin(thread: number, port: MessagePort): Promise<void> {
    return this.#line(thread).begin(port)
  }

  down(thread: number): void {
    this.#line(thread).down()
    if (thread === THREAD.bridge) this.#bridgeState = NOT_CONNECTED
  }

  /** False: one of them did not finish in time. */
  async close(graceMs: number): Promise<boolean> {
    const closed = await Promise.all([this.#store.close(graceMs), this.#bridge.close(graceMs)])
    return closed.every(Boolean)
  }

  #line(thread: number): CallLine {
    return thread === THREAD.store ? this.#store : this.#bridge
  }
}
