// What scenarios of the hub's clients run on: a hub, a gate in front of it that can be cut, tokens by role, and an HTTP
// endpoint that works the gate, and serves pages where clients run in a browser.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Scenario, Surroundings } from '../../clients/typescript/test/scenario.ts'
import { Gate } from './gate.ts'
import { HubServer, tokenOf } from './hub-server.ts'

const ROLES = ['admin', 'developer', 'viewer', 'bot']
const PAGE = '<!doctype html><title>client</title>'

export const SCENARIOS = JSON.parse(
  readFileSync(join(import.meta.dirname, '../clients/scenario.json'), 'utf8'),
) as readonly Scenario[]

export class ClientGround implements AsyncDisposable {
  readonly surroundings: Surroundings
  readonly pageUrl: string
  readonly #stack: AsyncDisposableStack

  private constructor(surroundings: Surroundings, stack: AsyncDisposableStack) {
    this.surroundings = surroundings
    this.pageUrl = surroundings.controlUrl
    this.#stack = stack
  }

  /** `scripts`: a folder of modules for pages. */
  static async start(scripts?: string): Promise<ClientGround> {
    await using stack = new AsyncDisposableStack()
    // Nothing but what clients send is published, so that what is counted is theirs.
    const hub = stack.use(await HubServer.start())
    const gate = stack.use(await Gate.to(hub.server.port('hub.ws')))
    const control = createServer((request, response) => answer(request, response, gate, scripts))
    stack.adopt(control, closed)
    control.listen(0, '127.0.0.1')
    await once(control, 'listening')
    const surroundings = {
      url: `ws://127.0.0.1:${gate.port}/ws`,
      directUrl: hub.url(),
      tokens: Object.fromEntries(ROLES.map((role) => [role, tokenOf({ sub: role })])),
      controlUrl: `http://127.0.0.1:${(control.address() as AddressInfo).port}/`,
    }
    return new ClientGround(surroundings, stack.move())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

function answer({ method, url = '' }: IncomingMessage, response: ServerResponse, gate: Gate, scripts?: string): void {
  const { pathname, searchParams } = new URL(url, 'http://control')
  const verb = searchParams.get('verb')
  response.setHeader('connection', 'close')
  if (method === 'POST' && (verb === 'cut' || verb === 'down' || verb === 'up')) gate[verb]()
  else if (method === 'GET' && pathname === '/') response.setHeader('content-type', 'text/html').write(PAGE)
  else if (method === 'GET' && scripts !== undefined && /^\/[a-z/-]+\.js$/.test(pathname))
    response.setHeader('content-type', 'text/javascript').write(readFileSync(join(scripts, pathname)))
  else response.statusCode = 404
  response.end()
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}
