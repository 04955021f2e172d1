import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Reply, ReplyQueue } from '../../../src/services/chat/reply-queue.ts'

class Collected {
  readonly queue = new ReplyQueue(this)
  readonly said: string[] = []

  answer(line: string | Uint8Array, readMs: number): void {
    this.said.push(readMs === 0 ? String(line) : `${line}@${readMs}`)
  }

  push(bytes: Uint8Array, messages: number): void {
    this.said.push(`${Buffer.from(bytes)}×${messages}`)
  }
}

test('reply queue: what is known at once leaves at once, and never overtakes', () => {
  const { queue, said } = new Collected()
  queue.answer('a')
  const reply = queue.open(5)
  queue.answer('c')
  queue.push(Buffer.from('push'), 3)
  assert.deepEqual([said, queue.requests, queue.heldBytes, queue.empty], [['a'], 2, 4, false])
  queue.settle(reply, 'b')
  assert.deepEqual([said, queue.requests, queue.heldBytes, queue.empty], [['a', 'b@5', 'c', 'push×3'], 0, 0, true])
})

test('reply queue: in whatever order answers become known, they leave in the order of the requests', () => {
  const step = fc.oneof(
    fc.constant('open' as const),
    fc.constant('answer' as const),
    fc.constant('push' as const),
    fc.nat().map((which) => ({ which })),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 2_000 }), (steps) => {
      const { queue, said } = new Collected()
      const wanted: string[] = []
      const open: { reply: Reply; line: string }[] = []
      for (const [index, one] of steps.entries()) {
        if (one === 'answer') queue.answer(`${index}`)
        else if (one === 'push') queue.push(Buffer.from(`${index}`), 1)
        else if (one === 'open') open.push({ reply: queue.open(0), line: `${index}` })
        else {
          const [settled] = open.splice(one.which % (open.length + 1), 1)
          if (settled !== undefined) queue.settle(settled.reply, settled.line)
          continue
        }
        wanted.push(one === 'push' ? `${index}×1` : `${index}`)
      }
      assert.deepEqual(said, wanted.slice(0, said.length))
      assert.equal(queue.empty, said.length === wanted.length)
      for (const { reply, line } of open) queue.settle(reply, line)
      assert.deepEqual([said, queue.requests, queue.heldBytes], [wanted, 0, 0])
    }),
  )
})
