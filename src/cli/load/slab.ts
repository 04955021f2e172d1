// Memory for outgoing bytes: messages of one write are put side by side, and never moved or overwritten after that,
// because the kernel may take them later.

const SLAB_BYTES = 256 * 1024

export class Slab {
  #bytes = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #start = 0
  #end = 0

  begin(): void {
    this.#start = this.#end
  }

  /** Copies `message`. Answers the earlier bytes of this write when they no longer fit into the same slab. */
  add(message: Buffer): Buffer | undefined {
    let earlier: Buffer | undefined
    if (this.#end + message.length > this.#bytes.length) {
      earlier = this.end()
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, message.length))
      this.#start = 0
      this.#end = 0
    }
    message.copy(this.#bytes, this.#end)
    this.#end += message.length
    return earlier
  }

  end(): Buffer | undefined {
    return this.#start === this.#end ? undefined : this.#bytes.subarray(this.#start, this.#end)
  }
}
