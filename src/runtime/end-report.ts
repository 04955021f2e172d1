// What a shard tells the acceptor of connections that count towards a limit: that they ended, or live elsewhere now.
import { seatOfThread, THREAD } from '../lib/thread.ts'
import { RECORD } from '../net/record.ts'
import type { Mesh } from '../ring/mesh.ts'

export class EndReport {
  /** The acceptor that counts them. */
  #acceptor: number = THREAD.acceptor
  readonly #mesh: Mesh
  readonly #head = Buffer.alloc(10)

  constructor(mesh: Mesh) {
    this.#mesh = mesh
  }

  reportTo(acceptor: number): void {
    this.#acceptor = acceptor
  }

  ended(id: number): void {
    this.#head.writeDoubleLE(id, 0)
    this.#mesh.send(this.#acceptor, 'control', RECORD.ended, this.#head, 8)
  }

  moved(id: number, to: number): void {
    this.#head.writeDoubleLE(id, 0)
    this.#head.writeUInt16LE(seatOfThread(to), 8)
    this.#mesh.send(this.#acceptor, 'control', RECORD.moved, this.#head, 10)
  }
}
