// `polyloop echo-client`: says one thing to a TCP server and prints what comes back.
import { connect } from 'node:net'
import type { Command } from 'commander'
import { formatDuration, parseDuration } from '../lib/units.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { type ToolIo, toolIo } from './tool-io.ts'

const GREETING = 'Hello from polyloop TCP client!\n'
const WAIT_MS_MAX = 3_600_000

/** The flags of the command, as typed. */
export interface EchoClientOptions {
  readonly host?: string
  readonly port?: string | number
  readonly message?: string
  readonly connectTimeout?: string | number
  readonly duration?: string | number
}

export function register(command: Command, context: CommandContext): void {
  command
    .option('--host <host>', 'server to talk to', '127.0.0.1')
    .option('--port <port>', 'its TCP port', '8084')
    .option('--message <text>', 'what to say; a newline is added when it has none', GREETING.trimEnd())
    .option('--connect-timeout <duration>', 'how long connecting may take', '30')
    .option('--duration <duration>', 'how long to listen', '5')
    .action(async (options: EchoClientOptions) => {
      context.setStatus(await runEchoClient(options, toolIo(context)))
    })
}

/** 0 when the duration is over, the server closed or Ctrl-C came; 1 when it cannot connect; 2 for senseless options. */
export async function runEchoClient(options: EchoClientOptions, io: ToolIo): Promise<ExitStatus> {
  const host = options.host ?? '127.0.0.1'
  const port = Number(options.port ?? 8084)
  const connectTimeoutMs = parseDuration(options.connectTimeout ?? 30) ?? 0
  const durationMs = parseDuration(options.duration ?? 5) ?? 0
  const problems = [
    Number.isInteger(port) && port > 0 && port < 65_536 ? '' : `--port is 1 to 65535, not "${options.port}"`,
    connectTimeoutMs > 0 && connectTimeoutMs <= WAIT_MS_MAX
      ? ''
      : waitProblem('connect-timeout', options.connectTimeout),
    durationMs > 0 && durationMs <= WAIT_MS_MAX ? '' : waitProblem('duration', options.duration),
  ].filter((problem) => problem !== '')
  for (const problem of problems) io.stderr.write(`echo-client: ${problem}\n`)
  if (problems.length > 0) return 2
  const text = options.message ?? GREETING
  return await converse(host, port, text.endsWith('\n') ? text : `${text}\n`, connectTimeoutMs, durationMs, io)
}

function converse(
  host: string,
  port: number,
  text: string,
  connectTimeoutMs: number,
  durationMs: number,
  io: ToolIo,
): Promise<ExitStatus> {
  const { promise, resolve } = Promise.withResolvers<ExitStatus>()
  const socket = connect({ host, port, noDelay: true })
  // A character may be cut in two by the network.
  const decoder = new TextDecoder()
  let connected = false
  const end = (line: string, status: ExitStatus): void => {
    clearTimeout(timer)
    io.signal.removeEventListener('abort', interrupted)
    socket.destroy()
    const sink = status === 0 ? io.stdout : io.stderr
    sink.write(`${line}\n`)
    resolve(status)
  }
  const interrupted = (): void => end('interrupted', 0)
  let timer = setTimeout(() => end(`cannot connect to ${host}:${port}: no answer`, 1), connectTimeoutMs)
  io.signal.addEventListener('abort', interrupted)
  socket.on('connect', () => {
    connected = true
    clearTimeout(timer)
    timer = setTimeout(() => end(`done after ${formatDuration(durationMs)}`, 0), durationMs)
    io.stdout.write(`connected to ${host}:${port}\n`)
    socket.write(text)
    io.stdout.write(`sent ${Buffer.byteLength(text)} bytes: ${text}`)
  })
  socket.on('data', (bytes: Buffer) => {
    const received = decoder.decode(bytes, { stream: true })
    io.stdout.write(`received ${bytes.length} bytes: ${received}${received.endsWith('\n') ? '' : '\n'}`)
  })
  socket.on('error', (error) => {
    if (connected) end(`connection lost: ${error.message}`, 1)
    else end(`cannot connect to ${host}:${port}: ${error.message}`, 1)
  })
  socket.on('end', () => end('the server closed the connection', 0))
  if (io.signal.aborted) interrupted()
  return promise
}

function waitProblem(name: string, given: string | number | undefined): string {
  return `--${name} is more than 0s and at most ${formatDuration(WAIT_MS_MAX)}, not "${given}"`
}
