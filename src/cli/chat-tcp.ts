// `polyloop chat-tcp`: sends one message to the chat service and prints its acknowledgement; or asks something else.
import type { Command } from 'commander'
import { type ChatPacket, messageLine, parsePacket, printable, pushLine } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { LineConnection } from './line-connection.ts'
import { OptionReader } from './option-reader.ts'
import { endOf, type ToolIo, toolIo } from './tool-io.ts'

const TIMEOUT_MS_MAX = 3_600_000
const TYPES = ['Text', 'Image', 'File', 'System']
const DEFAULT_TEXT = 'Hello from polyloop!'

/** The flags of the command, as typed. */
export interface ChatTcpOptions {
  readonly host?: string
  readonly port?: string | number
  readonly chat?: string | number
  readonly sender?: string | number
  readonly type?: string
  readonly text?: string
  readonly timeout?: string | number
  readonly token?: string
  readonly ping?: boolean
  readonly getMessages?: boolean
  readonly page?: string | number
  readonly perPage?: string | number
  readonly subscribe?: boolean
}

export function register(command: Command, context: CommandContext): void {
  command
    .option('--host <host>', 'server to talk to', '127.0.0.1')
    .option('--port <port>', 'its TCP port', '8081')
    .option('--chat <id>', 'the chat', '1')
    .option('--sender <id>', 'the user who sends', '1')
    .option('--type <type>', `of the message: ${TYPES.join(', ')}`, 'Text')
    .option('--text <text>', 'the message', DEFAULT_TEXT)
    .option('--timeout <duration>', 'for the connection, and for each answer', '5')
    .option('--token <jwt>', 'authenticates first, for a server with services.chat.auth: jwt')
    .option('--ping', 'instead: asks for a pong')
    .option('--get-messages', 'instead: prints a page of the chat, oldest first')
    .option('--page <n>', 'with --get-messages; 1 is the oldest page (default: "1")')
    .option('--per-page <n>', 'with --get-messages (default: "50", at most 200)')
    .option('--subscribe', 'instead: prints what happens in the chat, until Ctrl-C')
    .action(async (options: ChatTcpOptions) => {
      context.setStatus(await runChatTcp(options, toolIo(context)))
    })
}

/** 0 when the server did what was asked, or Ctrl-C came; 1 on an error, no connection or no answer; 2 for senseless options. */
export async function runChatTcp(options: ChatTcpOptions, io: ToolIo): Promise<ExitStatus> {
  const reader = new OptionReader(options)
  const port = reader.whole('port', 8081, 1, 65_535)
  const chat = reader.whole('chat', 1, 1, Number.MAX_SAFE_INTEGER)
  const sender = reader.whole('sender', 1, 1, Number.MAX_SAFE_INTEGER)
  const page = reader.whole('page', 1, 1, Number.MAX_SAFE_INTEGER)
  const perPage = reader.whole('perPage', 50, 1, Number.MAX_SAFE_INTEGER)
  const timeoutMs = reader.duration('timeout', 5_000, 1, TIMEOUT_MS_MAX)
  const { ping, getMessages, subscribe, type = 'Text', text = DEFAULT_TEXT } = options
  if (!TYPES.includes(type)) reader.problem(`--type is ${TYPES.join(', ')}, not "${type}"`)
  if ([ping, getMessages, subscribe].filter((chosen) => chosen === true).length > 1) {
    reader.problem('--ping, --get-messages and --subscribe exclude each other')
  }
  if (getMessages !== true && (options.page !== undefined || options.perPage !== undefined)) {
    reader.problem('--page and --per-page need --get-messages')
  }
  for (const problem of reader.problems) io.stderr.write(`chat-tcp: ${problem}\n`)
  if (reader.problems.size > 0) return 2

  const opened = await LineConnection.open(options.host ?? '127.0.0.1', port, timeoutMs, io.signal)
  if (typeof opened === 'string') return endOf('chat-tcp', opened, io)
  using connection = opened
  const talk = new Talk(connection, timeoutMs, io)
  if (options.token !== undefined && !(await talk.authenticate(options.token))) return talk.status
  if (ping === true) await talk.ping()
  else if (getMessages === true) await talk.getMessages(chat, page, perPage)
  else if (subscribe === true) await talk.subscribe(chat)
  else await talk.sendMessage({ chat_id: chat, sender_id: sender, content: text, message_type: type })
  return talk.status
}

