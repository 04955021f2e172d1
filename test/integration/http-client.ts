// HTTP clients for tests: one request, and a crowd that keeps asking on kept-alive connections and takes no failure.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import { within } from '../harness/wait.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface AskOptions {
  readonly port: number
  readonly path: string
  readonly agent: Agent
  readonly body?: string
  /** Over TLS, trusting this. */
  readonly ca?: Buffer
}

/** POST with a body, GET without. */
export async function ask({ port, path, agent, body, ca }: AskOptions): Promise<Answer> {
  const options = { host: '127.0.0.1', port, path, agent, method: body === undefined ? 'GET' : 'POST' }
  const sent = ca === undefined ? request(options) : secureRequest({ ...options, ca, servername: 'localhost' })
  sent.end(body)
  const [response] = await within(`an answer to ${path}`, once(sent, 'response'))
  let text = ''
  response.setEncoding('latin1')
  response.on('data', (chunk: string) => {
    text += chunk
  })
  await within(`the end of ${path}`, once(response, 'end'))
  return { status: response.statusCode, headers: response.headers, body: text }
}

export function agentOf(secure = false): Agent {
  return secure ? new SecureAgent({ keepAlive: true }) : new Agent({ keepAlive: true })
}

export interface CrowdOptions {
  readonly port: number
  readonly clients: number
  readonly ca?: Buffer
}

/** Each client asks again when it was answered, on a connection of its own. */
export class HttpCrowd {
  answers = 0
  /** Connections that were opened. */
  connections = 0
  readonly shards = new Set<string>()
  readonly #all: Promise<void>[]
  #stopped = false

  constructor(options: CrowdOptions) {
    this.#all = Array.from({ length: options.clients }, (_, index) => this.#run(options, index))
  }

  /** Rejects with the first failure. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#all)
  }

  async #run({ port, ca }: CrowdOptions, index: number): Promise<void> {
    const agent = agentOf(ca !== undefined)
    let port_ = 0
    try {
      for (let round = 0; !this.#stopped; round++) {
        const body = round % 2 === 0 ? `${index} ${round}` : undefined
        const path = round % 8 === 0 ? `/c${index}/slowly/20` : `/c${index}/x`
        const answer = await ask({ port, path, agent, ...(body === undefined ? {} : { body }), ...(ca && { ca }) })
        assert.deepEqual([answer.status, answer.body], [200, body === undefined ? 'GET ' : `POST ${body}`])
        this.answers++
        this.shards.add(String(answer.headers['x-shard']))
        const from = Object.values({ ...agent.freeSockets, ...agent.sockets }).flatMap((sockets) => sockets ?? [])
        const local = from[0]?.localPort ?? port_
        if (local !== port_) this.connections++
        port_ = local
      }
    } finally {
      agent.destroy()
    }
  }
}
