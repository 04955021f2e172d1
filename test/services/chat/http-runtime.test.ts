// Chat's HTTP API in the shards of a real runtime, over sockets.
import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { after, before, test } from 'node:test'
import { createRuntime, type Runtime } from '../../../src/index.ts'
import { CapturedLog } from '../../harness/captured-log.ts'

const CLIENTS = 10
const CHATS = 5
const ROUNDS = 5

interface Answer {
  readonly status: number
  readonly text: string
  /** Requests that its connection has carried. */
  readonly reused: boolean
}
interface Page {
  readonly data: readonly { readonly id: number; readonly content: string }[]
}

let runtime: Runtime
let port = 0
const agent = new Agent({ keepAlive: true })

before(async () => {
  runtime = await createRuntime({
    shards: 2,
    modules: [new URL('../../../src/services/chat/chat.ts', import.meta.url)],
    logStream: new CapturedLog(),
    settings: {
      'admin.port': 0,
      'services.echo.enabled': false,
      'services.hub.enabled': false,
      'services.session-proxy.enabled': false,
      'services.chat.http.port': 0,
      'services.chat.tcp.port': 0,
      'services.chat.udp.port': 0,
      'services.chat.rateLimit.rate': 0,
      'store.kind': 'memory',
    },
  })
  port = runtime.listeners.find(({ service, transport }) => service === 'chat' && transport === 'http')?.port ?? 0
})

after(async () => {
  agent.destroy()
  await runtime.close()
})

function ask(method: string, path: string, body?: string, through: Agent | false = agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: through }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({ status: response.statusCode ?? 0, text, reused: sent.reusedSocket })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

function idIn({ status, text }: Answer): number {
  assert.equal(status, 201, text)
  return (JSON.parse(text) as { readonly data: { readonly id: number } }).data.id
}

test('http runtime: clients on all shards write to the same chats; each read behind a 201 has the message', async () => {
  const chats: number[] = []
  for (let chat = 0; chat < CHATS; chat++) chats.push(idIn(await ask('POST', '/api/chats', `{"name":"chat ${chat}"}`)))
  const sent = new Map<number, Map<number, string>>(chats.map((chat) => [chat, new Map()]))
  const client = async (number: number): Promise<void> => {
    const own = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let round = 0; round < ROUNDS; round++) {
      const chat = chats[(number + round) % CHATS] ?? 0
      const content = `${number} ${round}`
      const id = idIn(await ask('POST', `/api/chats/${chat}/messages`, JSON.stringify({ content }), own))
      sent.get(chat)?.set(id, content)
      // On a connection of its own, which may be another shard's.
      const { text } = await ask('GET', `/api/chats/${chat}/messages?per_page=200`, undefined, false)
      const found = (JSON.parse(text) as Page).data.filter((one) => one.id === id)
      assert.deepEqual(
        found.map((one) => one.content),
        [content],
      )
    }
    own.destroy()
  }
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)))
  const ids = new Set<number>()
  for (const [chat, messages] of sent) {
    const { data } = JSON.parse((await ask('GET', `/api/chats/${chat}/messages?per_page=200`)).text) as Page
    const listed = data.map(({ id, content }) => [id, content])
    assert.deepEqual(
      listed,
      [...messages].toSorted(([one], [other]) => one - other),
    )
    for (const { id } of data) ids.add(id)
  }
  assert.equal(ids.size, CLIENTS * ROUNDS)
})

test('http runtime: a body that is no JSON keeps its connection, one too large gets its answer', async () => {
  const own = new Agent({ keepAlive: true, maxSockets: 1 })
  assert.equal(
    (await ask('POST', '/api/users', '{bad', own)).text,
    '{"success":false,"message":"invalid JSON","data":null}',
  )
  assert.equal((await ask('GET', '/api/chats/1', undefined, own)).reused, true)
  const { status, text } = await ask('POST', '/api/users', ' '.repeat(3 * 1024 * 1024), own)
  assert.equal(text, '{"success":false,"message":"the body is larger than 2 MiB","data":null}')
  assert.equal(status, 413)
  own.destroy()
})

test('http runtime: the document and its page, made on their first request', async () => {
  assert.match((await ask('GET', '/openapi.json')).text, /^\{"openapi":"3\.1\.0"/)
  const page = await ask('GET', '/docs')
  assert.match(page.text, /swagger-ui-bundle\.js/)
  const script = await ask('GET', '/docs/static/swagger-ui-bundle.js')
  assert.equal(script.status, 200)
  assert.ok(script.text.length > 1_000_000)
  assert.equal((await ask('HEAD', '/docs')).text, '')
})
