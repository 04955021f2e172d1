// `polyloop ws-bidir-client`: plays the client of a session: pings up every three seconds, prints what comes down.
import type { Command } from 'commander'
import { WebSocket } from 'ws'
import { printable } from './chat-packet.ts'
import type { CommandContext, ExitStatus } from './command.ts'
import { sessionPathOf } from './session-name.ts'
import { type ToolIo, toolIo } from './tool-io.ts'

const DEFAULT_URL = 'ws://127.0.0.1:4040'
const PING_MS = 3_000
/** The server gives each of its two steps 5 s. */
const OPEN_MS_MAX = 15_000
const CLOSE_MS_MAX = 2_000
const REFUSAL_BYTES_MAX = 1_024
/** Ends that are no failure: the server is done with us, or shuts down. */
const GOOD_CODES: ReadonlySet<number> = new Set([1000, 1001])

/** The flags of the command, as typed. */
export interface WsBidirClientOptions {
  readonly url?: string
}

export function register(command: Command, context: CommandContext): void {
  command
    .argument('<agent_id>', 'who the client says it is; the server only logs it')
    .argument('<session_id>', 'the session')
    .argument('<auth_token>', 'its token')
    .option('--url <url>', 'the session proxy', DEFAULT_URL)
    .action(async (agent: string, session: string, token: string, options: WsBidirClientOptions) => {
      context.setStatus(await runWsBidirClient(agent, session, token, options, toolIo(context)))
    })
}

/** 0 after Ctrl-C, or when the server closed in good order; 1 when it refuses, or closes with an error; 2 for senseless options. */
export async function runWsBidirClient(
  agent: string,
  session: string,
  token: string,
  options: WsBidirClientOptions,
  io: ToolIo,
): Promise<ExitStatus> {
  const base = options.url ?? DEFAULT_URL
  const url = URL.canParse(base) ? new URL(base) : undefined
  if (url === undefined || (url.protocol !== 'ws:' && url.protocol !== 'wss:')) {
    io.stderr.write(`ws-bidir-client: --url is ws://host:port or wss://host:port, not "${printable(base)}"\n`)
    return 2
  }
  // Ids are not checked here: what the server says to strange ones is worth seeing.
  const target = `${url.origin}${url.pathname.replace(/\/$/, '')}${sessionPathOf(agent, session)}`
  // A token may have characters that no header may have: better a word of ours than an exception of ws.
  if (/[^\t\x20-\x7e\x80-\xff]/.test(token)) {
    io.stderr.write('ws-bidir-client: <auth_token> has characters that no HTTP header can carry\n')
    return 2
  }
  return await new Conversation(target, token, io).ended
}

class Conversation {
  readonly ended: Promise<ExitStatus>
  readonly #io: ToolIo
  readonly #websocket: WebSocket
  readonly #end: (status: ExitStatus) => void
  #state: 'opening' | 'open' | 'ended' = 'opening'
  #counter = 0
  #pings: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined

  constructor(target: string, token: string, io: ToolIo) {
    this.#io = io
    const { promise, resolve } = Promise.withResolvers<ExitStatus>()
    this.ended = promise
    this.#end = (status) => {
      this.#state = 'ended'
      clearInterval(this.#pings)
      clearTimeout(this.#deadline)
      io.signal.removeEventListener('abort', this.#interrupted)
      resolve(status)
    }
    this.#websocket = new WebSocket(target, {
      headers: { Authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    })
    this.#deadline = setTimeout(() => this.#fail('no answer'), OPEN_MS_MAX)
    io.signal.addEventListener('abort', this.#interrupted)
    this.#listen(target)
    if (io.signal.aborted) this.#interrupted()
  }

  #listen(target: string): void {
    const { stdout } = this.#io
    this.#websocket.on('open', () => {
      clearTimeout(this.#deadline)
      this.#state = 'open'
      stdout.write(`connected to ${target}\n`)
      this.#ping()
      this.#pings = setInterval(() => this.#ping(), PING_MS)
    })
    this.#websocket.on('message', (data: Buffer, isBinary: boolean) => {
      const text = isBinary ? `${data.length} binary bytes` : printable(data.toString('utf8'))
      stdout.write(`received ${text}\n`)
    })
    this.#websocket.on('unexpected-response', (_request, response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => {
        text = (text + part).slice(0, REFUSAL_BYTES_MAX)
      })
      response.on('close', () => this.#fail(`refused with ${response.statusCode} ${printable(text)}`.trimEnd()))
    })
    this.#websocket.on('error', (error) => {
      // An open connection also gets its close, with a code.
      if (this.#state === 'opening') this.#fail(error.message || 'no connection')
    })
    this.#websocket.on('close', (code, reason) => {
      if (this.#state === 'ended') return
      stdout.write(`closed ${code} ${printable(reason.toString('utf8'))}`.trimEnd().concat('\n'))
      this.#end(this.#io.signal.aborted || GOOD_CODES.has(code) ? 0 : 1)
    })
  }

  #ping(): void {
    const ping = { type: 'ping', counter: ++this.#counter, timestamp: new Date().toISOString() }
    const text = JSON.stringify(ping)
    this.#websocket.send(text)
    this.#io.stdout.write(`sent ${text}\n`)
  }

  #fail(reason: string): void {
    if (this.#state === 'ended' || this.#io.signal.aborted) return
    this.#io.stderr.write(`ws-bidir-client: ${reason}\n`)
    this.#end(1)
    this.#websocket.terminate()
  }

  readonly #interrupted = (): void => {
    clearTimeout(this.#deadline)
    if (this.#websocket.readyState === WebSocket.OPEN) {
      this.#websocket.close(1000)
      this.#deadline = setTimeout(() => this.#websocket.terminate(), CLOSE_MS_MAX)
    } else {
      this.#end(0)
      this.#websocket.terminate()
    }
  }
}
