// The tools of the hub against a real one: interactive mode, refusals, ends, the demonstrations.
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { after, before, test } from 'node:test'
import { type HubClientOptions, runHub } from '../../src/cli/hub.ts'
import { type HubDemoOptions, runHubDemo } from '../../src/cli/hub-demo.ts'
import { HubServer, tokenOf } from '../harness/hub-server.ts'
import { waitUntil } from '../harness/wait.ts'

const OUT_MS_MAX = 20_000

let hub: HubServer
let url: string
const admin = tokenOf({ sub: 'admin' })

before(async () => {
  hub = await HubServer.start({ hub: { metricsInterval: '250ms' } })
  url = hub.url()
})

after(() => hub[Symbol.asyncDispose]())

interface InProcess {
  readonly stdin: PassThrough
  readonly out: () => string
  readonly err: () => string
  readonly interrupt: AbortController
  readonly ended: Promise<number>
}

function start(run: 'hub' | 'demo', options: HubClientOptions & HubDemoOptions): InProcess {
  const stdin = new PassThrough()
  const printed: Record<'out' | 'err', string[]> = { out: [], err: [] }
  const interrupt = new AbortController()
  const io = {
    stdout: { write: (text: string) => void printed.out.push(text) },
    stderr: { write: (text: string) => void printed.err.push(text) },
    signal: interrupt.signal,
    stdin,
    colours: true,
  }
  const given = { url, ...options }
  const ended = run === 'hub' ? runHub(given, io) : runHubDemo(given, io)
  return { stdin, out: () => printed.out.join(''), err: () => printed.err.join(''), interrupt, ended }
}

function printed({ out, err }: InProcess, pattern: RegExp): Promise<RegExpExecArray> {
  return waitUntil(`${pattern}`, () => pattern.exec(out()) ?? undefined, OUT_MS_MAX).catch((error: unknown) => {
    throw new Error(`${error}: ${out()}${err()}`)
  })
}

