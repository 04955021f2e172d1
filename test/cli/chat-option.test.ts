import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCommand } from './capture.ts'

async function problemsOf(...line: string[]): Promise<string[]> {
  const { status, stdout, stderr } = await runCommand(line)
  assert.deepEqual([status, stdout], [2, ''])
  const lines = stderr.trimEnd().split('\n')
  // What follows the problems is that of all tools.
  assert.deepEqual(lines.splice(-2), [
    `Usage: polyloop ${line[0]?.replace('_', '-')} [options]`,
    `try: polyloop ${line[0]?.replace('_', '-')} --help`,
  ])
  return lines
}

test('chat-tcp: all senseless options at once', async () => {
  assert.deepEqual(
    await problemsOf('chat-tcp', '--port=0', '--chat=x', '--sender=1.5', '--type=text', '--timeout=never', '--page=2'),
    [
      'chat-tcp: --port is 1 to 65535, not "0"',
      'chat-tcp: --chat is 1 to 9007199254740991, not "x"',
      'chat-tcp: --sender is a whole number, not 1.5',
      'chat-tcp: --timeout is 1ms to 1h, not "never"',
      'chat-tcp: --type is Text, Image, File, System, not "text"',
      'chat-tcp: --page and --per-page need --get-messages',
    ],
  )
  assert.deepEqual(await problemsOf('chat_tcp', '--get_messages', '--per_page', '0', '--subscribe'), [
    'chat-tcp: --per-page is 1 to 9007199254740991, not "0"',
    'chat-tcp: --ping, --get-messages and --subscribe exclude each other',
  ])
  assert.match((await problemsOf('chat-tcp', '--texts', 'x')).join('\n'), /unknown option '--texts'/)
})

test('chat-udp: all senseless options at once', async () => {
  assert.deepEqual(await problemsOf('chat-udp', '--port=65536', '--user=0', '--chat=', '--status=', '--timeout=0'), [
    'chat-udp: --port is 1 to 65535, not "65536"',
    'chat-udp: --user is 1 to 9007199254740991, not "0"',
    'chat-udp: --chat is 1 to 9007199254740991, not ""',
    'chat-udp: --timeout is 1ms to 1h, not "0"',
    'chat-udp: --status has 1 to 64 bytes',
  ])
  assert.match(String(await problemsOf('chat-udp', '--status', 'я'.repeat(33))), /--status has 1 to 64 bytes/)
})
