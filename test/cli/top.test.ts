import assert from 'node:assert/strict'
import { PassThrough, Writable } from 'node:stream'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { main } from '../../src/cli/main.ts'
import { waitUntil } from '../harness/wait.ts'
import { openAdmin } from './admin-fixture.ts'
import { runCommand } from './capture.ts'

interface Running {
  readonly written: { text: string }
  readonly ended: Promise<number>
  interrupt(): void
}

/** `polyloop top` on a terminal of 100 × 30, or where there is none. */
function startTop(line: readonly string[], isTTY: boolean): Running {
  const written = { text: '' }
  const stdout = new Writable({
    decodeStrings: false,
    write: (text, _encoding, done) => {
      written.text += String(text)
      done()
    },
  })
  let onSignal = (): void => {}
  const ended = main(['top', ...line], {
    environment: {},
    stdin: new PassThrough(),
    stdout: Object.assign(stdout, isTTY ? { isTTY, columns: 100, rows: 30 } : {}),
    stderr: stdout,
    takeSignals: (handler) => {
      onSignal = () => handler('SIGINT')
    },
    takeHangups: () => {},
  })
  return { written, ended, interrupt: () => onSignal() }
}

test('top: takes the terminal, redraws in place, and gives it back at Ctrl-C with 0', async (context) => {
  const fixture = await openAdmin(context)
  const { written, ended, interrupt } = startTop(['--admin', fixture.url, '--interval', '100ms'], true)
  await waitUntil('two pictures', () => written.text.split('\x1b[H').length > 2)
  interrupt()
  assert.equal(await ended, 0)
  assert.ok(written.text.startsWith('\x1b[?1049h\x1b[?25l\x1b[H'), 'the other screen, no cursor')
  assert.ok(written.text.endsWith('\x1b[?25h\x1b[?1049l'), 'the cursor, and the screen as it was')
  const picture = stripVTControlCharacters(written.text.split('\x1b[H')[1] ?? '').split('\r\n')
  assert.match(picture[0] ?? '', /^polyloop 1\.2\.3 {2}ready {2}up 0 s$/)
  assert.equal(picture.filter((row) => /^ +[01] {2}ready/.test(row)).length, 2)
})

test('top: on a terminal a server that is gone is told, and the last figures stay', async (context) => {
  const fixture = await openAdmin(context)
  const { written, ended, interrupt } = startTop(['--admin', fixture.url, '--interval', '100ms'], true)
  await waitUntil('a picture', () => written.text.includes('\x1b[H'))
  await fixture.close()
  await waitUntil('the loss', () => written.text.includes(`no server answers at ${fixture.url}`))
  const last = stripVTControlCharacters(written.text.split('\x1b[H').at(-1) ?? '')
  assert.match(last, /SHARD {2}STATE/)
  interrupt()
  assert.equal(await ended, 0)
})

test('top: without a terminal each interval is a plain table', async (context) => {
  const fixture = await openAdmin(context)
  const { written, ended, interrupt } = startTop(['--admin', fixture.url, '--interval', '100ms'], false)
  await waitUntil('two tables', () => written.text.split('SHARD').length > 2)
  interrupt()
  assert.equal(await ended, 0)
  assert.equal(stripVTControlCharacters(written.text), written.text, 'nothing but text')
  assert.ok(written.text.includes('\n\npolyloop 1.2.3'), 'an empty line between them')
})

test('top: an interval that makes no sense is a usage error', async () => {
  for (const interval of ['0', '99ms', '2h', 'soon']) {
    const { status, stderr } = await runCommand(['top', '--interval', interval])
    assert.deepEqual([status, stderr.includes('a duration from 100ms to 1h')], [2, true], interval)
  }
})
