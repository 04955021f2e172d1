// Many members of one chat, and what must be true of its history whatever happened to the server meanwhile.
import assert from 'node:assert/strict'
import { ChatMember, type MemberOptions } from './chat-member.ts'
import type { ChatMessage } from './chat-packet.ts'
import { waitUntil } from './wait.ts'

export class ChatCrowd implements Disposable {
  readonly members: readonly ChatMember[]

  constructor(members: readonly ChatMember[]) {
    this.members = members
  }

  /** Opens `count` members named `<name><index>`, and waits until all are ready. */
  static async open(count: number, options: MemberOptions): Promise<ChatCrowd> {
    const members = Array.from({ length: count }, (_, index) => {
      return new ChatMember({ ...options, name: `${options.name}${index}`, userId: options.userId ?? index + 1 })
    })
    const crowd = new ChatCrowd(members)
    await waitUntil('all members are ready', () => members.every(({ isReady }) => isReady))
    return crowd
  }

  start(): void {
    for (const member of this.members) member.start()
  }

  /** Nothing more is sent, and all that was is answered. */
  async stop(): Promise<void> {
    for (const member of this.members) member.stop()
    await waitUntil('all is answered', () => this.members.every(({ isQuiet }) => isQuiet))
  }

  get ackCount(): number {
    return this.members.reduce((sum, { acked }) => sum + acked.size, 0)
  }

  get faults(): string[] {
    return this.members.flatMap(({ faults }) => faults)
  }

  get refused(): string[] {
    return this.members.flatMap(({ refused }) => refused)
  }

  get ends(): number {
    return this.members.reduce((sum, { ends }) => sum + ends, 0)
  }

  [Symbol.dispose](): void {
    for (const member of this.members) member[Symbol.dispose]()
  }

  /** Every acked message is in the history, once and with its id; nothing is in it twice, or that nobody sent. */
  assertKept(history: readonly ChatMessage[]): void {
    assert.deepEqual(this.faults, [])
    const ids = new Map<string, number>()
    for (const { id, content } of history) {
      assert.ok(!ids.has(content), `${content} is stored twice: ${ids.get(content)} and ${id}`)
      ids.set(content, id)
    }
    let known = 0
    for (const { options, sent, acked, ends } of this.members) {
      for (const [content, id] of acked) assert.equal(ids.get(content), id, `${content} was acked as ${id}`)
      let last = 0
      for (let index = 0; index < sent; index++) {
        const id = ids.get(`${options.name}-${index}${options.padding ?? ''}`)
        if (id === undefined) continue
        // Over several connections only what was answered has an order, which the member has watched.
        if (ends === 0) assert.ok(id > last, `${options.name}-${index}: what one client sends keeps its order`)
        last = id
        known++
      }
    }
    assert.equal(known, history.length, 'all of the history was sent by these members')
  }
}
