// Session proxies that do something wrong, for the tests of the load test; and the load test as a function of its report.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type { SessionLoadOptions } from '../../src/cli/load/session/plan.ts'
import type { SessionReport } from '../../src/cli/load/session/report.ts'
import { runSessionProxyTest } from '../../src/cli/load-test.ts'
import { channelOf } from '../../src/cli/session-name.ts'
import { ToolBridge } from '../../src/cli/tool-bridge.ts'
import { parseRedisAddress } from '../../src/lib/redis-address.ts'

export interface Outcome {
  readonly status: number
  readonly report: SessionReport
}

export async function loadSessions(
  redisUrl: string,
  port: number,
  options: SessionLoadOptions,
  signal = new AbortController().signal,
): Promise<Outcome> {
  const printed: string[] = []
  const io = { stdout: { write: (text: string) => printed.push(text) }, stderr: { write: () => undefined }, signal }
  const flags = { redisUrl, wsPort: port, warmup: 0, messageInterval: '20ms', seed: 7, json: true, ...options }
  const status = await runSessionProxyTest([], flags, {}, io)
  return { status, report: JSON.parse(printed.join('')) as SessionReport }
}

export interface Fault {
  /** Instead of 101; `number` counts handshakes from 1. */
  refuse?(number: number): { readonly status: number; readonly text: string } | 'silence' | undefined
  opened?(socket: WebSocket): void
  /** Default: sent as it came. `number` counts the messages of all sessions from 1. */
  message?(socket: WebSocket, text: string, number: number): void
}

/** A proxy without any check, which does as `fault` says. Answers its port. */
export async function faultyProxy(
  redisUrl: string,
  fault: Fault,
): Promise<{ readonly port: number } & AsyncDisposable> {
  const address = parseRedisAddress(redisUrl)
  assert.ok(typeof address !== 'string')
  const bridge = await ToolBridge.open({ address, signal: new AbortController().signal })
  assert.ok(typeof bridge !== 'string', String(bridge))
  const sockets = new WebSocketServer({ noServer: true })
  const server = createServer()
  let handshakes = 0
  let messages = 0
  server.on('upgrade', (request, socket, head) => {
    const refusal = fault.refuse?.(++handshakes)
    if (refusal === 'silence') return
    if (refusal !== undefined) {
      const { status, text } = refusal
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`)
      return
    }
    const session = decodeURIComponent(request.url?.split('/').at(-1) ?? '')
    let peer: WebSocket | undefined
    const onMessage = (payload: Buffer): void => {
      const text = payload.toString()
      if (peer === undefined) return
      if (fault.message === undefined) peer.send(text)
      else fault.message(peer, text, ++messages)
    }
    void bridge.subscribe(channelOf(session, 'down'), { message: onMessage, gap: () => {} }).then(() => {
      sockets.handleUpgrade(request, socket, head, (opened) => {
        peer = opened
        fault.opened?.(opened)
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      server.close()
      await bridge[Symbol.asyncDispose]()
    },
  }
}
