import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../../src/lib/clock.ts'
import { createLogger, LOG_LINE_CHARACTERS_MAX, type Logger, type LogLevel } from '../../src/observe/logger.ts'

interface Subject {
  readonly log: Logger
  readonly clock: ManualClock
  /** Takes the lines written so far, decoded. */
  take(): Record<string, unknown>[]
}

function subject(level: LogLevel = 'info'): Subject {
  const lines: string[] = []
  const clock = new ManualClock()
  const log = createLogger({ level, write: (line) => lines.push(line), base: { thread: 'shard', shard: 3 }, clock })
  const take = (): Record<string, unknown>[] =>
    lines.splice(0).map((line) => {
      assert.ok(line.endsWith('\n') && line.indexOf('\n') === line.length - 1, 'one line is one line')
      return JSON.parse(line) as Record<string, unknown>
    })
  return { log, clock, take }
}

test('logger: a line has level, time, thread, shard, its fields and the event', () => {
  const { log, take } = subject()
  log.info('net.opened', { service: 'echo', bytes: 3 })
  log.child({ connection: 7 }).warn('net.slow')
  log.debug('net.unseen')
  assert.deepEqual(take(), [
    {
      level: 'info',
      time: '2026-01-01T00:00:00.000Z',
      thread: 'shard',
      shard: 3,
      service: 'echo',
      bytes: 3,
      event: 'net.opened',
    },
    {
      level: 'warn',
      time: '2026-01-01T00:00:00.000Z',
      thread: 'shard',
      shard: 3,
      connection: 7,
      event: 'net.slow',
    },
  ])
})

test('logger: every level writes its own lines and those above', () => {
  const { log, take } = subject('debug')
  for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const) log[level]('test.event')
  assert.deepEqual(
    take().map(({ level }) => level),
    ['debug', 'info', 'warn', 'error', 'fatal'],
  )
  const silent = subject('silent')
  silent.log.fatal('test.event')
  assert.deepEqual(silent.take(), [])
})

test('logger: secrets are redacted, at the top and one level down', () => {
  const { log, take } = subject()
  log.info('admin.request', {
    token: 'hunter2',
    password: 'hunter2',
    headers: { authorization: 'Bearer hunter2', cookie: 'hunter2' },
  })
  const [line] = take()
  assert.ok(!JSON.stringify(line).includes('hunter2'))
  assert.equal(line?.token, '[redacted]')
})

test('logger: an error becomes message, code, cause and stack', () => {
  const { log, take } = subject()
  const error = Object.assign(new Error('no', { cause: new Error('root') }), { code: 'ECONNRESET' })
  log.error('net.failed', { error, peer: 'x' })
  const [line] = take()
  assert.deepEqual([line?.error, line?.code, line?.cause, line?.peer], ['no', 'ECONNRESET', 'root', 'x'])
  assert.match(String(line?.stack), /^Error: no\n/)
})

test('logger: any text in a field stays inside its line', () => {
  const { log, take } = subject()
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      log.info('net.received', { text })
      assert.equal(take()[0]?.text, text)
    }),
  )
})

test('logger: a line at the limit is written, one above it is replaced', () => {
  const { log, take } = subject()
  log.info('net.received', { text: '' })
  const overhead = JSON.stringify(take()[0]).length + 1
  log.info('net.received', { text: 'x'.repeat(LOG_LINE_CHARACTERS_MAX - overhead) })
  log.info('net.received', { text: 'x'.repeat(LOG_LINE_CHARACTERS_MAX - overhead + 1) })
  const [full, over] = take()
  assert.equal(String(full?.text).length, LOG_LINE_CHARACTERS_MAX - overhead)
  assert.equal(over?.shortened_characters, LOG_LINE_CHARACTERS_MAX + 1)
  assert.deepEqual([over?.event, over?.shard, over?.text], ['net.received', 3, undefined])
})

test('logger: a limited event is written so often in a second, and the next line says what is missing', () => {
  const { log, clock, take } = subject()
  const bad = log.limited('net.protocol_error', 2)
  for (let i = 0; i < 10; i++) bad.warn({ i })
  assert.deepEqual(
    take().map(({ i }) => i),
    [0, 1],
  )
  assert.equal(bad.suppressed, 8)
  clock.advance(999)
  bad.warn({ i: 10 })
  assert.deepEqual(take(), [])
  clock.advance(1)
  bad.warn({ i: 11 })
  bad.warn({ i: 12 })
  bad.warn({ i: 13 })
  assert.deepEqual(
    take().map(({ i, suppressed }) => [i, suppressed]),
    [
      [11, 9],
      [12, undefined],
    ],
  )
})
