import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { ManualClock } from '../../../src/lib/clock.ts'
import { createLogger } from '../../../src/observe/logger.ts'
import { LogEvents } from '../../../src/services/hub/log-event.ts'

test('log events: names of warnings and errors, without what they say; none of the hub itself; not more than some a second', async () => {
  const clock = new ManualClock()
  const told: unknown[] = []
  const events = new LogEvents(clock, (level, data) => told.push([level, data]))
  const log = createLogger({ level: 'debug', write: events.lines, base: { thread: 'main' }, clock })
  log.info('test.nothing', {})
  log.warn('test.warned', { token: 'secret', payload: 'secret', connection: 7 })
  log.child({ service: 'hub' }).error('hub.store_failed', {})
  log.child({ service: 'chat' }).error('chat.http_failed', { error: new Error('secret') })
  await turn()
  assert.deepEqual(told, [
    ['warn', { level: 'warn', message: 'test.warned', service: 'polyloop', correlation_id: '7' }],
    ['error', { level: 'error', message: 'chat.http_failed', service: 'chat', correlation_id: null }],
  ])
  for (let count = 0; count < 100; count++) log.warn('test.warned', {})
  await turn()
  assert.equal(told.length, 2 + 20 - 3)
  clock.advance(1_000)
  log.warn('test.warned', {})
  await turn()
  assert.equal(told.length, 20)
})
