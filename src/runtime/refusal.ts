// The answer to a surplus request: 503, and time for it to arrive. Closing at once would reset the connection, because
// the request is still unread, and the client would not see why.
import type { Socket } from 'node:net'
import { adopt, type TcpHandle } from '../net/handoff.ts'
import { responseOf } from '../net/http.ts'
import type { TimerWheel } from '../timer/wheel.ts'

/** Answers under way; beyond that surplus connections are closed without one. */
const ANSWERS_MAX = 1_024
const ANSWER_MS = 1_000
const SWALLOW_BYTES = 4 * 1024
const RESPONSE = Buffer.from(responseOf(503, { 'Retry-After': '1' }, ''))

export class Refusal {
  readonly #wheel: TimerWheel
  readonly #buffer = Buffer.allocUnsafeSlow(SWALLOW_BYTES)
  #open = 0

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel
  }

  answer(handle: TcpHandle | undefined, unread: Socket | undefined): void {
    if (this.#open >= ANSWERS_MAX) {
      handle?.close()
      unread?.destroy()
      return
    }
    const socket = handle === undefined ? unread : adopt(handle, this.#buffer, () => true)
    if (socket === undefined) return
    this.#open++
    const timer = this.#wheel.schedule(ANSWER_MS, () => socket.destroy())
    socket.on('error', () => {}) // the client went away: nothing is left to say
    socket.once('end', () => socket.destroy())
    socket.once('close', () => {
      this.#open--
      this.#wheel.cancel(timer)
    })
    socket.end(RESPONSE)
    socket.resume()
  }
}