/** One connection's questions and answers, and what they come to. */
class Talk {
  status: ExitStatus = 1
  readonly #connection: LineConnection
  readonly #timeoutMs: number
  readonly #io: ToolIo

  constructor(connection: LineConnection, timeoutMs: number, io: ToolIo) {
    this.#connection = connection
    this.#timeoutMs = timeoutMs
    this.#io = io
  }

  async authenticate(token: string): Promise<boolean> {
    this.#connection.send(`${JSON.stringify({ packet_type: 'Auth', token })}\n`)
    return (await this.#answer()) !== undefined
  }

  async ping(): Promise<void> {
    this.#say({ packet_type: 'Ping' })
    const line = await this.#line()
    if (line === undefined) return
    this.#print(`received ${printable(line)}`)
    if (line === '"pong"') this.status = 0
    else this.#fail('not a pong')
  }

  async sendMessage(message: ChatPacket): Promise<void> {
    this.#say({ packet_type: 'SendMessage', message })
    const ack = await this.#answer()
    if (ack === undefined) return
    const { message_id: id } = ack
    if (!Number.isSafeInteger(id) || Number(id) <= 0) this.#fail('an acknowledgement without a message id')
    else {
      this.#print(`message id ${String(id)}`)
      this.status = 0
    }
  }

  async getMessages(chat: number, page: number, perPage: number): Promise<void> {
    this.#connection.send(`${JSON.stringify({ packet_type: 'GetMessages', chat_id: chat, page, per_page: perPage })}\n`)
    const answer = await this.#answer(false)
    if (answer === undefined) return
    const { messages, total, total_pages } = answer
    if (!Array.isArray(messages)) this.#fail('an answer without messages')
    else {
      for (const message of messages) this.#print(messageLine(message))
      this.#print(`page ${page} of ${printable(total_pages)}, ${messages.length} of ${printable(total)} messages`)
      this.status = 0
    }
  }

  async subscribe(chat: number): Promise<void> {
    this.#say({ packet_type: 'Subscribe', chat_id: chat })
    if ((await this.#answer()) === undefined) return
    for (;;) {
      const { line, end } = await this.#connection.next()
      if (line === undefined) {
        this.status = endOf('chat-tcp', end, this.#io)
        return
      }
      this.#print(pushLine(line))
    }
  }

  /** The answer to a request, if it is a success; says what it was. */
  async #answer(printed = true): Promise<ChatPacket | undefined> {
    const line = await this.#line()
    if (line === undefined) return undefined
    const answer = parsePacket(line)
    if (printed || answer?.success !== true) this.#print(`received ${printable(line)}`)
    if (answer?.success === true) return answer
    this.#fail(typeof answer?.error === 'string' ? answer.error : 'not an answer of the chat service')
    return undefined
  }

  async #line(): Promise<string | undefined> {
    const { line, end } = await this.#connection.next(this.#timeoutMs)
    if (line === undefined) this.status = endOf('chat-tcp', end, this.#io)
    return line
  }

  #say(packet: ChatPacket): void {
    const text = JSON.stringify(packet)
    // The newline is for people who look at the bytes: the server needs none.
    this.#connection.send(`${text}\n`)
    this.#print(`sent ${text}`)
  }

  #print(line: string): void {
    this.#io.stdout.write(`${line}\n`)
  }

  #fail(reason: string): void {
    this.status = endOf('chat-tcp', printable(reason), this.#io)
  }
}
