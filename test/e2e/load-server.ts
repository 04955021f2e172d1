// Echo servers for the load test's tests, good and bad, and the load test as a function of its report.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type { LoadTestOptions } from '../../src/cli/load/plan.ts'
import type { RunReport } from '../../src/cli/load/report.ts'
import { runLoadTest } from '../../src/cli/load-test.ts'

export const SHORT = { connections: 4, warmup: '0s', duration: '250ms', timeout: '3s', threads: 1, seed: 7 } as const
/** For runs that lose messages: each waits this long for them. */
export const LOSSY = { timeout: '500ms' } as const
export const OPEN = { ...SHORT, rate: 1_000 } as const
export const CLOSED = { ...SHORT, window: 4 } as const

export interface Outcome {
  readonly status: number
  readonly run: RunReport
}

export async function load(target: string, options: LoadTestOptions, signal?: AbortSignal): Promise<Outcome> {
  const printed: string[] = []
  const silent = { write: (): void => undefined }
  const stdout = { write: (text: string) => printed.push(text) }
  const io = { stdout, stderr: silent, signal: signal ?? new AbortController().signal }
  const status = await runLoadTest(target, { ...options, json: true }, io)
  const { ok, runs } = JSON.parse(printed.join('')) as { ok: boolean; runs: RunReport[] }
  const [run] = runs
  assert.ok(run !== undefined)
  assert.equal(ok, status === 0)
  assert.equal(run.messages.sent, run.messages.answered + run.messages.wrong + run.messages.missing)
  return { status, run }
}

export function assertClean({ status, run }: Outcome): void {
  assert.deepEqual(run.errors, { total: 0, kinds: {}, details: {} })
  assert.equal(status, 0)
  assert.equal(run.connections.opened, run.connections.wanted)
  assert.ok(run.messages.sent > 20, `only ${run.messages.sent} messages`)
  assert.equal(run.messages.answered, run.messages.sent)
  assert.ok(run.latency.count > 10 && run.latency.p50Ns > 0 && run.latency.maxNs >= run.latency.p50Ns)
}

export type Answer = (socket: WebSocket, message: Buffer, number: number) => void

export interface Server extends AsyncDisposable {
  readonly url: string
  readonly paths: string[]
}

/** A WebSocket server that answers as `answer` does; `number` counts the messages of all connections from 1. */
export async function wsServer(answer: Answer): Promise<Server> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
  await once(server, 'listening')
  const paths: string[] = []
  let number = 0
  server.on('connection', (socket, request) => {
    paths.push(request.url ?? '')
    socket.on('message', (data: Buffer) => answer(socket, data, ++number))
  })
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths,
    [Symbol.asyncDispose]: async () => {
      for (const socket of server.clients) socket.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const echo: Answer = (socket, message) => socket.send(message, { binary: false })

export async function tcpServer(serve: (socket: Socket, number: number) => void): Promise<Server> {
  let number = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    serve(socket, ++number)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths: [],
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Answers to each datagram with what `answer` gives, at once. */
export async function udpServer(answer: (datagram: Buffer, number: number) => readonly Buffer[]): Promise<Server> {
  const socket = createSocket('udp4')
  let number = 0
  socket.on('message', (datagram, { port, address }) => {
    for (const reply of answer(datagram, ++number)) socket.send(reply, port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    url: `udp://127.0.0.1:${socket.address().port}`,
    paths: [],
    [Symbol.asyncDispose]: async () => {
      socket.close()
      await once(socket, 'close')
    },
  }
}
