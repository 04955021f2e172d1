// `npm run cluster` as people type it: three hosts with a Redis of their own; one of them is killed, and Ctrl-C ends all.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { LineClient } from '../harness/line-client.ts'
import { waitUntil, within } from '../harness/wait.ts'
import { WebSocketClient } from '../harness/web-socket-client.ts'

const root = join(import.meta.dirname, '../..')
const TRIES = 3
const READY_MS = 60_000
const END_MS = 20_000
/** Added to all ports, and below those that the system hands out. */
const SHIFT_MIN = 11_000
const SHIFT_RANGE = 10_000

/** Of host 1, without the shift. */
const PORT = { chat: 8081, sessions: 4040, rooms: 8092, admin: 9464 } as const
const STEP = 100

const data = mkdtempSync(join(tmpdir(), 'polyloop-cluster-'))
let tool: ChildProcess
let closed: Promise<unknown>
let shift: number
let out = ''

before(async () => {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    start()
    const isUp = waitUntil('the cluster is up', () => out.includes('Ctrl-C ends'), READY_MS)
    if ((await Promise.race([isUp, closed])) === true) return
    isUp.catch(() => {}) // it has ended
    if (!out.includes('somebody has it already')) break
  }
  throw new Error(`the cluster does not start: ${out}`)
})

after(async () => {
  if (tool.exitCode === null && tool.signalCode === null) interrupt()
  await closed
  rmSync(data, { recursive: true, force: true })
})

function start(): void {
  out = ''
  shift = SHIFT_MIN + Math.floor(Math.random() * SHIFT_RANGE)
  const given = ['--shift', String(shift), '--data', data, '--set', 'modules=examples/chat-room/chat-room.ts']
  // In a process group of its own, as a terminal would.
  tool = spawn('npm', ['run', '--silent', 'cluster', '--', ...given], {
    cwd: root,
    detached: true,
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  closed = once(tool, 'close')
  for (const stream of [tool.stdout, tool.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
  }
}

/** As Ctrl-C does: to all of the group. */
function interrupt(): void {
  if (tool.pid !== undefined) process.kill(-tool.pid, 'SIGINT')
}

function address(port: number, host: number, path: string): string {
  return `127.0.0.1:${port + (host - 1) * STEP + shift}${path}`
}

/** Of all that was started, in order. */
function pids(): number[] {
  return [...out.matchAll(/ready after [\d.]+ s, process (\d+)$/gm)].map(([, pid]) => Number(pid))
}

function pidOf(member: string): number {
  return Number(new RegExp(`^${member}: ready after [\\d.]+ s, process (\\d+)$`, 'm').exec(out)?.[1])
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function tellSession(host: number, message: string): Promise<unknown> {
  const url = `http://${address(PORT.admin, host, '/api/v1/session-proxy/s1/messages')}`
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: message })
  return answer.json()
}

async function textOf(client: WebSocketClient): Promise<string | undefined> {
  return (await client.next())?.data.toString()
}

test('cluster: shows its addresses and what to try', () => {
  assert.equal(pids().length, 4)
  assert.match(out, /^ +host 1 +host 2 +host 3$/m)
  const row = [1, 2, 3].map((host) => `http://${address(PORT.admin, host, '')}`).join(' +')
  assert.match(out, new RegExp(`^dashboard +${row}$`, 'm'))
  assert.match(out, new RegExp(`ws-bidir-client me s1 t1 --url ws://${address(PORT.sessions, 1, '')}$`, 'm'))
})

test('cluster: a session and a room span the hosts, also when one of them is killed', async () => {
  const token = `http://${address(PORT.admin, 2, '/api/v1/session-proxy/s1/token')}`
  assert.equal((await fetch(token, { method: 'PUT', body: '{"token":"t1","ttl":60}' })).status, 200)
  const headers = { Authorization: 'Bearer t1' }
  using session = await WebSocketClient.open(`ws://${address(PORT.sessions, 1, '/me/ws/s1')}`, { headers })
  assert.deepEqual(await tellSession(2, '{"from":2}'), { status: 'accepted', subscribers: 1 })
  assert.equal(await textOf(session), '{"from":2}')

  using ada = await WebSocketClient.open(`ws://${address(PORT.rooms, 1, '/')}`)
  using bob = await WebSocketClient.open(`ws://${address(PORT.rooms, 3, '/')}`)
  ada.send('{"join":"lobby","name":"ada"}')
  bob.send('{"join":"lobby","name":"bob"}')
  const [here, there] = [JSON.parse((await textOf(ada)) ?? ''), JSON.parse((await textOf(bob)) ?? '')]
  assert.deepEqual([here.type, here.epoch, here.offset], ['subscribed', there.epoch, there.offset])
  ada.send('{"say":"hello"}')
  const first = { from: 'ada', say: 'hello', offset: here.offset + 1 }
  for (const client of [ada, bob]) assert.deepEqual(JSON.parse((await textOf(client)) ?? ''), first)

  process.kill(pidOf('host 2'), 'SIGKILL')
  await waitUntil('it is told', () => out.includes('host 2: ended (SIGKILL); starts again in 2 s'))
  bob.send('{"say":"still here"}')
  const second = { from: 'bob', say: 'still here', offset: here.offset + 2 }
  for (const client of [ada, bob]) assert.deepEqual(JSON.parse((await textOf(client)) ?? ''), second)
  await tellSession(3, '{"from":3}')
  assert.equal(await textOf(session), '{"from":3}')
})

test('cluster: a chat is one for all hosts', async () => {
  using reader = await LineClient.open({ port: PORT.chat + shift })
  assert.match((await reader.ask('{"packet_type":"Subscribe","chat_id":1}')) ?? '', /"success":true/)
  using writer = await LineClient.open({ port: PORT.chat + 2 * STEP + shift })
  const message = { chat_id: 1, sender_id: 1, content: 'hello' }
  const ack = JSON.parse((await writer.ask(JSON.stringify({ packet_type: 'SendMessage', message }))) ?? '')
  assert.equal(ack.success, true)
  const push = JSON.parse((await reader.next()) ?? '')
  assert.deepEqual([push.packet_type, push.message.id, push.message.content], ['Message', ack.message_id, 'hello'])
})

test('cluster: Ctrl-C ends hosts and Redis in good order, also one that is about to start again', async () => {
  interrupt()
  await within('the end', closed, END_MS)
  // npm itself dies of the signal.
  assert.match(out, /\nending\nended\n$/)
  assert.deepEqual(pids().filter(isAlive), [])
})
