import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { createLogSink, LOG_QUEUE_CHARACTERS_MAX, type LogSink } from '../../src/observe/log-sink.ts'
import { createLogger } from '../../src/observe/logger.ts'

/** A stream whose reader takes chunks only when told. */
class SlowReader extends Writable {
  isTTY = false
  text = ''
  writes = 0
  stuck = false
  #release: (() => void) | undefined

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.writes++
    const take = (): void => {
      this.text += chunk.toString()
      callback()
    }
    if (this.stuck) this.#release = take
    else take()
  }

  release(): void {
    this.stuck = false
    this.#release?.()
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1)
  }
}

function subject(pretty: boolean | 'auto' = false): { sink: LogSink; reader: SlowReader } {
  const reader = new SlowReader()
  return { sink: createLogSink({ pretty, stream: reader }), reader }
}

test('log sink: the lines of one turn leave in one write, in order', async () => {
  const { sink, reader } = subject()
  for (let i = 0; i < 100; i++) sink.write(`${i}\n`)
  assert.equal(reader.writes, 0, 'nothing is written while the caller runs')
  assert.equal(await sink.flush(), true)
  assert.equal(reader.writes, 1)
  assert.deepEqual(
    reader.lines,
    Array.from({ length: 100 }, (_, i) => String(i)),
  )
})

test('log sink: a stuck reader costs a bounded queue, then lines, which are counted and reported', async () => {
  const { sink, reader } = subject()
  const line = `${'x'.repeat(1023)}\n`
  const fits = LOG_QUEUE_CHARACTERS_MAX / line.length
  reader.stuck = true
  for (let i = 0; i < fits; i++) sink.write(line)
  assert.equal(sink.dropped, 0, 'full')
  sink.write(line)
  assert.equal(sink.dropped, 1, 'full + 1')
  await new Promise((resolve) => setImmediate(resolve))
  sink.write(line)
  assert.equal(sink.dropped, 2, 'a chunk that the stream has not finished still counts')
  assert.equal(await sink.flush(1), false)
  reader.release()
  assert.equal(await sink.flush(), true)
  assert.equal(reader.lines.length, fits + 1)
  const report = JSON.parse(reader.lines.at(-1) ?? '') as Record<string, unknown>
  assert.deepEqual([report.event, report.lines, report.level], ['observe.log_dropped', 2, 'warn'])
  sink.write('after\n')
  await sink.flush()
  assert.equal(reader.lines.at(-1), 'after')
  assert.equal(sink.dropped, 2)
})

test('log sink: at exit what waits is written at once', () => {
  const { sink, reader } = subject()
  sink.write('last words\n')
  sink.writeNow()
  assert.deepEqual(reader.lines, ['last words'])
  sink.writeNow()
  assert.equal(reader.writes, 1)
})

test('log sink: a reader that is gone ends the log, not the process', async () => {
  const { sink, reader } = subject()
  reader.stuck = true
  sink.write('a\n')
  await new Promise((resolve) => setImmediate(resolve))
  sink.write('b\n')
  reader.destroy(new Error('EPIPE'))
  await new Promise((resolve) => reader.once('close', resolve))
  sink.write('c\nd\n')
  assert.equal(await sink.flush(), false)
  assert.equal(sink.dropped, 3)
})

test('log sink: lines are JSON to a file and pretty on a terminal', async () => {
  for (const terminal of [false, true]) {
    const reader = new SlowReader()
    reader.isTTY = terminal
    const sink = createLogSink({ pretty: 'auto', stream: reader })
    const log = createLogger({ level: 'info', write: sink.write, base: { thread: 'main' } })
    log.info('runtime.started', { shards: 2 })
    // As it comes from a shard: several lines in one message.
    sink.write('{"event":"a.b"}\n{"event":"c.d"}\n')
    await sink.close()
    assert.deepEqual([reader.lines.length, reader.writes], [3, 1])
    if (terminal)
      assert.match(reader.text, /^\[[\d:.]+\] INFO: runtime\.started \{"thread":"main","shards":2\}\n.*a\.b\n.*c\.d\n$/)
    else
      assert.deepEqual(
        reader.lines.map((line) => (JSON.parse(line) as Record<string, unknown>).event),
        ['runtime.started', 'a.b', 'c.d'],
      )
  }
})

test('log sink: text of peers cannot send a terminal commands, nor begin a line', async () => {
  const { sink, reader } = subject(true)
  const log = createLogger({ level: 'info', write: sink.write, base: { thread: 'main' } })
  let commands = ''
  for (let code = 0; code < 0xa0; code++) if (code < 0x20 || code > 0x7e) commands += String.fromCharCode(code)
  log.warn('net.bad_input', { text: commands, error: new Error(commands) })
  await sink.flush()
  assert.match(reader.text, /net\.bad_input/)
  assert.doesNotMatch(reader.text.slice(0, -1), /[\x00-\x1f\x7f-\x9f]/)
})

test('log sink: a terminal that takes nothing (Ctrl-S) does not block the thread', async (context) => {
  // A FIFO stands for the terminal: a blocking descriptor whose writer waits once 64 KiB are unread.
  const directory = mkdtempSync(join(tmpdir(), 'polyloop-log-'))
  const path = join(directory, 'terminal')
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR)
  const readerFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  context.after(() => {
    closeSync(readerFd)
    closeSync(fd)
    rmSync(directory, { recursive: true })
  })
  const terminal = Object.assign(new SlowReader(), { fd, isTTY: true })
  const sink = createLogSink({ pretty: false, stream: terminal })
  const lines = 2000
  for (let i = 0; i < lines; i++) sink.write(`${i} ${'x'.repeat(100)}\n`)
  assert.equal(await sink.flush(20), false, 'this line is reached, though the terminal is stuck')
  let text = ''
  const buffer = Buffer.alloc(64 * 1024)
  const flushed = sink.flush(5000)
  while (text.split('\n').length <= lines) {
    try {
      text += buffer.toString('latin1', 0, readSync(readerFd, buffer))
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN')
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  assert.equal(await flushed, true)
  assert.deepEqual(
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => Number(line.split(' ')[0])),
    Array.from({ length: lines }, (_, i) => i),
  )
})
