// A server as a process: starts it, reads from its log where it listens, and ends it as an operator would. The tests
// here use it for other programs than the checkout's own CLI too.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

const LIFE_MS_MAX = 60_000

export interface ServerProcess {
  readonly child: ChildProcess
  portOf(service: string, transport: string): number
  readonly adminPort: number
  /** SIGTERM; the exit status. */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

export interface ServerCommand {
  readonly file: string
  readonly line: readonly string[]
  readonly folder: string
  readonly environment?: Readonly<Record<string, string>>
}

/** Answers when all listeners are open; rejects with what the process said when it ends before. */
export async function startServer({ file, line, folder, environment }: ServerCommand): Promise<ServerProcess> {
  const child = spawn(file, line, {
    cwd: folder,
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIFE_MS_MAX,
  })
  const exited = once(child, 'exit') as Promise<[number | null]>
  const ports = new Map<string, number>()
  const said: string[] = []
  assert.ok(child.stdout && child.stderr)
  const errors = text(child.stderr)
  const { promise: ready, resolve } = Promise.withResolvers<true>()
  createInterface(child.stdout).on('line', (entry) => {
    said.push(entry)
    if (!entry.startsWith('{')) return
    const { event, service, transport, port } = JSON.parse(entry) as Record<string, string | number>
    if (event === 'net.listening') ports.set(`${service} ${transport}`, Number(port))
    else if (event === 'observe.admin_listening') ports.set('admin', Number(port))
    else if (event === 'runtime.ready') resolve(true)
  })
  if ((await Promise.race([ready, exited])) !== true) {
    assert.fail(`the server ended before it was ready:\n${said.join('\n')}\n${await errors}`)
  }
  const portAt = (name: string): number => ports.get(name) ?? assert.fail(`nobody listens as ${name}`)
  return {
    child,
    portOf: (service, transport) => portAt(`${service} ${transport}`),
    get adminPort() {
      return portAt('admin')
    },
    async end(signal = 'SIGTERM') {
      child.kill(signal)
      const [code] = await exited
      return code
    },
  }
}

/** Says `line` to a TCP port and answers the first line that comes back. */
export async function askLine(port: number, line: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.setEncoding('utf8').write(`${line}\n`)
  let answer = ''
  for await (const piece of socket) {
    answer += piece
    if (answer.includes('\n')) break
  }
  socket.destroy()
  return answer.slice(0, answer.indexOf('\n'))
}

/** Sends one message to a WebSocket and answers the first one that comes back. */
export async function askWebSocket(url: string, message: string | Uint8Array): Promise<string | Uint8Array> {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  await once(socket, 'open')
  socket.send(message)
  const [event] = (await once(socket, 'message')) as [{ readonly data: string | ArrayBuffer }]
  socket.close()
  await once(socket, 'close')
  return typeof event.data === 'string' ? event.data : new Uint8Array(event.data)
}
