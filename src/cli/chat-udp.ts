// `polyloop chat-udp`: asks the chat service for a pong, then tells it a status and that somebody is typing.
import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import type { Command } from 'commander'
import { formatDuration } from '../lib/units.ts'
import { type ChatPacket, printable } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { OptionReader } from './option-reader.ts'
import { problemOf } from './problem.ts'
import { endOf, type ToolIo, toolIo } from './tool-io.ts'

const TIMEOUT_MS_MAX = 3_600_000
const STATUS_BYTES_MAX = 64

/** The flags of the command, as typed. */
export interface ChatUdpOptions {
  readonly host?: string
  readonly port?: string | number
  readonly user?: string | number
  readonly chat?: string | number
  readonly status?: string
  readonly timeout?: string | number
  readonly token?: string
}

export function register(command: Command, context: CommandContext): void {
  command
    .option('--host <host>', 'server to talk to', '127.0.0.1')
    .option('--port <port>', 'its UDP port', '8082')
    .option('--user <id>', 'whose status it is, and who is typing', '1')
    .option('--chat <id>', 'where the user is typing', '1')
    .option('--status <status>', 'online, away, offline, or another word', 'online')
    .option('--timeout <duration>', 'how long to wait for the pong', '2')
    .option('--token <jwt>', 'authenticates, for a server with services.chat.auth: jwt')
    .action(async (options: ChatUdpOptions) => {
      context.setStatus(await runChatUdp(options, toolIo(context)))
    })
}

/** 0 when the pong came, or Ctrl-C; 1 without a pong; 2 for senseless options. */
export async function runChatUdp(options: ChatUdpOptions, io: ToolIo): Promise<ExitStatus> {
  const reader = new OptionReader(options)
  const port = reader.whole('port', 8082, 1, 65_535)
  const user = reader.whole('user', 1, 1, Number.MAX_SAFE_INTEGER)
  const chat = reader.whole('chat', 1, 1, Number.MAX_SAFE_INTEGER)
  const timeoutMs = reader.duration('timeout', 2_000, 1, TIMEOUT_MS_MAX)
  const { status = 'online', token, host = '127.0.0.1' } = options
  const statusBytes = Buffer.byteLength(status)
  if (statusBytes === 0 || statusBytes > STATUS_BYTES_MAX) reader.problem(`--status has 1 to ${STATUS_BYTES_MAX} bytes`)
  for (const problem of reader.problems) io.stderr.write(`chat-udp: ${problem}\n`)
  if (reader.problems.size > 0) return 2

  const proof = token === undefined ? {} : { token }
  const peer = await UdpPeer.open(host, port, io.signal)
  if (typeof peer === 'string') return endOf('chat-udp', peer, io)
  await using socket = peer
  await say(socket, { packet_type: 'Ping' }, proof, io)
  const answer = await socket.next(timeoutMs)
  if (answer instanceof Error) return endOf('chat-udp', `no pong from ${host}:${port}: ${answer.message}`, io)
  const text = answer.toString('utf8')
  io.stdout.write(`received ${printable(text)}\n`)
  if (text !== 'pong') return endOf('chat-udp', 'not a pong', io)
  // The server answers neither of them.
  await say(socket, { packet_type: 'Status', user_id: user, status_data: status }, proof, io)
  await say(socket, { packet_type: 'Typing', chat_id: chat, user_id: user }, proof, io)
  return 0
}

/** Sends it, and prints it without the token. */
async function say(peer: UdpPeer, packet: ChatPacket, proof: ChatPacket, io: ToolIo): Promise<void> {
  await peer.send(JSON.stringify({ ...packet, ...proof }))
  io.stdout.write(`sent ${JSON.stringify(packet)}\n`)
}

/** A connected socket: what others send does not arrive, and a closed port says so. */
class UdpPeer implements AsyncDisposable {
  readonly #socket: Socket
  readonly #ended: Promise<Error>
  readonly #answer = Promise.withResolvers<Buffer>()

  private constructor(socket: Socket, signal: AbortSignal) {
    this.#socket = socket
    const { promise, resolve } = Promise.withResolvers<Error>()
    this.#ended = promise
    socket.on('message', this.#answer.resolve)
    socket.on('error', resolve)
    signal.addEventListener('abort', () => resolve(new Error('interrupted')), { once: true })
    if (signal.aborted) resolve(new Error('interrupted'))
  }

  static async open(host: string, port: number, signal: AbortSignal): Promise<UdpPeer | string> {
    try {
      const { address, family } = await lookup(host, { order: 'ipv4first' })
      const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
      const peer = new UdpPeer(socket, signal)
      const connected = new Promise<undefined>((resolve) => socket.once('connect', () => resolve(undefined)))
      socket.connect(port, address)
      const problem = await Promise.race([connected, peer.#ended])
      if (problem === undefined) return peer
      socket.close()
      return problem.message
    } catch (error) {
      return problemOf(error)
    }
  }

  /** Done when the system has it. An error shows in `next`. */
  send(text: string): Promise<void> {
    return new Promise((resolve) => this.#socket.send(text, () => resolve()))
  }

  async next(timeoutMs: number): Promise<Buffer | Error> {
    const late = Promise.withResolvers<Error>()
    const timer = setTimeout(() => late.resolve(new Error(`none in ${formatDuration(timeoutMs)}`)), timeoutMs)
    try {
      return await Promise.race([this.#answer.promise, this.#ended, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }
}
