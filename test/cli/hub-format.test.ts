// What the tools of the hub make of what is typed and of what comes: all without a socket.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { eventLine } from '../../src/cli/hub/event-line.ts'
import { COLOURED, formatFrame, PLAIN, progressLine } from '../../src/cli/hub/format.ts'
import { parseBinaryFrame, parseFrame } from '../../src/cli/hub/frame.ts'
import { FramePrinter } from '../../src/cli/hub/printer.ts'
import { RECIPES } from '../../src/cli/hub/recipe.ts'
import { httpUrl, shownUrl, targetOf, withQuery } from '../../src/cli/hub/target.ts'
import { channelsOf, parseTyped } from '../../src/cli/hub/typed-command.ts'
import { packBinary } from '../../src/services/hub/binary-message.ts'
import { runCommand } from './capture.ts'

const EVENT = {
  channel: 'metrics',
  timestamp: '2026-01-02T03:04:05.678Z',
  event_type: 'system_metrics',
  data: { cpu_percent: 1.5, total_tokens: null, host: 'a\u001b[31m', list: [1, '\u0085'] },
}

test('hub format: an event is a line for each member of its data, a control frame is its JSON', () => {
  assert.equal(
    formatFrame(EVENT, 'pretty', PLAIN),
    '[metrics] system_metrics\n  cpu_percent: 1.5\n  total_tokens: null\n  host: a\\u001b[31m\n  list: [1,"\\u0085"]\n\n',
  )
  assert.equal(
    formatFrame({ type: 'pong', timestamp: 'x' }, 'pretty', PLAIN),
    '[pong] {"type":"pong","timestamp":"x"}\n\n',
  )
  assert.equal(formatFrame({ channel: 'c', event_type: 'e', data: {} }, 'pretty', PLAIN), '[c] e\n\n')
  assert.match(formatFrame({ type: 'error', message: 'x' }, 'pretty', COLOURED), /^\x1b\[31m\[error\]\x1b\[0m /)
})

test('hub format: json is indented by two, compact is one line, and both are the same JSON again', () => {
  const json = formatFrame(EVENT, 'json', PLAIN)
  assert.match(json, /^\{\n {2}"channel": "metrics",\n/)
  const compact = formatFrame(EVENT, 'compact', PLAIN)
  assert.match(compact, /^\{"channel":"metrics","timestamp":"[^\n]*\}\n$/)
  for (const text of [json, compact]) {
    assert.deepEqual(JSON.parse(text), EVENT)
    assert.ok(![...text].some((character) => character >= '\u007f' || (character < ' ' && character !== '\n')))
  }
})

test('hub format: progress has the local time with milliseconds', () => {
  const wallMs = new Date(2026, 0, 2, 3, 4, 5, 6).getTime()
  assert.equal(progressLine('Connected', wallMs, PLAIN), '[03:04:05.006] Connected\n')
})

test('hub frame: binary messages are shown by their head, compressed ones are what is in them', () => {
  const json = JSON.stringify(EVENT)
  const compressed = packBinary('COMPRESSED_JSON', '{"compression":"gzip"}', gzipSync(json))
  assert.deepEqual(parseBinaryFrame(compressed), EVENT)
  assert.deepEqual(parseBinaryFrame(packBinary('IMAGE', '{"format":"png"}', Buffer.alloc(5))), {
    type: 'binary',
    message_type: 'IMAGE',
    metadata: { format: 'png' },
    payload_length: 5,
  })
  const bad = [
    Buffer.alloc(3),
    packBinary('COMPRESSED_JSON', '{}', Buffer.from('none')),
    packBinary('COMPRESSED_JSON', '{}', gzipSync('[1]')),
    packBinary('COMPRESSED_JSON', '{}', gzipSync(Buffer.alloc(17 * 1024 * 1024, 32))),
  ]
  for (const frame of bad) assert.equal(parseBinaryFrame(frame), undefined)
  for (const text of ['', '[]', 'null', '"x"', '{']) assert.equal(parseFrame(text), undefined, text)
})

test('hub target: a URL of a WebSocket, its path if there is none, and nothing of its query is shown', () => {
  assert.deepEqual(targetOf({}), { url: 'ws://localhost:8000/ws', token: undefined })
  assert.deepEqual(targetOf({ url: 'wss://h:1', token: 't' }), { url: 'wss://h:1/ws', token: 't' })
  const target = targetOf({ url: 'ws://h:1/ws?binary=1&token=secret' })
  assert.ok(!('problems' in target))
  assert.equal(shownUrl(target), 'ws://h:1/ws')
  assert.equal(httpUrl(target, '/metrics'), 'http://h:1/metrics')
  assert.equal(withQuery(target, { binary: '0' }).url, 'ws://h:1/ws?binary=0&token=secret')
  for (const url of ['http://h:1/ws', 'h:1', '']) assert.ok('problems' in targetOf({ url }), url)
  assert.ok('problems' in targetOf({ token: 'a b' }))
})

test('hub typed: the five commands, spaces anywhere, and everything else is a problem', () => {
  assert.deepEqual(parseTyped(' subscribe a,b  c '), {
    kind: 'send',
    type: 'subscribe',
    members: { channels: ['a', 'b', 'c'] },
  })
  assert.deepEqual(parseTyped('unsubscribe a'), { kind: 'send', type: 'unsubscribe', members: { channels: ['a'] } })
  assert.deepEqual(parseTyped('ping'), { kind: 'send', type: 'ping', members: {} })
  assert.deepEqual(parseTyped('subs\r'), { kind: 'send', type: 'get_subscriptions', members: {} })
  assert.equal(parseTyped('quit').kind, 'quit')
  assert.equal(parseTyped('   ').kind, 'nothing')
  for (const line of ['subscribe', 'unsubscribe ,', 'pings', 'help'])
    assert.equal(parseTyped(line).kind, 'problem', line)
  assert.deepEqual(channelsOf(',a,,b '), ['a', 'b'])
})

test('hub printer: progress is beside JSON, between frames for people; a file gets frames without colours', () => {
  const folder = mkdtempSync(join(tmpdir(), 'polyloop-hub-'))
  try {
    for (const [format, isTTY] of [
      ['pretty', true],
      ['compact', false],
    ] as const) {
      const output = join(folder, format)
      const out: string[] = []
      const err: string[] = []
      const listeners: (() => void)[] = []
      let takes = true
      const stdout = {
        isTTY,
        write: (text: string): boolean => {
          out.push(text)
          return takes
        },
        once: (_event: 'drain', listener: () => void) => listeners.push(listener),
      }
      const stderr = { write: (text: string) => err.push(text) }
      const printer = new FramePrinter({ stdout, stderr, format, colours: true, wallMs: () => 0, output })
      printer.progress('Connected')
      assert.equal(
        printer.frame(EVENT, () => assert.fail('nothing waits')),
        true,
      )
      takes = false
      let drained = 0
      assert.equal(
        printer.frame(EVENT, () => drained++),
        false,
      )
      assert.equal(
        printer.frame(EVENT, () => drained++),
        false,
      )
      for (const listener of listeners) listener()
      assert.equal(drained, 1, 'asked once for each time it is full')
      printer[Symbol.dispose]()
      assert.equal(err.length, format === 'pretty' ? 0 : 1)
      assert.equal(out.join('').includes('\x1b['), isTTY)
      assert.equal(readFileSync(output, 'utf8'), formatFrame(EVENT, format, PLAIN).repeat(3))
    }
    assert.throws(
      () =>
        new FramePrinter({
          stdout: { write: () => true },
          stderr: { write: () => true },
          format: 'json',
          colours: false,
          wallMs: () => 0,
          output: join(folder, 'none', 'x'),
        }),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('hub demo: an event of each channel as a line', () => {
  const line = (channel: string, data: object): string => eventLine({ channel, event_type: 'e', data })
  assert.equal(
    line('metrics', { cpu_percent: 12.345, memory_mb: 100, events_per_sec: 0, total_connections: 3 }),
    '[metrics] e: cpu 12.35 %, memory 100 MiB, 0 events/s, 3 connections',
  )
  assert.equal(
    line('signals', { event_id: 'x', priority: 7, resonance_score: 0.5, is_novel: true }),
    '[signals] e: x, priority 7, resonance 0.5, novel',
  )
  assert.equal(
    line('actions', { action_type: 'reload', status: 'failed', execution_time_ms: 2, error: 'no' }),
    '[actions] e: reload failed after 2 ms: no',
  )
  assert.equal(line('logs', { level: 'warn', service: 'hub', message: 'm\n' }), '[logs] e: warn hub: m\\u000a')
  assert.equal(
    line('status', { status: 'running', uptime_seconds: 5, version: '1' }),
    '[status] e: running, up 5 s, version 1',
  )
  assert.equal(
    line('connections', { client_id: 'c', user_id: null, total_connections: 1 }),
    '[connections] e: c (nobody), 1 open',
  )
  assert.equal(line('other', { a: 1 }), '[other] e: {"a":1}')
})

test('hub-recipes: all ten, one of them, and no other', async () => {
  const all = await runCommand(['hub-recipes'])
  assert.equal(all.status, 0)
  assert.equal(RECIPES.length, 10)
  for (const [index, { title, command, description }] of RECIPES.entries()) {
    const text = `${index + 1}. ${title}\n   ${command}\n   ${description}\n`
    assert.ok(all.stdout.includes(text), title)
    assert.equal((await runCommand(['hub_recipes', String(index + 1)])).stdout, text)
  }
  for (const number of ['0', '11', 'x', '1.5']) {
    const { status, stderr, stdout } = await runCommand(['hub-recipes', number])
    assert.deepEqual([status, stdout], [2, ''])
    assert.match(stderr, /there are recipes 1 to 10/)
  }
})

test('hub: options that make no sense are told all at once', async () => {
  const channels = Array.from({ length: 65 }, (_, index) => `c${index}`).join(',')
  const { status, stderr } = await runCommand(['hub', '--url=http://x', '--format=xml', `--subscribe=${channels}`])
  assert.equal(status, 2)
  assert.equal(stderr.split('\n').length, 6)
  assert.equal((await runCommand(['hub-demo', '--url=x'])).status, 2)
  const { status: unwritten, stderr: why } = await runCommand(['hub', '--output=/nowhere/at/all'])
  assert.equal(unwritten, 1)
  assert.match(why, /^hub: cannot write \/nowhere\/at\/all: /)
})
