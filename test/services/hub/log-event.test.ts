// Which lines of the log become events: warnings and worse, by name, and none that telling of them could bring about.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { ManualClock } from '../../../src/lib/clock.ts'
import { LogEvents } from '../../../src/services/hub/log-event.ts'

async function toldOf(...lines: readonly object[]): Promise<unknown[]> {
  const told: unknown[] = []
  const events = new LogEvents(new ManualClock(), (level, data) => told.push([level, data]))
  events.lines(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  await turn()
  events.stop()
  return told
}

test('log events: warnings and worse, with their name and what they belong to', async () => {
  const told = await toldOf(
    { level: 'info', event: 'a' },
    { level: 'warn', event: 'b', service: 'chat', connection: 7, secret: 'x' },
    { level: 'error', event: 'c' },
  )
  assert.deepEqual(told, [
    ['warn', { level: 'warn', message: 'b', service: 'chat', correlation_id: '7' }],
    ['error', { level: 'error', message: 'c', service: 'polyloop', correlation_id: null }],
  ])
})

test('log events: nothing of the hub, and nothing of its topics, or each would make the next', async () => {
  const lines = [
    { level: 'warn', event: 'a', service: 'hub' },
    { level: 'warn', event: 'topic.append_failed', topic: 'hub.logs' },
  ]
  assert.deepEqual(await toldOf(...lines), [])
  assert.equal((await toldOf({ level: 'warn', event: 'topic.append_failed', topic: 'hubris.logs' })).length, 1)
})
