import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/lib/clock.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { HostParts, type HostPartsOptions } from '../../src/runtime/host-parts.ts'

test('host parts: one that throws when it starts is logged, and the others start', () => {
  const lines: string[] = []
  const write = (line: string): void => void lines.push(line)
  const log = createLogger({ level: 'info', write, base: { thread: 'test' }, clock: new ManualClock() })
  const calls: string[] = []
  const host = (): { stop: () => void } => ({ stop: () => void calls.push('stop') })
  const bad = (): never => {
    throw new Error('it cannot')
  }
  const services = [
    { name: 'bad', host: bad },
    { name: 'good', host },
  ]
  const parts = new HostParts({ services, log, sink: {}, context: {} } as unknown as HostPartsOptions)
  const listeners = [{ serviceIndex: 0 }, { serviceIndex: 1 }]
  parts.start({ config: { services: {} }, listeners } as unknown as Parameters<HostParts['start']>[0])
  parts.stop()
  assert.deepEqual(calls, ['stop'])
  assert.equal(lines.filter((line) => line.includes('services.host_failed') && line.includes('it cannot')).length, 1)
})
