import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Bridge } from '../../../src/bridge/bridge.ts'
import { ShardLine } from '../../../src/services/hub/shard-line.ts'

/** What nobody answers, since nobody listens; and a timer that is told when its time has come. */
function createLine(): { readonly line: ShardLine; readonly published: string[]; readonly timePasses: () => void } {
  const published: string[] = []
  const timers = new Set<() => void>()
  const bridge = {
    publish: async ({ channel }: { readonly channel: string }) => {
      published.push(channel)
      return 0
    },
    subscribe: () => ({ confirmed: Promise.resolve(), position: undefined, end: () => {} }),
  } as unknown as Bridge
  const line = new ShardLine({
    bridge,
    after: (_ms, run) => {
      timers.add(run)
      return () => void timers.delete(run)
    },
    shard: 'here',
    host: 'host',
    answer: () => undefined,
    notice: () => {},
    gap: () => {},
  })
  const timePasses = (): void => {
    for (const run of timers) run()
    timers.clear()
  }
  return { line, published, timePasses }
}

test('shard line: a shard that is gone is not asked, nor told, by each of those who come from it', async () => {
  const { line, published, timePasses } = createLine()
  assert.deepEqual(await line.ask('gone', {}, 1_000), { state: 'none' })
  assert.deepEqual(await line.ask('gone', {}, 1_000), { state: 'none' })
  line.tell('gone', {})
  assert.deepEqual(published, ['hub:shard:gone'])
  line.tell('another', {})
  assert.deepEqual(published, ['hub:shard:gone', 'hub:shard:another'])
  // It may have been cut off only.
  timePasses()
  assert.deepEqual(await line.ask('gone', {}, 1_000), { state: 'none' })
  assert.equal(published.length, 3)
})