test('hub: interactive mode takes its commands, tells what is none, and quits', async () => {
  const run = start('hub', { interactive: true, token: admin })
  await printed(run, /User: admin\n/)
  run.stdin.write('ping\nsubscribe signals,status\nsu')
  await printed(run, /\[pong\] \{"type":"pong",[^\n]*\}\n\n/)
  await printed(run, /Subscribed to signals, status\n/)
  run.stdin.write('bs\n')
  await printed(run, /\[subscriptions\] \{"type":"subscriptions","channels":\["signals","status"\]/)
  run.stdin.write('unsubscribe signals\nsubs\nsing\n')
  await printed(run, /"channels":\["status"\]/)
  assert.match(run.err(), /there is only ping, subscribe a,b, unsubscribe a,b, subs, quit\n/)
  run.stdin.write('quit\n')
  assert.equal(await run.ended, 0)
  assert.match(run.out(), /Disconnected: closed with 1000\n$/)
  const piped = start('hub', { interactive: true, format: 'compact' })
  piped.stdin.end('subscribe status\nsubs')
  assert.equal(await piped.ended, 0, 'the end of stdin is an end')
})

test('hub: a refusal, a server that is not there, and one that is no hub', async () => {
  const refused = start('hub', { token: 'nonsense' })
  assert.equal(await refused.ended, 1)
  assert.match(refused.err(), /^hub: refused with 403 Invalid token\n$/)
  const elsewhere = start('hub', { url: url.replace('/ws', '/elsewhere'), verbose: true })
  assert.equal(await elsewhere.ended, 1)
  assert.match(elsewhere.err(), /HubFailure|Error: refused with 404[\s\S]*\n {4}at /)
  const nobody = start('hub', { url: 'ws://127.0.0.1:1/ws' })
  assert.equal(await nobody.ended, 1)
  assert.match(nobody.err(), /ECONNREFUSED/)
  const cancelled = start('hub', {})
  cancelled.interrupt.abort()
  assert.equal(await cancelled.ended, 0)
})

test('hub: a compressed event is printed as the event, a binary message by its head', async () => {
  const run = start('hub', {
    url: `${url}?binary=1&compression=gzip`,
    token: admin,
    subscribe: 'signals',
    format: 'compact',
  })
  await printed(run, /"type":"subscribed"/)
  using publisher = await hub.admin()
  await publisher.broadcast('signals', { text: 'again and '.repeat(1_000) }, 'signal.long')
  await printed(run, /"event_type":"signal\.long","data":\{"text":"again and /)
  run.interrupt.abort()
  assert.equal(await run.ended, 0)
})

test('hub: while stdout takes nothing more is read, and then all of it comes', async () => {
  const EVENTS = 60
  const text = 'x'.repeat(100_000)
  const interrupt = new AbortController()
  let isFull = false
  let drain: (() => void) | undefined
  let [events, out] = [0, '']
  const stdout = {
    write(line: string): boolean {
      if (line.includes(text)) events++
      else out += line
      return !isFull
    },
    once: (_event: 'drain', listener: () => void) => {
      drain = listener
    },
  }
  const stderr = { write: (): void => {} }
  const io = { stdout, stderr, signal: interrupt.signal, stdin: new PassThrough(), colours: false }
  const ended = runHub({ url, token: admin, subscribe: 'signals', format: 'compact' }, io)
  await waitUntil('it is subscribed', () => out.includes('"type":"subscribed"'), OUT_MS_MAX)
  isFull = true
  using publisher = await hub.admin()
  for (let event = 0; event < EVENTS; event++) {
    publisher.send({ type: 'broadcast', channel: 'signals', event_type: 'signal.long', data: { text } })
  }
  for (let acknowledged = 0; acknowledged < EVENTS; ) {
    if ((await publisher.next()).type === 'broadcast_ack') acknowledged++
  }
  await waitUntil('it prints one, and stops', () => drain !== undefined, OUT_MS_MAX)
  assert.ok(events < EVENTS / 2, `${events} of ${EVENTS} are printed`)
  isFull = false
  drain?.()
  await waitUntil('it prints them all', () => events === EVENTS, OUT_MS_MAX)
  interrupt.abort()
  assert.equal(await ended, 0)
})

test('hub: a server that shuts down is a good end, and one that is killed is none', async () => {
  const end = async (signal: NodeJS.Signals, status: number, said: RegExp): Promise<void> => {
    await using other = await HubServer.start({ shards: 1 })
    const run = start('hub', { url: other.url(), subscribe: 'status' })
    await printed(run, /Subscribed to status\n/)
    other.server.signal(signal)
    assert.equal(await run.ended, status, run.err())
    assert.match(run.out(), said)
  }
  await Promise.all([
    end('SIGTERM', 0, /\[disconnected\] [\s\S]*closed with 1001 server shutting down\n$/),
    end('SIGKILL', 1, /closed with 1006\n$/),
  ])
})

test('hub-demo: tells of every channel that the user may have, and of the others', async () => {
  const run = start('demo', { token: admin })
  await printed(run, /Connected as admin, client [0-9a-f-]{36}\n/)
  await printed(run, /Subscribed to metrics, signals, actions, logs, status, connections\n/)
  await printed(run, /\[metrics\] system_metrics: cpu [\d.]+ %, memory [\d.]+ MiB, [\d.]+ events\/s, \d+ connections\n/)
  using _other = await hub.enter()
  await printed(run, /\[connections\] client\.connected: [0-9a-f-]{36} \(nobody\), \d+ open\n/)
  run.interrupt.abort()
  assert.equal(await run.ended, 0)
  const anonymous = start('demo', {})
  await printed(anonymous, /Not for you: signals, actions, logs, connections\n/)
  anonymous.interrupt.abort()
  assert.equal(await anonymous.ended, 0)
})

test('hub-demo --advanced: five demonstrations, as an administrator and as nobody', async () => {
  const run = start('demo', { advanced: true, token: admin })
  assert.equal(await run.ended, 0, run.out() + run.err())
  const out = run.out()
  assert.deepEqual(
    [...out.matchAll(/^=== (\d)\. /gm)].map(([, number]) => number),
    ['1', '2', '3', '4', '5'],
  )
  assert.match(out, / restored with metrics, status: \d+ missed events, 0 dropped\n/)
  assert.match(out, / allowed: metrics, status\n {2}denied: {2}signals, actions, logs, connections\n/)
  assert.match(out, /Permission denied: broadcast to signals\n/)
  const [, pongs = '', refusals = '', seconds = ''] =
    / (\d+) pongs, (\d+) refusals\n {2}Rate limit exceeded: again in ([\d.]+) s\n/.exec(out) ?? []
  assert.ok(Number(pongs) >= 120 && Number(refusals) > 0 && Number(pongs) + Number(refusals) === 150, out)
  assert.ok(Number(seconds) > 0 && Number(seconds) <= 0.5, seconds)
  const [, size = '', gzip = '', received = ''] =
    /an event of (\d+) bytes: (\d+) with gzip, \d+ %\n {2}broadcast to \d+ subscribers, and received as (\d+) bytes\n/.exec(
      out,
    ) ?? []
  assert.ok(Number(gzip) < Number(size) && Number(received) < Number(size) && Number(received) > 0, out)
  assert.match(out, /\n {2}neurograph_ws_\w+ [\d.]+\n/)
  const anonymous = start('demo', { advanced: true })
  assert.equal(await anonymous.ended, 0, anonymous.out() + anonymous.err())
  assert.match(anonymous.out(), /with the token of an administrator/)
})

test('hub-demo: a hub that is not there', async () => {
  const run = start('demo', { url: 'ws://127.0.0.1:1/ws' })
  assert.equal(await run.ended, 1)
  assert.match(run.err(), /ECONNREFUSED/)
  const advanced = start('demo', { url: 'ws://127.0.0.1:1/ws', advanced: true })
  assert.equal(await advanced.ended, 1)
  assert.match(advanced.err(), /5 of the demonstrations failed/)
})
